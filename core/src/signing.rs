//! Signatures of accounts over secp256k1: making them, and checking those that the platform makes.

use std::fmt;

use alloy_primitives::keccak256;
use secp256k1::{
    Message, PublicKey, SecretKey,
    ecdsa::{RecoverableSignature, RecoveryId},
};
use thiserror::Error;

use crate::id::Voter;

/// Half the order of secp256k1's group: the largest s of a signature that is not malleable (EIP-2).
pub(crate) const HALF_GROUP_ORDER: [u8; 32] = [
    0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x5d, 0x57, 0x6e,
    0x73, 0x57, 0xa4, 0x50, 0x1d, 0xdf, 0xe9, 0x2f, 0x46, 0x68, 0x1b, 0x20, 0xa0,
];

/// The secret of an account. Its `Debug` form names the account only.
#[derive(Clone)]
pub struct SigningKey {
    secret: SecretKey,
    address: Voter,
}

/// Bytes that are no secret key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a secp256k1 secret key is above 0 and below the group's order")]
pub struct SigningKeyError;

impl SigningKey {
    /// The key of these 32 bytes, big-endian.
    pub fn from_bytes(bytes: [u8; 32]) -> Result<Self, SigningKeyError> {
        let secret = SecretKey::from_secret_bytes(bytes).map_err(|_| SigningKeyError)?;
        Ok(Self { secret, address: address_of(&secret.public_key()) })
    }

    /// The account's address.
    pub const fn address(&self) -> Voter {
        self.address
    }

    /// Signs a digest as it is: r, s, v (27 or 28), with the nonce of RFC 6979, so that the same key and digest always
    /// give the same bytes, and with a low s.
    pub fn sign_digest(&self, digest: [u8; 32]) -> [u8; 65] {
        let signature = RecoverableSignature::sign_ecdsa_recoverable(Message::from_digest(digest), &self.secret);
        let (recovery, compact) = signature.serialize_compact();
        let mut bytes = [0; 65];
        bytes[..64].copy_from_slice(&compact);
        bytes[64] = recovery.to_u8().saturating_add(27);
        bytes
    }

    /// Signs a text as a personal message (EIP-191): [`SigningKey::sign_digest`] of its [`personal_message_hash`].
    pub fn sign_text(&self, text: &str) -> [u8; 65] {
        self.sign_digest(personal_message_hash(text))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.address)
    }
}

/// The hash that a wallet signs for a personal message (EIP-191, version 0x45):
/// keccak256("\x19Ethereum Signed Message:\n" ‖ length in bytes, decimal ‖ text).
pub fn personal_message_hash(text: &str) -> [u8; 32] {
    keccak256(format!("\x19Ethereum Signed Message:\n{}{text}", text.len())).0
}

/// Whether `signature` is the account's over this text as a personal message; v must be 27 or 28 and s low, so that a
/// signature has one form.
pub fn verify_text(text: &str, signature: &[u8; 65], key: Voter) -> bool {
    let (compact, v) = (&signature[..64], signature[64]);
    let recovery = match v {
        27 => RecoveryId::Zero,
        28 => RecoveryId::One,
        _ => return false,
    };
    let message = Message::from_digest(personal_message_hash(text));
    compact[32..] <= HALF_GROUP_ORDER[..]
        && RecoverableSignature::from_compact(compact, recovery)
            .and_then(|signature| signature.recover_ecdsa(message))
            .is_ok_and(|public_key| address_of(&public_key) == key)
}

/// The last 20 bytes of the keccak256 of the uncompressed point.
pub(crate) fn address_of(public_key: &PublicKey) -> Voter {
    let hash = keccak256(&public_key.serialize_uncompressed()[1..]);
    let mut address = [0; 20];
    address.copy_from_slice(&hash[12..]);
    Voter::new(address)
}

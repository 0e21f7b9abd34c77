//! ECDSA over secp256k1, as a pure function: 65-byte and EIP-2098 forms, low s only.

use secp256k1::{
    Message,
    ecdsa::{RecoverableSignature, RecoveryId},
};

use super::Refusal;
use crate::{
    choice::Choice,
    id::{Digest, Voter},
    power::VoterPower,
    rejection::Rejection,
    signing::{HALF_GROUP_ORDER, address_of},
    verdict::CountingBallot,
};

/// The order of secp256k1's group (SEC 2, section 2.4.1).
const GROUP_ORDER: [u8; 32] = secp256k1::constants::CURVE_ORDER;

/// A ballot whose signature was proven to be its voter's.
#[derive(Debug)]
pub struct SignedBallot {
    pub(super) voter: Voter,
    pub(super) digest: Digest,
    pub(super) signed_at_s: u64,
    pub(super) choice: Choice,
}

impl SignedBallot {
    /// Who signed.
    pub const fn voter(&self) -> Voter {
        self.voter
    }

    /// The ballot's identity.
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// The voter's own claim of when, in seconds since the epoch.
    pub const fn signed_at_s(&self) -> u64 {
        self.signed_at_s
    }

    /// Gives the ballot its power; refuses it where there is none.
    pub fn with_power(self, power: VoterPower) -> Result<CountingBallot, Refusal> {
        let Self { voter, digest, signed_at_s, choice } = self;
        let rejection = match power {
            VoterPower::Known(power) if !power.is_zero() => {
                return Ok(CountingBallot { voter, digest, signed_at_s, choice, power });
            }
            VoterPower::Known(_) => Rejection::NoPower,
            VoterPower::Unavailable => Rejection::PowerUnavailable,
        };
        Err(Refusal { rejection, digest: Some(digest), claimed_voter: Some(voter) })
    }
}

/// Whether `signature` over `digest` was made by `voter`'s key. The signature is r ‖ s ‖ v with v 0, 1, 27 or 28, or
/// r ‖ s with the parity in the top bit of s (EIP-2098). What is wrong first, in the order of [`Rejection`], is said.
pub fn verify(digest: Digest, signature: &[u8], voter: Voter) -> Result<(), Rejection> {
    let (compact, recovery) = split(signature)?;
    let (r, s) = compact.split_at(32);
    let in_group = |scalar: &[u8]| scalar.iter().any(|byte| *byte != 0) && scalar < GROUP_ORDER.as_slice();
    if !in_group(r) || !in_group(s) {
        return Err(Rejection::MalformedSignature);
    }
    if s > HALF_GROUP_ORDER.as_slice() {
        return Err(Rejection::HighS);
    }
    let message = Message::from_digest(*digest.as_bytes());
    let signer = RecoverableSignature::from_compact(&compact, recovery)
        .and_then(|signature| signature.recover_ecdsa(message))
        .map_err(|_| Rejection::WrongSigner)?;
    if address_of(&signer) == voter { Ok(()) } else { Err(Rejection::WrongSigner) }
}

/// r ‖ s and the parity of the point.
fn split(signature: &[u8]) -> Result<([u8; 64], RecoveryId), Rejection> {
    if let Ok(mut compact) = <[u8; 64]>::try_from(signature) {
        let parity = compact[32] >> 7;
        compact[32] &= 0x7f;
        return Ok((compact, RecoveryId::from_u8_masked(parity)));
    }
    let [compact @ .., v] = <[u8; 65]>::try_from(signature).map_err(|_| Rejection::UnsupportedSignature)?;
    match v {
        0 | 27 => Ok((compact, RecoveryId::Zero)),
        1 | 28 => Ok((compact, RecoveryId::One)),
        _ => Err(Rejection::MalformedSignature),
    }
}

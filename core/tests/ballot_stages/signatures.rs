//! Signatures: both forms, every v, and each way to be malformed.

use alloy_primitives::U256;
use pnyx_core::{ballot::verify, id::Digest, rejection::Rejection, signing::SigningKey};
use proptest::prelude::*;

use super::support::key;

const DIGEST: Digest = Digest::new([0x42; 32]);

fn group_order() -> U256 {
    U256::from_be_bytes(secp256k1::constants::CURVE_ORDER)
}

fn signature() -> [u8; 65] {
    key().sign_digest(*DIGEST.as_bytes())
}

fn check(signature: &[u8], expected: Result<(), Rejection>) {
    assert_eq!(verify(DIGEST, signature, key().address()), expected);
}

/// r ‖ s with the parity in the top bit of s.
fn compact(signature: [u8; 65]) -> [u8; 64] {
    let mut compact = [0; 64];
    compact.copy_from_slice(&signature[..64]);
    compact[32] |= (signature[64] - 27) << 7;
    compact
}

fn with_scalar(offset: usize, scalar: U256) -> [u8; 65] {
    let mut signature = signature();
    signature[offset..offset + 32].copy_from_slice(&scalar.to_be_bytes::<32>());
    signature
}

fn s_of(signature: &[u8; 65]) -> U256 {
    U256::from_be_slice(&signature[32..64])
}

#[test]
fn v_is_a_parity_with_or_without_27() {
    let parity = signature()[64] - 27;
    for v in 0..=255 {
        let mut signature = signature();
        signature[64] = v;
        let expected = match v {
            0 | 1 | 27 | 28 if v % 27 == parity => Ok(()),
            0 | 1 | 27 | 28 => Err(Rejection::WrongSigner),
            _ => Err(Rejection::MalformedSignature),
        };
        check(&signature, expected);
    }
}

#[test]
fn other_lengths_are_unsupported() {
    for length in (0..=63).chain([66, 97, 8_192]) {
        check(&vec![1; length], Err(Rejection::UnsupportedSignature));
    }
}

#[test]
fn scalars_outside_the_group_are_malformed() {
    for offset in [0, 32] {
        for scalar in [U256::ZERO, group_order(), group_order() + U256::from(1), U256::MAX] {
            check(&with_scalar(offset, scalar), Err(Rejection::MalformedSignature));
        }
    }
    let mut zero_s = compact(signature());
    zero_s[32..].fill(0);
    check(&zero_s, Err(Rejection::MalformedSignature));
}

#[test]
fn malformed_comes_before_high_s() {
    let mut signature = with_scalar(32, group_order() - U256::from(1));
    signature[..32].fill(0);
    check(&signature, Err(Rejection::MalformedSignature));
    let mut signature = with_scalar(32, group_order() - U256::from(1));
    signature[64] = 2;
    check(&signature, Err(Rejection::MalformedSignature));
}

#[test]
fn s_is_low_up_to_half_the_order() {
    let half = group_order() >> 1;
    check(&with_scalar(32, half), Err(Rejection::WrongSigner));
    check(&with_scalar(32, half + U256::from(1)), Err(Rejection::HighS));
    // The top bit is the parity, so that only s between half the order and 2^255 can be high here.
    let mut high = compact(signature());
    high[32..].copy_from_slice(&(half + U256::from(1)).to_be_bytes::<32>());
    check(&high, Err(Rejection::HighS));
}

#[test]
fn r_without_a_point_is_nobodys() {
    // No point of the curve has x = 5.
    check(&with_scalar(0, U256::from(5)), Err(Rejection::WrongSigner));
}

proptest! {
    #[test]
    fn both_forms_prove_the_signer_and_nobody_else(secret in 1..u128::MAX, digest in any::<[u8; 32]>()) {
        let mut bytes = [0; 32];
        bytes[16..].copy_from_slice(&secret.to_be_bytes());
        let signer = SigningKey::from_bytes(bytes).unwrap();
        let signature = signer.sign_digest(digest);
        let digest = Digest::new(digest);
        prop_assert_eq!(verify(digest, &signature, signer.address()), Ok(()));
        prop_assert_eq!(verify(digest, &compact(signature), signer.address()), Ok(()));
        prop_assert_eq!(verify(digest, &signature, key().address()), Err(Rejection::WrongSigner));
        prop_assert_eq!(verify(DIGEST, &signature, signer.address()), Err(Rejection::WrongSigner));

        // The same signature with the other s and parity would prove the same signer.
        let mut twin = signature;
        twin[32..64].copy_from_slice(&(group_order() - s_of(&signature)).to_be_bytes::<32>());
        twin[64] ^= 27 ^ 28;
        prop_assert_eq!(verify(digest, &twin, signer.address()), Err(Rejection::HighS));
    }
}

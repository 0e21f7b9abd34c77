//! Signatures of receipts and results, and the signing key.

use alloy_primitives::{U256, hex};
use pnyx_core::{
    receipt::{ReceiptError, sign_receipts},
    signing::{SigningKey, SigningKeyError, personal_message_hash, verify_text},
};
use proptest::prelude::*;

use crate::samples;

/// The order of secp256k1's group.
const GROUP_ORDER: &str = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";

fn key(hex_text: &str) -> Result<SigningKey, SigningKeyError> {
    SigningKey::from_bytes(hex::decode(hex_text).unwrap().try_into().unwrap())
}

/// The same point's other signature: s mirrored in the group, v flipped.
fn mirrored(signature: [u8; 65]) -> [u8; 65] {
    let order = U256::from_str_radix(GROUP_ORDER, 16).unwrap();
    let s = U256::from_be_slice(&signature[32..64]);
    let mut mirrored = signature;
    mirrored[32..64].copy_from_slice(&(order - s).to_be_bytes::<32>());
    mirrored[64] = 27 + 28 - signature[64];
    mirrored
}

#[test]
fn a_known_personal_message_gets_its_known_signature() {
    // The example in the documentation of web3.js, `web3.eth.accounts.sign`.
    let key = key("4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318").unwrap();
    assert_eq!(key.address().to_string(), "0x2c7536E3605D9C16a7a3D7b1898e529396a65c23");
    let hash = personal_message_hash("Some data");
    assert_eq!(hex::encode(hash), "1da44b586eb0729ff70a73c326926f6ed5a25f5b056e7f47fbc6e58d86871655");
    let signature = key.sign_text("Some data");
    assert_eq!(
        hex::encode(signature),
        "b91467e570a6466aa9e9876cbcd013baba02900b8979d43fe208a4a4f339f5fd\
         6007e74cd82e037b800186422fc2da167c747ef045e5d18a5f5d4300f8e1a0291c"
    );
    assert!(verify_text("Some data", &signature, key.address()));
}

#[test]
fn keys_outside_the_group_are_refused_and_none_is_shown() {
    assert!(key(&"00".repeat(32)).is_err());
    assert!(key(GROUP_ORDER).is_err());
    assert!(key("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364140").is_ok());
    let key = samples::platform_key();
    assert_eq!(format!("{key:?}"), format!("SigningKey({})", key.address()));
}

#[test]
fn only_one_form_of_a_signature_is_accepted() {
    let key = samples::platform_key();
    let signature = key.sign_text("text");
    let verify = |signature: &[u8; 65]| verify_text("text", signature, key.address());
    assert!(verify(&signature));
    assert!(!verify(&mirrored(signature)), "a high s");
    for v in [0, 1, 26, 27 + 28 - signature[64], 29, 30, 255] {
        let mut bent = signature;
        bent[64] = v;
        assert!(!verify(&bent), "v {v}");
    }
    assert!(!verify(&[0; 65]));
    assert!(!verify(&[0xff; 65]));
    assert!(!verify_text("another text", &signature, key.address()));
    assert!(!verify_text("text", &signature, samples::voter(0xaa)));
}

#[test]
fn receipts_hold_alone_and_say_what_is_wrong() {
    let receipts = samples::receipts();
    for signed in &receipts {
        assert_eq!(signed.verify(), Ok(()));
    }
    let mut moved = receipts[0].clone();
    moved.receipt.place.offset += 1;
    assert_eq!(moved.verify(), Err(ReceiptError::Signature { key: moved.key }));
    let mut cut = receipts[0].clone();
    cut.path.hashes.pop();
    assert_eq!(cut.verify(), Err(ReceiptError::Path));
    let mut other_key = receipts[0].clone();
    other_key.key = samples::voter(0xaa);
    assert_eq!(other_key.verify(), Err(ReceiptError::Signature { key: samples::voter(0xaa) }));
    assert_eq!(sign_receipts(&[], &samples::platform_key()), []);
}

#[test]
fn results_are_bound_in_both_parts() {
    let result = samples::result();
    assert!(result.verify());
    let mut more = result.clone();
    more.core.ballots += 1;
    assert!(!more.verify());
    let mut other = result.clone();
    other.provenance.records += 1;
    assert!(!other.verify());
    let mut other_key = result;
    other_key.key = samples::voter(0xaa);
    assert!(!other_key.verify());
}

proptest! {
    #[test]
    fn any_signature_is_judged_without_panic(head in any::<[u8; 32]>(), tail in any::<[u8; 32]>(), v in any::<u8>()) {
        let mut signature = [v; 65];
        signature[..32].copy_from_slice(&head);
        signature[32..64].copy_from_slice(&tail);
        prop_assert!(!verify_text("text", &signature, samples::voter(0xaa)));
    }

    #[test]
    fn what_a_key_signs_verifies(secret in any::<[u8; 32]>(), text in any::<String>()) {
        let Ok(key) = SigningKey::from_bytes(secret) else { return Ok(()) };
        let signature = key.sign_text(&text);
        prop_assert!(verify_text(&text, &signature, key.address()));
        prop_assert!(!verify_text(&text, &mirrored(signature), key.address()));
    }
}

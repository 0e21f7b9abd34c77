//! The EIP-712 domain of Snapshot's ballots, in the variants that wallets sign.

use std::sync::LazyLock;

use alloy_primitives::{U256, hex, keccak256};
use serde_json::value::RawValue;

use crate::{
    id::Voter,
    wire::envelope::{DomainJson, Object, Text},
};

/// The domain's name.
pub const DOMAIN_NAME: &str = "snapshot";
/// The domain's version.
pub const DOMAIN_VERSION: &str = "0.1.4";

/// Hash of a domain, with which every signing hash begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DomainSeparator([u8; 32]);

/// Snapshot's domain with what a wallet may add: the separator is built from the keys that are present.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Domain {
    /// The chain the wallet was on.
    pub chain_id: Option<U256>,
    /// A contract's address.
    pub verifying_contract: Option<Voter>,
    /// 32 bytes.
    pub salt: Option<[u8; 32]>,
}

/// Hashes of the domain's fixed texts.
static NAME_HASHES: LazyLock<[[u8; 32]; 2]> = LazyLock::new(|| [keccak256(DOMAIN_NAME).0, keccak256(DOMAIN_VERSION).0]);

impl DomainSeparator {
    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl Domain {
    /// EIP-712's `hashStruct` of the domain, its fields in EIP-712's order.
    pub fn separator(&self) -> DomainSeparator {
        let mut type_text = "EIP712Domain(string name,string version".to_owned();
        let mut words = vec![[0; 32]];
        words.extend_from_slice(&*NAME_HASHES);
        if let Some(chain_id) = self.chain_id {
            type_text.push_str(",uint256 chainId");
            words.push(chain_id.to_be_bytes());
        }
        if let Some(contract) = self.verifying_contract {
            type_text.push_str(",address verifyingContract");
            words.push(super::digest::address_word(contract));
        }
        if let Some(salt) = self.salt {
            type_text.push_str(",bytes32 salt");
            words.push(salt);
        }
        type_text.push(')');
        words[0] = keccak256(type_text).0;
        DomainSeparator(keccak256(words.as_flattened()).0)
    }

    /// Reads the `domain` of an envelope.
    pub(super) fn from_json(json: &str) -> Option<Self> {
        let Object(DomainJson { name, version, chain_id, verifying_contract, salt }) =
            serde_json::from_str(json).ok()?;
        if name.0 != DOMAIN_NAME || version.0 != DOMAIN_VERSION {
            return None;
        }
        Some(Self {
            chain_id: optional(chain_id, parse_chain_id)?,
            verifying_contract: optional(verifying_contract, |text| Voter::from_any_case(&text.0).ok())?,
            salt: optional(salt, parse_salt)?,
        })
    }
}

/// `None` when a value is there and does not parse.
fn optional<T, U>(value: Option<T>, parse: impl Fn(T) -> Option<U>) -> Option<Option<U>> {
    match value {
        Some(value) => parse(value).map(Some),
        None => Some(None),
    }
}

/// A JSON integer, or a string of a decimal or 0x-hexadecimal one, as wallets send.
fn parse_chain_id(json: &RawValue) -> Option<U256> {
    let json = json.get();
    if !json.starts_with('"') {
        return parse_digits(json, 10);
    }
    let Text(text) = serde_json::from_str(json).ok()?;
    text.strip_prefix("0x").map_or_else(|| parse_digits(&text, 10), |digits| parse_digits(digits, 16))
}

fn parse_digits(digits: &str, radix: u32) -> Option<U256> {
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(radix)) {
        return None;
    }
    U256::from_str_radix(digits, radix.into()).ok()
}

fn parse_salt(Text(text): Text<'_>) -> Option<[u8; 32]> {
    let mut salt = [0; 32];
    (text.starts_with("0x") && hex::decode_to_slice(&*text, &mut salt).is_ok()).then_some(salt)
}

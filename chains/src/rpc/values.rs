//! JSON-RPC's values: numbers and bytes as hexadecimal text, blocks.

use alloy_primitives::hex;
use pnyx_core::chain::{BlockHash, BlockNumber};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::failure::Failure;

/// What we need to know of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) number: BlockNumber,
    pub(crate) hash: BlockHash,
    /// Its parent's hash.
    pub(crate) parent: BlockHash,
    /// Seconds since the Unix epoch.
    pub(crate) timestamp_s: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BlockJson<'a> {
    number: &'a str,
    hash: &'a str,
    parent_hash: &'a str,
    timestamp: &'a str,
}

/// A number of at most 64 bits.
pub(crate) fn number(value: &RawValue) -> Result<u64, Failure> {
    parse_number(text(value)?)
}

/// Bytes of any length.
pub(crate) fn bytes(value: &RawValue) -> Result<Vec<u8>, Failure> {
    let digits = text(value)?.strip_prefix("0x").ok_or(NO_BYTES)?;
    hex::decode(digits).map_err(|_| NO_BYTES)
}

/// A block; `None` where the endpoint has none.
pub(crate) fn block(value: &RawValue) -> Result<Option<Block>, Failure> {
    let Some(json) = serde_json::from_str::<Option<BlockJson<'_>>>(value.get()).map_err(|_| NO_BLOCK)? else {
        return Ok(None);
    };
    let hash = |text: &str| text.to_ascii_lowercase().parse::<BlockHash>().map_err(|_| NO_BLOCK);
    Ok(Some(Block {
        number: BlockNumber(parse_number(json.number)?),
        hash: hash(json.hash)?,
        parent: hash(json.parent_hash)?,
        timestamp_s: parse_number(json.timestamp)?,
    }))
}

const NO_NUMBER: Failure = Failure::Malformed("a number that is none");
const NO_BYTES: Failure = Failure::Malformed("bytes that are none");
const NO_BLOCK: Failure = Failure::Malformed("a block that is none");

fn text(value: &RawValue) -> Result<&str, Failure> {
    serde_json::from_str(value.get()).map_err(|_| Failure::Malformed("no text where text should be"))
}

fn parse_number(text: &str) -> Result<u64, Failure> {
    let digits = text.strip_prefix("0x").ok_or(NO_NUMBER)?;
    if digits.starts_with('+') {
        return Err(NO_NUMBER);
    }
    u64::from_str_radix(digits, 16).map_err(|_| NO_NUMBER)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    #[test]
    fn values_are_hexadecimal() {
        assert_eq!(number(&raw(r#""0xff""#)), Ok(255));
        for wrong in [r#""ff""#, r#""0x""#, r#""0x+1""#, r#""0x1ffffffffffffffff""#, "255", "null"] {
            assert!(number(&raw(wrong)).is_err(), "{wrong}");
        }
        assert_eq!(bytes(&raw(r#""0x""#)), Ok(vec![]));
        assert_eq!(bytes(&raw(r#""0x01fF""#)), Ok(vec![1, 255]));
        for wrong in [r#""0x1""#, r#""01""#, r#""0xzz""#, "null", "{}"] {
            assert!(bytes(&raw(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn blocks_are_their_four_members() {
        let hash = format!("0x{}", "aB".repeat(32));
        let json =
            format!(r#"{{"number":"0x10","hash":"{hash}","parentHash":"{hash}","timestamp":"0x5","uncles":[]}}"#);
        let hash = BlockHash::new([0xab; 32]);
        let expected = Block { number: BlockNumber(16), hash, parent: hash, timestamp_s: 5 };
        assert_eq!(block(&raw(&json)), Ok(Some(expected)));
        assert_eq!(block(&raw("null")), Ok(None));
        // A block that is still being made has no hash.
        assert!(block(&raw(&json.replace(r#""hash":"0x"#, r#""hash":null,"x":"0x"#))).is_err());
        assert!(block(&raw(r#""0x""#)).is_err());
    }
}

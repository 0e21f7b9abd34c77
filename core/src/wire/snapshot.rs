//! What Snapshot's clients read on `POST /`: the answer and the errors, in its words.

use alloy_primitives::hex;
use serde::Serialize;
use serde_json::value::RawValue;

use super::{json::to_json, receipt};
use crate::{id::RecordHash, receipt::SignedReceipt};

/// The digits of multibase's `b`: RFC 4648's base 32 in lower case.
const BASE32_DIGITS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// What a CID of raw bytes by their SHA-256 begins with: CID version 1, codec raw, hash SHA-256, length 32.
const CID_PREFIX: [u8; 4] = [0x01, 0x55, 0x12, 0x20];

/// The error classes of Snapshot's sequencer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// `client_error`: the request is at fault.
    Client,
    /// `server_error`: the platform is.
    Server,
}

impl ErrorKind {
    /// The value of `error`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Client => "client_error",
            Self::Server => "server_error",
        }
    }
}

/// The answer to an acknowledged ballot: `{id, ipfs, relayer: {address, receipt}, receipt}`. `id` is the ballot's
/// digest, `relayer.receipt` the signature of the signed receipt, which stands whole in `receipt`.
pub fn accepted(signed: &SignedReceipt) -> String {
    let receipt = RawValue::from_string(receipt::encode(signed)).expect("a receipt is encoded as JSON");
    to_json(&AcceptedDto {
        id: signed.receipt.digest.to_string(),
        ipfs: cid(signed.receipt.record),
        relayer: RelayerDto { address: signed.key.to_string(), receipt: hex::encode_prefixed(signed.signature) },
        receipt: &receipt,
    })
}

/// An error: `{error, error_description[, detail]}`. Clients match on `description`; `detail` is for people.
pub fn error(kind: ErrorKind, description: &str, detail: Option<&str>) -> String {
    to_json(&ErrorDto { error: kind.name(), error_description: description, detail })
}

/// The CIDv1 of a stored record as raw bytes, in base 32 (<https://github.com/multiformats/cid>).
fn cid(record: RecordHash) -> String {
    let mut bytes = CID_PREFIX.to_vec();
    bytes.extend_from_slice(record.as_bytes());
    let mut text = "b".to_owned();
    for chunk in bytes.chunks(5) {
        let mut group = [0; 8];
        group[3..8][..chunk.len()].copy_from_slice(chunk);
        let bits = u64::from_be_bytes(group);
        let digits = chunk.len().saturating_mul(8).div_ceil(5);
        for shift in (0..=35).rev().step_by(5).take(digits) {
            let digit = usize::try_from(bits >> shift & 0x1f).expect("five bits fit in a usize");
            text.push(char::from(BASE32_DIGITS[digit]));
        }
    }
    text
}

#[derive(Serialize)]
struct AcceptedDto<'a> {
    id: String,
    ipfs: String,
    relayer: RelayerDto,
    receipt: &'a RawValue,
}

#[derive(Serialize)]
struct RelayerDto {
    address: String,
    receipt: String,
}

#[derive(Serialize)]
struct ErrorDto<'a> {
    error: &'static str,
    error_description: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cid_is_the_one_that_other_tools_give() {
        // `ipfs add --cid-version 1 --raw-leaves` of an empty file.
        assert_eq!(cid(RecordHash::of(b"")), "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku");
    }
}

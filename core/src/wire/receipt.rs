//! Signed receipts as JSON: what the edge answers beside Snapshot's fields and what voters keep in a file.

use alloy_primitives::hex;
use serde::{Deserialize, Serialize};

use super::{
    WireError,
    json::{Format, VERSION, to_json},
};
use crate::{
    id::Place,
    merkle::InclusionPath,
    receipt::{Receipt, SignedReceipt},
    time::TimestampMs,
};

const FORMAT: Format = Format("receipt");

/// Longest path: a tree of up to 2^64 leaves has no longer one.
const PATH_HASHES_MAX: usize = 64;

/// The JSON object of a signed receipt.
pub fn encode(signed: &SignedReceipt) -> String {
    let SignedReceipt { receipt, path, key, signature } = signed;
    let Receipt { proposal, digest, record, place, appended_at } = receipt;
    to_json(&ReceiptDto {
        v: VERSION,
        proposal: proposal.to_string(),
        digest: digest.to_string(),
        record: record.to_string(),
        partition: place.partition,
        offset: place.offset,
        appended_at_ms: appended_at.0,
        path: PathDto {
            index: path.index,
            size: path.size,
            hashes: path.hashes.iter().map(hex::encode_prefixed).collect(),
        },
        key: key.to_string(),
        signature: hex::encode_prefixed(signature),
    })
}

/// Reads what [`encode`] wrote. White space and the order of the keys are free, because people keep receipts in files;
/// what is signed is the content.
pub fn decode(json: &str) -> Result<SignedReceipt, WireError> {
    FORMAT.kind(json.as_bytes())?;
    let ReceiptDto { v: _, proposal, digest, record, partition, offset, appended_at_ms, path, key, signature } =
        FORMAT.parse(json.as_bytes())?;
    let PathDto { index, size, hashes } = path;
    if hashes.len() > PATH_HASHES_MAX {
        return Err(FORMAT.malformed(format_args!("path.hashes: has more than {PATH_HASHES_MAX} entries")));
    }
    let hashes = hashes.iter().map(|hash| FORMAT.hex("path.hashes", hash)).collect::<Result<_, _>>()?;
    Ok(SignedReceipt {
        receipt: Receipt {
            proposal: FORMAT.field("proposal", proposal.parse())?,
            digest: FORMAT.field("digest", digest.parse())?,
            record: FORMAT.field("record", record.parse())?,
            place: Place { partition, offset },
            appended_at: TimestampMs(appended_at_ms),
        },
        path: InclusionPath { index, size, hashes },
        key: FORMAT.voter("key", &key)?,
        signature: FORMAT.hex("signature", &signature)?,
    })
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ReceiptDto {
    v: u8,
    proposal: String,
    digest: String,
    record: String,
    partition: u32,
    offset: u64,
    appended_at_ms: u64,
    path: PathDto,
    key: String,
    signature: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PathDto {
    index: u64,
    size: u64,
    hashes: Vec<String>,
}

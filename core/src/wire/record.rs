//! Ballot records, the values of `pnyx.<id>.ballots`: a version byte, then the body exactly as it was posted.

use super::WireError;

/// The version this build writes.
pub const RECORD_VERSION: u8 = 1;

/// The record of a body.
pub fn encode(body: &[u8]) -> Vec<u8> {
    let mut record = Vec::with_capacity(body.len().saturating_add(1));
    record.push(RECORD_VERSION);
    record.extend_from_slice(body);
    record
}

/// The body of a record.
pub fn decode(record: &[u8]) -> Result<&[u8], WireError> {
    match record.split_first() {
        Some((&RECORD_VERSION, body)) => Ok(body),
        Some((&version, _)) => {
            Err(WireError::Version { format: "ballot record", version: version.into(), known: RECORD_VERSION.into() })
        }
        None => Err(WireError::Malformed { format: "ballot record", problem: "it is empty".to_owned() }),
    }
}

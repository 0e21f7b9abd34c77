//! Deferred records, the values of `pnyx.<id>.deferred`: a record of the ballots topic whose signature only a contract can
//! judge, with the place and time at which it lies there (docs/formats.md, "Deferred record").

use super::{WireError, bytes::Reader};
use crate::{id::Place, time::TimestampMs};

const FORMAT: &str = "deferred record";

/// The version this build writes.
const VERSION: u8 = 1;

/// Bytes before the ballot record: version, partition, offset, append time.
pub const HEAD_BYTES: usize = 1 + 4 + 8 + 8;

/// A record that waits for its voter's contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeferredRecord<'a> {
    /// Where it lies in the ballots topic.
    pub place: Place,
    /// When the log appended it there, by which it is judged: not when it was deferred.
    pub appended_at: TimestampMs,
    /// Its bytes there, version byte included.
    pub record: &'a [u8],
}

/// The bytes of a deferred record.
pub fn encode(deferred: &DeferredRecord<'_>) -> Vec<u8> {
    let DeferredRecord { place, appended_at, record } = deferred;
    let mut bytes = Vec::with_capacity(HEAD_BYTES.saturating_add(record.len()));
    bytes.push(VERSION);
    bytes.extend_from_slice(&place.partition.to_be_bytes());
    bytes.extend_from_slice(&place.offset.to_be_bytes());
    bytes.extend_from_slice(&appended_at.0.to_be_bytes());
    bytes.extend_from_slice(record);
    bytes
}

/// The deferred record of bytes. What follows its head is the ballot record, whatever it is: its own decoder judges it.
pub fn decode(bytes: &[u8]) -> Result<DeferredRecord<'_>, WireError> {
    let mut reader = Reader { format: FORMAT, rest: bytes };
    let [version] = reader.take("version")?;
    if version != VERSION {
        return Err(WireError::Version { format: FORMAT, version: version.into(), known: VERSION.into() });
    }
    let place = Place {
        partition: u32::from_be_bytes(reader.take("partition")?),
        offset: u64::from_be_bytes(reader.take("offset")?),
    };
    let appended_at = TimestampMs(u64::from_be_bytes(reader.take("appendedAtMs")?));
    Ok(DeferredRecord { place, appended_at, record: reader.rest })
}

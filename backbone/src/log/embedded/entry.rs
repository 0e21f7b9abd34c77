//! Entries: records of one partition that were written together, as one value of the storage engine.
//!
//! Append time in ms (8) ‖ number of records (4) ‖ for each its length (4) and its bytes; numbers are big-endian. One
//! value for many records, because the engine's cost is by value: a record of its own each made large writes take
//! three times as long as their sync.

use pnyx_core::time::TimestampMs;

/// An entry is closed once it has this many bytes: what a reader must load to get at one record of it.
const ENTRY_BYTES_MAX: usize = 64 * 1024;

const TIME_BYTES: usize = 8;
const COUNT_BYTES: usize = 4;
const LENGTH_BYTES: usize = 4;

/// An entry being filled.
pub(super) struct EntryBuilder {
    first_offset: u64,
    count: u32,
    bytes: Vec<u8>,
}

impl EntryBuilder {
    /// An entry without records.
    pub(super) fn new(first_offset: u64, appended_at: TimestampMs) -> Self {
        let mut bytes = appended_at.0.to_be_bytes().to_vec();
        bytes.extend_from_slice(&[0; COUNT_BYTES]);
        Self { first_offset, count: 0, bytes }
    }

    /// Adds a record of at most [`crate::log::RECORD_BYTES_MAX`].
    pub(super) fn push(&mut self, record: &[u8]) {
        let length = u32::try_from(record.len()).expect("a record is at most 1 MiB");
        self.bytes.extend_from_slice(&length.to_be_bytes());
        self.bytes.extend_from_slice(record);
        self.count += 1;
    }

    /// Whether the next record should begin another entry.
    pub(super) const fn is_full(&self) -> bool {
        self.bytes.len() >= ENTRY_BYTES_MAX
    }

    /// One above the offset of the last record.
    pub(super) fn next_offset(&self) -> u64 {
        self.first_offset + u64::from(self.count)
    }

    /// The first offset and the value.
    pub(super) fn finish(mut self) -> (u64, Vec<u8>) {
        self.bytes[TIME_BYTES..TIME_BYTES + COUNT_BYTES].copy_from_slice(&self.count.to_be_bytes());
        (self.first_offset, self.bytes)
    }
}

/// An entry being read.
pub(super) struct Entry<'a> {
    /// When its records were appended.
    pub(super) appended_at: TimestampMs,
    /// How many records it has.
    pub(super) count: u32,
    rest: &'a [u8],
}

impl<'a> Entry<'a> {
    /// Reads the head; `None` if it is not one.
    pub(super) fn parse(value: &'a [u8]) -> Option<Self> {
        let (time, rest) = value.split_first_chunk::<TIME_BYTES>()?;
        let (count, rest) = rest.split_first_chunk::<COUNT_BYTES>()?;
        let appended_at = TimestampMs(u64::from_be_bytes(*time));
        Some(Self { appended_at, count: u32::from_be_bytes(*count), rest })
    }

    /// The next record; `None` at the end, or where the value is not an entry.
    pub(super) fn next_record(&mut self) -> Option<&'a [u8]> {
        let (length, rest) = self.rest.split_first_chunk::<LENGTH_BYTES>()?;
        let (record, rest) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
        self.rest = rest;
        Some(record)
    }
}

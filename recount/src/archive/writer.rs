//! The lines of an archive as bytes.

use pnyx_core::{
    proposal::Definition,
    result::PublishedResult,
    wire::archive::{self, ArchiveLine},
};

/// A chunk is sent once it has this many bytes: few wake-ups, and little memory for each reader.
pub const CHUNK_BYTES_MIN: usize = 64 * 1024;

/// Collects lines into bytes and counts them.
#[derive(Debug, Default)]
pub struct ArchiveWriter {
    lines: u64,
    bytes: Vec<u8>,
}

impl ArchiveWriter {
    /// Header, definition, cut and, where the proposal reads chains, pins.
    pub fn open(&mut self, definition: &Definition, result: &PublishedResult) {
        self.push(&ArchiveLine::Header { proposal: definition.proposal().id() });
        self.push(&ArchiveLine::Definition(Box::new(definition.clone())));
        self.push(&ArchiveLine::Cut(result.provenance.cut.clone()));
        if let Some(chains) = &result.provenance.chains {
            self.push(&ArchiveLine::Pins(chains.pins.clone()));
        }
    }

    /// One line.
    pub fn push(&mut self, line: &ArchiveLine) {
        self.lines += 1;
        self.bytes.extend_from_slice(archive::encode(line).as_bytes());
        self.bytes.push(b'\n');
    }

    /// Result and end.
    pub fn close(&mut self, result: &PublishedResult) {
        self.push(&ArchiveLine::Result(Box::new(result.clone())));
        self.push(&ArchiveLine::End { lines: self.lines });
    }

    /// The bytes since the last call.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }

    /// Whether there are enough bytes for a chunk.
    pub const fn is_full(&self) -> bool {
        self.bytes.len() >= CHUNK_BYTES_MIN
    }
}

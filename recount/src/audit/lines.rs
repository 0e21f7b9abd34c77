//! Reads an archive line by line, in bounded memory, and tells a truncated file from a damaged one.

use std::io::{BufRead, Read as _};

use pnyx_core::wire::{
    WireError,
    archive::{self, ArchiveLine},
};

use super::AuditFailure;

/// Longest line that is read: a definition with the most strategies, each naming the most voters, with room to spare.
pub const LINE_BYTES_MAX: usize = 32 * 1024 * 1024;

/// The lines of an archive, up to its end line.
#[derive(Debug)]
pub(super) struct Lines<R> {
    reader: R,
    buffer: Vec<u8>,
    read: u64,
}

impl<R: BufRead> Lines<R> {
    pub(super) const fn new(reader: R) -> Self {
        Self { reader, buffer: Vec::new(), read: 0 }
    }

    /// The number of the line that was read last, from 1.
    pub(super) const fn number(&self) -> u64 {
        self.read
    }

    /// The next line; a file that ends before its end line is truncated.
    pub(super) fn next(&mut self) -> Result<ArchiveLine, AuditFailure> {
        self.fill()?;
        if self.buffer.is_empty() {
            return Err(AuditFailure::Truncated { lines: self.read });
        }
        let is_whole = self.buffer.last() == Some(&b'\n');
        if is_whole {
            self.buffer.pop();
        } else if self.buffer.len() > LINE_BYTES_MAX {
            return Err(AuditFailure::LineTooLong { line: self.read + 1, bytes_max: LINE_BYTES_MAX });
        }
        let decoded = std::str::from_utf8(&self.buffer)
            .map_err(|_| WireError::Malformed { format: "archive line", problem: "it is not UTF-8".to_owned() })
            .and_then(archive::decode);
        match decoded {
            Ok(line) => {
                self.read += 1;
                Ok(line)
            }
            Err(WireError::ProposalId { stated, computed, .. }) => {
                Err(AuditFailure::DefinitionDiffers { stated, computed })
            }
            Err(_) if !is_whole => Err(AuditFailure::Truncated { lines: self.read }),
            Err(source) => Err(AuditFailure::Malformed { line: self.read + 1, source }),
        }
    }

    /// Fails if anything stands after the line that was read last.
    pub(super) fn expect_end(&mut self) -> Result<(), AuditFailure> {
        self.fill()?;
        if self.buffer.is_empty() { Ok(()) } else { Err(AuditFailure::AfterEnd { line: self.read + 1 }) }
    }

    fn fill(&mut self) -> Result<(), AuditFailure> {
        self.buffer.clear();
        let bytes_max = u64::try_from(LINE_BYTES_MAX).expect("a usize fits in 64 bits").saturating_add(1);
        self.reader
            .by_ref()
            .take(bytes_max)
            .read_until(b'\n', &mut self.buffer)
            .map(|_| ())
            .map_err(|source| AuditFailure::Read { lines: self.read, source })
    }

    /// A failure: this line stands where `expected` belongs.
    pub(super) fn unexpected(&self, expected: &'static str, found: &ArchiveLine) -> AuditFailure {
        AuditFailure::UnexpectedLine { line: self.read, expected, found: kind(found) }
    }
}

/// A line's kind in words.
const fn kind(line: &ArchiveLine) -> &'static str {
    match line {
        ArchiveLine::Header { .. } => "the archive's header",
        ArchiveLine::Definition(_) => "the definition",
        ArchiveLine::Cut(_) => "the cut",
        ArchiveLine::Pins(_) => "the pins",
        ArchiveLine::Record(_) => "a record",
        ArchiveLine::Power(_) => "a power",
        ArchiveLine::Ballot(_) => "a ballot",
        ArchiveLine::Result(_) => "the result",
        ArchiveLine::End { .. } => "the end line",
    }
}

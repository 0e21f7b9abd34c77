//! A mark beside the storage engine's files: how many records the log has acknowledged.
//!
//! The engine takes a journal that breaks off in the middle for one whose last write was torn, which is harmless, and
//! cannot tell it from one that lost acknowledged records. The mark can: it is written after the sync and so never
//! says more than is durable. It is not synced itself and costs one write into the operating system's cache.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::FileExt as _,
    path::Path,
};

/// The mark's name in the data directory.
pub(super) const MARK_FILE: &str = "acknowledged";

/// The open mark.
#[derive(Debug)]
pub(super) struct Mark {
    file: File,
    records: u64,
}

impl Mark {
    /// Opens the mark, which says 0 if it is new.
    pub(super) fn open(dir: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(dir.join(MARK_FILE))?;
        let mut bytes = [0; 8];
        let written = file.read_at(&mut bytes, 0)? == bytes.len();
        Ok(Self { file, records: if written { u64::from_be_bytes(bytes) } else { 0 } })
    }

    /// How many records were acknowledged, at least.
    pub(super) const fn records(&self) -> u64 {
        self.records
    }

    /// Notes how many records are durable now.
    pub(super) fn set(&mut self, records: u64) -> io::Result<()> {
        self.records = records;
        self.file.write_all_at(&records.to_be_bytes(), 0)
    }
}

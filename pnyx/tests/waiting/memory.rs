//! What the kernel says of a process's memory.

use std::fs;

use crate::bed::PARTITIONS;

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

/// Consumers that a flood goes through: of ballots that wait for power, of ballots with garbage, and of what these defer.
const CONSUMERS: u64 = 3;

/// What the client library reads ahead of each partition, and one answer of a megabyte that was under way when it had as
/// much.
const READ_AHEAD_BYTES: u64 = (2 + 1) * MIB;

/// The library's own words about each record that it holds, and what the allocator keeps of what was freed, are less than the
/// records themselves again.
const OVERHEAD: u64 = 2;

/// What is worked on for each consumer: a batch of each partition, of at most 256 records of at most 10 KiB, each as it was read,
/// as it is judged, and as it is written.
const BATCHES_BYTES: u64 = PARTITIONS as u64 * 256 * 10 * KIB * 3;

/// Powers that are cached of one proposal.
const CACHE_BYTES: u64 = 32 * MIB;

/// Most that a verifier may hold beyond what it has at rest, however many ballots wait.
pub(crate) const HELD_BYTES_MAX: u64 =
    CONSUMERS * (PARTITIONS as u64 * READ_AHEAD_BYTES * OVERHEAD + BATCHES_BYTES) + CACHE_BYTES;

/// The memory of a process that has nothing to do yet.
pub(crate) struct Memory {
    process: u32,
    at_rest: u64,
}

impl Memory {
    pub(crate) fn of(process: u32) -> Self {
        Self { process, at_rest: status(process, "VmRSS:") }
    }

    /// What was resident when nothing had been done.
    pub(crate) const fn at_rest(&self) -> u64 {
        self.at_rest
    }

    /// Forgets how much was resident before now.
    pub(crate) fn reset_peak(&self) {
        fs::write(format!("/proc/{}/clear_refs", self.process), "5").unwrap();
    }

    /// The most that was resident since, above what was at rest.
    pub(crate) fn peak_above_rest(&self) -> u64 {
        status(self.process, "VmHWM:").saturating_sub(self.at_rest)
    }
}

pub(crate) fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / MIB as f64
}

fn status(process: u32, field: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * KIB
}

//! Settings of the closing, with their defaults and reasons.

use std::{num::NonZeroUsize, time::Duration};

use crate::count::all_cores;

/// How long after the close the cut is made. Longer than the edge may wait for an append (2,000 ms at most) and the
/// skew between this clock and the log's together, so that no record with an append time inside the window comes later.
pub const GRACE_AFTER_CLOSE_MS: u64 = 5_000;

/// How often the drain looks at offsets: a result is late by this at most, and looking is cheap.
pub const DRAIN_POLL_MS: u64 = 50;

/// How long to wait before a disputed proposal is recounted again. A difference is a defect or tampering and goes away
/// only when a person has acted, so there is no hurry; it is tried again so that their action needs no second step.
pub const DISPUTE_RETRY_MS: u64 = 10 * 60 * 1_000;

/// How long to wait after the log or the store failed.
pub const FAILURE_RETRY_MS: u64 = 1_000;

/// How long to wait before an archive that could not be stored is tried again: the result stands, so nobody waits, and each
/// try may read the whole log of the proposal. Doubled after each try, up to [`ARCHIVE_RETRY_MAX_MS`], which is also how long
/// what trying again would not change waits.
pub const ARCHIVE_RETRY_MS: u64 = 60 * 1_000;

/// The longest such wait: some archives can never be stored, because their topics went before a place was named, and a line an
/// hour says so often enough.
pub const ARCHIVE_RETRY_MAX_MS: u64 = 60 * 60 * 1_000;

/// How often a chain is asked whether a snapshot's block is final: seconds do not matter where finality takes minutes,
/// and a public endpoint allows it.
pub const PIN_POLL_MS: u64 = 2_000;

/// How long after the cut the log is watched for records that should lie below it: a process that was held up for
/// longer than this with an append in flight has long been given up by the log.
pub const LATE_WATCH_MS: u64 = 60 * 60 * 1_000;

/// How often that is looked at: only ends of partitions are asked for.
pub const LATE_POLL_MS: u64 = 30 * 1_000;

/// How the closing behaves.
#[derive(Debug, Clone, Copy)]
pub struct Config {
    /// See [`GRACE_AFTER_CLOSE_MS`].
    pub grace_after_close: Duration,
    /// See [`DRAIN_POLL_MS`].
    pub drain_poll: Duration,
    /// See [`DISPUTE_RETRY_MS`].
    pub dispute_retry: Duration,
    /// See [`FAILURE_RETRY_MS`].
    pub failure_retry: Duration,
    /// See [`ARCHIVE_RETRY_MS`].
    pub archive_retry: Duration,
    /// See [`PIN_POLL_MS`].
    pub pin_poll: Duration,
    /// See [`LATE_WATCH_MS`].
    pub late_watch: Duration,
    /// See [`LATE_POLL_MS`].
    pub late_poll: Duration,
    /// Cores that recount; one proposal is recounted at a time.
    pub threads: NonZeroUsize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            grace_after_close: Duration::from_millis(GRACE_AFTER_CLOSE_MS),
            drain_poll: Duration::from_millis(DRAIN_POLL_MS),
            dispute_retry: Duration::from_millis(DISPUTE_RETRY_MS),
            failure_retry: Duration::from_millis(FAILURE_RETRY_MS),
            archive_retry: Duration::from_millis(ARCHIVE_RETRY_MS),
            pin_poll: Duration::from_millis(PIN_POLL_MS),
            late_watch: Duration::from_millis(LATE_WATCH_MS),
            late_poll: Duration::from_millis(LATE_POLL_MS),
            threads: all_cores(),
        }
    }
}

//! What the log shows of a proposal's topics.

use pnyx_core::{scaling::Sample, time::TimestampMs};

/// What the log shows of a proposal's topics: facts that could not be had are `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TopicsSeen {
    /// Partitions of the ballots topic, as last heard.
    pub partitions: Option<u32>,
    /// Two readings give rates: the last sample that succeeded.
    pub sample: Option<Sample>,
    /// The cut stands in the log; `None` while the log was not read.
    pub has_cut: Option<bool>,
    /// Verifiers and tally reached the cut.
    pub is_drained: Option<bool>,
    /// All that had come by this moment has its verdict.
    pub verified_to: Option<TimestampMs>,
    /// The log answers.
    pub is_followed: bool,
    /// Its platform keeps archives outside the log, as last seen; nothing while the log is not followed.
    pub keeps_archives: Option<bool>,
    /// They were removed.
    pub are_removed: bool,
    /// Since when this operator watches it.
    pub watching_since: Option<TimestampMs>,
}

//! What is known of a proposal's pipeline when its scaling is planned.

use super::Rate;
use crate::time::TimestampMs;

/// What an operator sees. Facts that could not be had are `None` or old, never made up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// The last sample of the ballots topic that succeeded.
    pub sample: Option<Sample>,
    /// What one busy shard verifies, as the shards measured it; `None` until they have. Measured over the time in which
    /// they are busy: throughput over all time would be the arrival rate.
    pub rate_per_shard: Option<Rate>,
    /// The shards there are.
    pub shards: Shards,
    /// Who decides how many there are.
    pub owner: ReplicasOwner,
    /// Partitions of the ballots topic, as last heard; 0 before it is made.
    pub partitions: u32,
    /// Since when shards are being given other partitions, or are starting, without a pause; `None` while they are not.
    pub rebalancing_since: Option<TimestampMs>,
    /// Since when this operator watches the proposal.
    pub watching_since: TimestampMs,
    /// The cut is in the log; `None` while the log was not read.
    pub has_cut: Option<bool>,
    /// Verifiers and tally reached the cut; `None` while that could not be learnt. It means nothing without a cut.
    pub is_drained: Option<bool>,
}

impl Observed {
    /// Whether nothing is left to verify, for ever; `None` while that is not known. What is not cut is not drained.
    pub(super) const fn is_over(&self) -> Option<bool> {
        match self.has_cut {
            Some(true) => self.is_drained,
            Some(false) => Some(false),
            None => None,
        }
    }
}

/// Who writes how many shards there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum ReplicasOwner {
    /// We do.
    #[default]
    Operator,
    /// Another scaler does: what would be chosen is reported and nothing is changed.
    Other,
}

/// Shards of a proposal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Shards {
    /// How many were asked for last.
    pub desired: u32,
    /// How many of them work.
    pub ready: u32,
}

/// The ballots topic at one instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// When the ends were read.
    pub taken_at: TimestampMs,
    /// Every partition, in order.
    pub partitions: Vec<PartitionLoad>,
}

/// What one partition holds and gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PartitionLoad {
    /// Records without a committed verdict.
    pub backlog: u64,
    /// Records that arrive.
    pub arrival: Rate,
}

impl Sample {
    /// Records without a committed verdict, in all partitions.
    pub fn backlog(&self) -> u64 {
        self.partitions.iter().fold(0, |sum, load| sum.saturating_add(load.backlog))
    }

    /// The most of them in one partition.
    pub fn fullest_backlog(&self) -> u64 {
        self.partitions.iter().map(|load| load.backlog).max().unwrap_or_default()
    }

    /// Records that arrive, in all partitions.
    pub fn arrival(&self) -> Rate {
        self.partitions.iter().map(|load| load.arrival).sum()
    }
}

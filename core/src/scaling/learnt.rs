//! What outlives an operator: plain data that it keeps in status and gives back when it starts again.

use super::{Rate, ScalingPhase, ScalingSpec};
use crate::time::TimestampMs;

/// How many starts are remembered: enough for a percentile, few enough that a faster cluster is noticed.
pub const STARTS_KEPT: usize = 32;

/// How many starts must have been seen before anything follows from them.
pub const STARTS_LEARNT_MIN: usize = 3;

/// Longest lead that is learnt: half an hour. Shards that took longer waited for something that no lead brings, such as a
/// quota, and must not make all later windows early by hours.
pub const LEAD_LEARNT_MS_MAX: u64 = 1_800_000;

/// Longest start that is noted: an hour. What took longer is noted as that, and says no more than that.
pub const START_MS_MAX: u64 = 3_600_000;

/// How far ahead a start may lie: clocks of two operators differ by less. One from further ahead would be the latest for ever.
pub const START_AHEAD_MS_MAX: u64 = 60_000;

/// What is worth keeping. Whatever stands in it is safe: what cannot be is left out when it is read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Remembered {
    /// How long shards took to start, the latest last.
    pub starts: Vec<Start>,
    /// What one shard verifies, smoothed; it depends on the proposal's strategies.
    pub rate_per_shard: Option<Rate>,
    /// How far the proposal has come.
    pub reached: Option<ScalingPhase>,
}

/// Shards that were asked for and came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Start {
    /// When they worked.
    pub at: TimestampMs,
    /// How long that took from asking for them.
    pub took_ms: u64,
}

impl Remembered {
    /// What a new proposal begins with: the latest starts of all others, since they run on the same machines. Their rates
    /// say nothing of its own.
    pub fn of_others<'a>(others: impl IntoIterator<Item = &'a Self>, now: TimestampMs) -> Self {
        let starts = others.into_iter().flat_map(|other| other.starts.iter().copied()).collect();
        Self { starts: latest(starts, now), rate_per_shard: None, reached: None }
    }

    /// The same without what cannot be: more starts than are kept, those that took no time or are still to come, no rate.
    pub(super) fn read(self, now: TimestampMs) -> Self {
        let Self { starts, rate_per_shard, reached } = self;
        Self { starts: latest(starts, now), rate_per_shard: rate_per_shard.filter(|rate| *rate > Rate::ZERO), reached }
    }

    pub(super) fn record_start(&mut self, start: Start) {
        self.starts.push(start);
        self.starts = latest(std::mem::take(&mut self.starts), start.at);
    }

    /// How long before the opening shards must be started: as the spec says, and longer where nineteen of twenty starts
    /// took longer, by a quarter for safety.
    pub(super) fn lead_ms(&self, spec: &ScalingSpec) -> u64 {
        if self.starts.len() < STARTS_LEARNT_MIN {
            return spec.lead_ms();
        }
        let mut sorted: Vec<u64> = self.starts.iter().map(|start| start.took_ms).collect();
        sorted.sort_unstable();
        let rank = sorted.len().saturating_mul(95).div_ceil(100).saturating_sub(1);
        let slow_ms = sorted.get(rank).copied().unwrap_or_default();
        let learnt_ms = slow_ms.saturating_add(slow_ms.div_ceil(4)).min(LEAD_LEARNT_MS_MAX);
        spec.lead_ms().max(learnt_ms)
    }
}

/// The latest starts that can be, in order and each once.
fn latest(mut starts: Vec<Start>, now: TimestampMs) -> Vec<Start> {
    starts.retain(|start| start.took_ms > 0 && start.at.saturating_since_ms(now) <= START_AHEAD_MS_MAX);
    starts.iter_mut().for_each(|start| start.took_ms = start.took_ms.min(START_MS_MAX));
    starts.sort_unstable();
    starts.dedup();
    let surplus = starts.len().saturating_sub(STARTS_KEPT);
    starts.split_off(surplus)
}

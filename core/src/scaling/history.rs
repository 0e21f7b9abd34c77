//! What a planner remembers: what was wanted lately, since when it has seen fresh data, and how long starts took.

use std::collections::VecDeque;

use super::{Data, FRESH_MS, GIVE_BACK_EVERY_MS, LEAD_MS_MAX, Plan, STABILIZATION_MS, ScalingSpec};
use crate::time::TimestampMs;

/// How many starts are remembered: enough for a percentile, few enough that a faster cluster is noticed.
pub const STARTS_KEPT: usize = 32;

/// How many starts must have been seen before anything follows from them.
pub const STARTS_LEARNT_MIN: usize = 3;

/// The past, as far as it counts. It may be lost at any time: then nothing is given back for a while.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct History {
    /// What was wanted, falling from the front to the back, so that the front is the most. No longer than there are
    /// different numbers of shards.
    wanted: VecDeque<(TimestampMs, u32)>,
    fresh_since: Option<TimestampMs>,
    recorded_at: Option<TimestampMs>,
    given_back_at: Option<TimestampMs>,
    starts_ms: VecDeque<u64>,
}

impl History {
    /// Notes a plan, when it is made. Noting it twice is as noting it once.
    pub fn record(&mut self, plan: &Plan) {
        let is_gap = self.recorded_at.is_none_or(|last| plan.at.saturating_since_ms(last) > FRESH_MS);
        self.recorded_at = Some(plan.at);
        if plan.shards.to < plan.shards.from {
            self.given_back_at = Some(plan.at);
        }
        match plan.inputs.data {
            Data::Fresh { .. } if is_gap => self.fresh_since = Some(plan.at),
            Data::Fresh { .. } => {
                self.fresh_since.get_or_insert(plan.at);
            }
            Data::Stale { .. } | Data::Missing => {
                self.fresh_since = None;
                return;
            }
        }
        while self.wanted.front().is_some_and(|(at, _)| plan.at.saturating_since_ms(*at) > STABILIZATION_MS) {
            self.wanted.pop_front();
        }
        while self.wanted.back().is_some_and(|(_, wanted)| *wanted <= plan.shards.wanted) {
            self.wanted.pop_back();
        }
        self.wanted.push_back((plan.at, plan.shards.wanted));
    }

    /// Notes how long shards took from being asked for until they worked.
    pub fn record_start(&mut self, took_ms: u64) {
        if self.starts_ms.len() >= STARTS_KEPT {
            self.starts_ms.pop_front();
        }
        self.starts_ms.push_back(took_ms);
    }

    /// How long before the opening shards must be started: as the spec says, and longer where nineteen of twenty starts
    /// took longer, by a quarter for safety.
    pub fn lead_ms(&self, spec: &ScalingSpec) -> u64 {
        if self.starts_ms.len() < STARTS_LEARNT_MIN {
            return spec.lead_ms();
        }
        let mut sorted: Vec<u64> = self.starts_ms.iter().copied().collect();
        sorted.sort_unstable();
        let rank = sorted.len().saturating_mul(95).div_ceil(100).saturating_sub(1);
        let slow_ms = sorted.get(rank).copied().unwrap_or_default();
        let learnt_ms = slow_ms.saturating_add(slow_ms.div_ceil(4)).min(LEAD_MS_MAX);
        spec.lead_ms().max(learnt_ms)
    }

    /// The most that was wanted in the last [`STABILIZATION_MS`].
    pub(super) fn most_wanted(&self, now: TimestampMs) -> u32 {
        let recent = |(at, _): &&(TimestampMs, u32)| now.saturating_since_ms(*at) <= STABILIZATION_MS;
        self.wanted.iter().find(recent).map_or(0, |(_, wanted)| *wanted)
    }

    /// Whether shards were given back in the last [`GIVE_BACK_EVERY_MS`].
    pub(super) fn has_just_given_back(&self, now: TimestampMs) -> bool {
        self.given_back_at.is_some_and(|at| now.saturating_since_ms(at) < GIVE_BACK_EVERY_MS)
    }

    /// For how long samples have been fresh without a gap, if they are.
    pub(super) fn fresh_for_ms(&self, now: TimestampMs) -> u64 {
        let is_continued = self.recorded_at.is_some_and(|last| now.saturating_since_ms(last) <= FRESH_MS);
        self.fresh_since.filter(|_| is_continued).map_or(0, |since| now.saturating_since_ms(since))
    }
}

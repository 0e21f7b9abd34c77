//! What a planner remembers of one proposal.

use super::{
    Data, FRESH_MS, GIVE_BACK_EVERY_MS, Plan, REGRET_MS, REGRETS_MAX, Rate, RatePerShard, Remembered, STABILIZATION_MS,
    ScalingPhase, ScalingSpec, Start,
    recent::{Ask, Fall, Recent},
};
use crate::time::TimestampMs;

/// The past, as far as it counts. What is [`Remembered`] should outlive the operator; the rest may be lost at any time,
/// and then nothing is given back for a while.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct History {
    remembered: Remembered,
    recent: Recent,
    fresh_since: Option<TimestampMs>,
    recorded_at: Option<TimestampMs>,
    given_back: Option<GivenBack>,
    regrets: u32,
}

/// Shards that were given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct GivenBack {
    at: TimestampMs,
    from: u32,
    is_regretted: bool,
}

impl History {
    /// What an operator begins with: all it has in status, or what [`Remembered::of_others`] gives for a new proposal.
    pub fn of(remembered: Remembered, now: TimestampMs) -> Self {
        Self { remembered: remembered.read(now), ..Self::default() }
    }

    /// What to keep in status.
    pub const fn remembered(&self) -> &Remembered {
        &self.remembered
    }

    /// Notes a plan, when it was applied. Noting it twice is as noting it once.
    pub fn record(&mut self, plan: &Plan) {
        if self.recorded_at == Some(plan.at) {
            return;
        }
        let is_gap = self.recorded_at.is_none_or(|last| plan.at.saturating_since_ms(last) > FRESH_MS);
        self.recorded_at = Some(plan.at);
        // Warming that was left is left.
        let before = self.remembered.reached.filter(|_| plan.phase != ScalingPhase::Idle);
        self.remembered.reached = before.max(Some(plan.phase));
        if let RatePerShard::Measured(rate) | RatePerShard::Bounded(rate) = plan.inputs.rate_per_shard {
            self.remembered.rate_per_shard = Some(rate);
        }
        self.record_change(plan);
        match plan.inputs.data {
            Data::Fresh { .. } if is_gap => self.fresh_since = Some(plan.at),
            Data::Fresh { .. } => {
                self.fresh_since.get_or_insert(plan.at);
            }
            Data::Stale { .. } | Data::Partial { .. } | Data::Missing => {
                self.fresh_since = None;
                return;
            }
        }
        self.recent.record(plan.at, plan.ask, STABILIZATION_MS.saturating_mul(1 << REGRETS_MAX));
    }

    fn record_change(&mut self, plan: &Plan) {
        let (from, to) = (plan.shards.from, plan.shards.to);
        if to < from {
            self.given_back = Some(GivenBack { at: plan.at, from, is_regretted: false });
        } else if to > from {
            match self.given_back {
                Some(GivenBack { at, from, is_regretted }) if plan.at.saturating_since_ms(at) <= REGRET_MS => {
                    if to <= from && !is_regretted {
                        self.regrets = self.regrets.saturating_add(1).min(REGRETS_MAX);
                        self.given_back = Some(GivenBack { at, from, is_regretted: true });
                    }
                }
                Some(_) | None => self.regrets = 0,
            }
        }
    }

    /// Notes how long shards took from being asked for until they worked.
    pub fn record_start(&mut self, start: Start) {
        self.remembered.record_start(start);
    }

    /// How long before the opening shards must be started: as the spec says, and longer where starts were seen to take
    /// longer.
    pub fn lead_ms(&self, spec: &ScalingSpec) -> u64 {
        self.remembered.lead_ms(spec)
    }

    /// How far the proposal has come.
    pub(super) fn reached(&self) -> ScalingPhase {
        self.remembered.reached.unwrap_or(ScalingPhase::Idle)
    }

    /// What one shard verifies, as was learnt.
    pub(super) const fn rate_per_shard(&self) -> Option<Rate> {
        self.remembered.rate_per_shard
    }

    /// The same with a new measurement, which counts for an eighth. What was noted already is not counted again.
    pub(super) fn rate_per_shard_with(&self, measured: Rate, now: TimestampMs) -> Rate {
        match self.remembered.rate_per_shard {
            Some(learnt) if self.recorded_at == Some(now) => learnt,
            Some(learnt) => learnt.blended(7, measured),
            None => measured,
        }
    }

    /// For how long less must have been needed: longer after each regret.
    pub(super) fn stabilization_ms(&self) -> u64 {
        STABILIZATION_MS.saturating_mul(1_u64.checked_shl(self.regrets).unwrap_or(1))
    }

    /// As [`Recent::risen`].
    pub(super) fn risen(&self, now: TimestampMs, ask: Ask, from: u32) -> Option<u32> {
        self.recent.risen(now, ask, from)
    }

    /// As [`Recent::fallen`].
    pub(super) fn fallen(&self, now: TimestampMs, ask: Ask, from: u32) -> Fall {
        self.recent.fallen(now, ask, self.stabilization_ms(), from)
    }

    /// The most that was wanted lately, this ask included.
    pub(super) fn most(&self, now: TimestampMs, ask: Ask) -> u32 {
        self.recent.most(now, ask, self.stabilization_ms())
    }

    /// Whether shards were given back in the last [`GIVE_BACK_EVERY_MS`].
    pub(super) fn has_just_given_back(&self, now: TimestampMs) -> bool {
        self.given_back.is_some_and(|given| now.saturating_since_ms(given.at) < GIVE_BACK_EVERY_MS)
    }

    /// For how long samples have been fresh without a gap, if they are.
    pub(super) fn fresh_for_ms(&self, now: TimestampMs) -> u64 {
        let is_continued = self.recorded_at.is_some_and(|last| now.saturating_since_ms(last) <= FRESH_MS);
        self.fresh_since.filter(|_| is_continued).map_or(0, |since| now.saturating_since_ms(since))
    }
}

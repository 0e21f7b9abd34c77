//! The choice of a number of shards.

use super::{
    AFTER_CLOSE_MS, Candidates, History, Inputs, Limit, Observed, REBALANCE_MS_MAX, ReplicasOwner, STABILIZATION_MS,
    ScalingPhase, ScalingSpec, TAIL_PERCENT,
    recent::{Ask, Fall},
};
use crate::time::{TimestampMs, Window};

/// What the number of shards is chosen from.
pub(super) struct Choice<'a> {
    pub(super) spec: &'a ScalingSpec,
    pub(super) window: &'a Window,
    pub(super) observed: &'a Observed,
    pub(super) history: &'a History,
    pub(super) phase: ScalingPhase,
    pub(super) inputs: Inputs,
    pub(super) candidates: Candidates,
    pub(super) ask: Ask,
    pub(super) now: TimestampMs,
}

impl Choice<'_> {
    /// What there should be as far as `cap` allows, and what decides.
    pub(super) fn choose(&self, cap: u32) -> (u32, Limit) {
        let from = self.observed.shards.desired;
        let max = self.spec.max_shards();
        match self.observed.owner {
            ReplicasOwner::Other => return (from, Limit::ExternalScaler),
            ReplicasOwner::Operator => {}
        }
        if self.observed.is_over().is_none() && self.phase == ScalingPhase::Draining {
            let limit = if from > max { Limit::MaxShards } else { Limit::UnknownDrain };
            return (from.min(max), limit);
        }
        if let Some(stated) = self.spec.shards().filter(|_| self.phase != ScalingPhase::Drained) {
            return self.follow(stated, cap);
        }
        // What the spec says is no data that may be wrong: more than maxShards never stays.
        if from > max {
            return match self.lower(max, cap) {
                (to, _) if to >= max => (max, Limit::MaxShards),
                lower => lower,
            };
        }
        let Some(risen) = self.history.risen(self.now, self.ask, from) else { return self.lower(from, cap) };
        let limit = match self.candidates.wanted(self.phase) {
            _ if risen > cap && max <= cap => Limit::MaxShards,
            _ if risen > cap => Limit::Partitions,
            (_, cause) => cause,
        };
        // Partitions limit only what is added: a broker that tells of too few takes nothing away.
        (risen.min(cap).max(from), limit)
    }

    /// What the resource says instead of the plan, at least the floor. Its owner's word is no data that may be wrong, so only
    /// `hold` keeps what there is, which is the same owner's.
    fn follow(&self, stated: u32, cap: u32) -> (u32, Limit) {
        let from = self.observed.shards.desired.min(self.spec.max_shards());
        let floor = self.candidates.floor;
        let asked = stated.max(floor);
        // Partitions limit only what is added.
        let possible = asked.min(cap.max(from));
        if self.spec.hold() && possible < from {
            return (from, Limit::Hold);
        }
        let limit = match () {
            () if possible < asked => Limit::Partitions,
            () if stated < floor => Limit::Floor,
            () => Limit::Stated,
        };
        (possible, limit)
    }

    /// What is left of `from` where no more is needed.
    fn lower(&self, from: u32, cap: u32) -> (u32, Limit) {
        let (wanted, cause) = self.candidates.wanted(self.phase);
        let max = self.spec.max_shards();
        let ask = self.ask.at_most(cap);
        if ask.wanted >= from {
            let limit = match () {
                () if wanted == from => cause,
                () if from >= max => Limit::MaxShards,
                () if from >= cap => Limit::Partitions,
                () => Limit::Unconfirmed,
            };
            return (from, limit);
        }
        if let Some(blocker) = self.blocker() {
            return (from, blocker);
        }
        if self.phase == ScalingPhase::Drained {
            return (wanted, cause);
        }
        match self.history.fallen(self.now, ask, from) {
            Fall::To(to) if to <= wanted => (to, cause),
            Fall::To(to) => (to, Limit::Stabilizing),
            Fall::NoRoom => (from, Limit::Room),
            Fall::TooSoon => (from, Limit::Stabilizing),
            Fall::TooLittle => (from, Limit::Little),
        }
    }

    /// What speaks against giving anything back; the first of its reasons. That a proposal is drained stands in the log,
    /// so only its owner's word keeps shards of it.
    fn blocker(&self) -> Option<Limit> {
        let watched_ms = self.now.saturating_since_ms(self.observed.watching_since);
        let is_drained = self.phase == ScalingPhase::Drained;
        let is_rebalancing =
            self.observed.rebalancing_since.is_some_and(|since| self.now.saturating_since_ms(since) < REBALANCE_MS_MAX);
        let reasons = [
            (Limit::Hold, self.spec.hold()),
            (Limit::UnknownData, !is_drained && !self.inputs.data.is_fresh()),
            (Limit::JustStarted, !is_drained && watched_ms < STABILIZATION_MS),
            (Limit::Warming, self.phase == ScalingPhase::Warming),
            (Limit::Closing, self.phase == ScalingPhase::Closing),
            (Limit::Draining, self.phase == ScalingPhase::Draining && self.is_still_needed()),
            (Limit::Rebalance, !is_drained && is_rebalancing),
            (Limit::JustFresh, !is_drained && self.history.fresh_for_ms(self.now) < STABILIZATION_MS),
            (Limit::Stabilizing, !is_drained && self.history.has_just_given_back(self.now)),
        ];
        reasons.into_iter().find(|(_, applies)| *applies).map(|(limit, _)| limit)
    }

    /// Whether the drain still depends on the shards: ballots wait in more than one partition, or acknowledgements may be
    /// in flight.
    fn is_still_needed(&self) -> bool {
        let since_close_ms = self.now.saturating_since_ms(self.window.closes_at());
        let (backlog, fullest) = (self.inputs.backlog, self.inputs.fullest_backlog.unwrap_or_default());
        let is_tail = backlog.is_some_and(|backlog| {
            let rest = u128::from(backlog.saturating_sub(fullest));
            rest.saturating_mul(100) <= u128::from(fullest).saturating_mul(u128::from(TAIL_PERCENT))
        });
        !is_tail || since_close_ms < AFTER_CLOSE_MS
    }
}

//! The plan: shards, partitions, and when to look again, with everything that led to them.

use super::{
    AFTER_CLOSE_MS, Candidates, GROW_BEFORE_CLOSE_MS, History, Inputs, LOOK_AGAIN_IDLE_MS, LOOK_AGAIN_MS, Limit,
    Observed, PartitionsLimit, STABILIZATION_MS, ScalingPhase, ScalingSpec, phase,
};
use crate::time::{TimestampMs, Window};

/// What should be, and why. Applying it is all that is left to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// When it was made.
    pub at: TimestampMs,
    /// Where the proposal is in its life.
    pub phase: ScalingPhase,
    /// What it was made from.
    pub inputs: Inputs,
    /// What could have been chosen.
    pub candidates: Candidates,
    /// How many shards.
    pub shards: ShardsChoice,
    /// How many partitions.
    pub partitions: PartitionsChoice,
    /// When to plan again, unless something changes before.
    pub look_again_at: TimestampMs,
}

/// A number of shards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShardsChoice {
    /// How many there were.
    pub from: u32,
    /// How many there should be.
    pub to: u32,
    /// How many there would be if nothing had to be waited for.
    pub wanted: u32,
    /// What decided.
    pub limit: Limit,
}

/// A number of partitions of the ballots topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionsChoice {
    /// How many there were.
    pub from: u32,
    /// How many there should be.
    pub to: u32,
    /// What decided.
    pub limit: PartitionsLimit,
}

/// Plans the scaling of one proposal. Total and pure: whatever is observed, the same comes out of the same.
pub fn plan(spec: &ScalingSpec, window: &Window, observed: &Observed, history: &History, now: TimestampMs) -> Plan {
    let lead_ms = history.lead_ms(spec);
    let phase = ScalingPhase::at(window, lead_ms, observed, now);
    let inputs = Inputs::of(spec, window, observed, lead_ms, now);
    let candidates = Candidates::of(spec, phase, &inputs, observed.sample.as_ref(), history, now);
    let partitions = choose_partitions(spec, window, phase, &candidates, observed.partitions, now);
    let shards =
        Shards { spec, window, observed, history, phase, inputs, candidates, partitions: partitions.to, now }.choose();
    // Whoever waits to give shards back waits for the clock or for data, unless the owner holds them.
    let is_waiting = shards.to > shards.wanted && shards.limit != Limit::Hold;
    let look_again_at = look_again_at(window, phase, lead_ms, is_waiting, now);
    Plan { at: now, phase, inputs, candidates, shards, partitions, look_again_at }
}

fn choose_partitions(
    spec: &ScalingSpec,
    window: &Window,
    phase: ScalingPhase,
    candidates: &Candidates,
    from: u32,
    now: TimestampMs,
) -> PartitionsChoice {
    // More partitions than shards can ever read them would be of no use.
    let useful = candidates.wanted_partitions().min(spec.max_shards());
    let is_missing = useful > from;
    let roomy = if is_missing { useful.saturating_mul(2) } else { 0 };
    let goal = roomy.max(spec.partitions_initial()).min(spec.partitions_max());
    let is_late = now.saturating_add_ms(GROW_BEFORE_CLOSE_MS) > window.closes_at();
    let (to, limit) = match phase {
        _ if from == 0 => (goal.max(1), PartitionsLimit::Created),
        ScalingPhase::Idle | ScalingPhase::Warming | ScalingPhase::Open | ScalingPhase::Closing => {
            if goal <= from {
                (from, PartitionsLimit::Enough)
            } else if is_late {
                (from, PartitionsLimit::NearClose)
            } else {
                (goal, PartitionsLimit::Grown)
            }
        }
        ScalingPhase::Draining | ScalingPhase::Drained => {
            (from, if is_missing { PartitionsLimit::Closed } else { PartitionsLimit::Enough })
        }
    };
    PartitionsChoice { from, to, limit }
}

/// What the number of shards is chosen from.
struct Shards<'a> {
    spec: &'a ScalingSpec,
    window: &'a Window,
    observed: &'a Observed,
    history: &'a History,
    phase: ScalingPhase,
    inputs: Inputs,
    candidates: Candidates,
    partitions: u32,
    now: TimestampMs,
}

impl Shards<'_> {
    fn choose(&self) -> ShardsChoice {
        let from = self.observed.shards.desired;
        let max = self.spec.max_shards();
        let cap = max.min(self.partitions);
        let (wanted, cause) = self.candidates.wanted(self.phase);
        let (wanted, cause) = if wanted <= cap {
            (wanted, cause)
        } else if max <= self.partitions {
            (cap, Limit::MaxShards)
        } else {
            (cap, Limit::Partitions)
        };
        let (to, limit) = if wanted >= from {
            (wanted, cause)
        } else if let Some(blocker) = self.blocker() {
            // What the spec says is no data that may be wrong: more than maxShards never stays.
            if from > max { (max, Limit::MaxShards) } else { (from, blocker) }
        } else {
            let recent = self.candidates.recent.min(cap).min(from);
            let is_settled = recent <= wanted || self.phase == ScalingPhase::Drained;
            if is_settled { (wanted, cause) } else { (recent, Limit::Stabilizing) }
        };
        ShardsChoice { from, to, wanted, limit }
    }

    /// What speaks against giving anything back; the first of its reasons. That a proposal is drained stands in the log,
    /// so only its owner's word keeps shards of it.
    fn blocker(&self) -> Option<Limit> {
        let watched_ms = self.now.saturating_since_ms(self.observed.watching_since);
        let is_drained = self.phase == ScalingPhase::Drained;
        let reasons = [
            (Limit::Hold, self.spec.hold()),
            (Limit::UnknownData, !is_drained && !self.inputs.data.is_fresh()),
            (Limit::JustStarted, !is_drained && watched_ms < STABILIZATION_MS),
            (Limit::Warming, self.phase == ScalingPhase::Warming),
            (Limit::Closing, self.phase == ScalingPhase::Closing),
            (Limit::Draining, self.phase == ScalingPhase::Draining && self.is_still_needed()),
            (Limit::Rebalance, !is_drained && self.observed.is_rebalancing),
            (Limit::JustFresh, !is_drained && self.history.fresh_for_ms(self.now) < STABILIZATION_MS),
            (Limit::Stabilizing, !is_drained && self.history.has_just_given_back(self.now)),
        ];
        reasons.into_iter().find(|(_, applies)| *applies).map(|(limit, _)| limit)
    }

    /// Whether the drain still depends on the shards: ballots wait, or acknowledgements may be in flight.
    fn is_still_needed(&self) -> bool {
        let since_close_ms = self.now.saturating_since_ms(self.window.closes_at());
        self.inputs.backlog != Some(0) || since_close_ms < AFTER_CLOSE_MS
    }
}

/// The next look: soon while ballots may come or wait, and at the next instant at which the clock alone changes something.
fn look_again_at(
    window: &Window,
    phase: ScalingPhase,
    lead_ms: u64,
    is_waiting: bool,
    now: TimestampMs,
) -> TimestampMs {
    let interval_ms = match phase {
        ScalingPhase::Idle | ScalingPhase::Drained if !is_waiting => LOOK_AGAIN_IDLE_MS,
        ScalingPhase::Idle
        | ScalingPhase::Warming
        | ScalingPhase::Open
        | ScalingPhase::Closing
        | ScalingPhase::Draining
        | ScalingPhase::Drained => LOOK_AGAIN_MS,
    };
    let turns = [
        phase::warming_at(window, lead_ms),
        window.opens_at(),
        phase::closing_at(window, lead_ms),
        window.closes_at(),
        now.saturating_add_ms(interval_ms),
    ];
    turns.into_iter().filter(|turn| *turn > now).min().unwrap_or(now)
}

//! The plan: shards, partitions, and when to look again, with everything that led to them.

use super::{
    Candidates, History, Inputs, LOOK_AGAIN_IDLE_MS, LOOK_AGAIN_MS, Limit, Observed, PartitionsLimit, ReplicasOwner,
    ScalingPhase, ScalingSpec, partitions, phase, recent::Ask, shards::Choice,
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
    /// What the history notes of it.
    pub(super) ask: Ask,
}

/// A number of shards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShardsChoice {
    /// How many there were.
    pub from: u32,
    /// How many there should be. The same as before where another scaler decides.
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
    let phase = ScalingPhase::at(window, history.lead_ms(spec), observed, history.reached(), now);
    let inputs = Inputs::of(spec, window, observed, history, phase, now);
    let candidates = Candidates::of(spec, phase, &inputs, observed.sample.as_ref());
    let ask = candidates.ask(phase);
    let candidates = Candidates { recent: history.most(now, ask), ..candidates };
    let choice = Choice { spec, window, observed, history, phase, inputs, candidates, ask, now };
    let max = spec.max_shards();
    // First what there would be with partitions enough, then partitions for it, then what these allow.
    let useful = match observed.owner {
        ReplicasOwner::Operator => choice.choose(max).0,
        ReplicasOwner::Other => observed.shards.desired.max(history.risen(now, ask, 0).unwrap_or_default()),
    };
    let partitions = partitions::choose(spec, window, phase, useful, observed.partitions, now);
    let cap = max.min(partitions.to);
    let (to, limit) = choice.choose(cap);
    let wanted = ask.wanted.min(cap);
    let shards = ShardsChoice { from: observed.shards.desired, to, wanted, limit };
    // Whoever waits to give shards back waits for the clock or for data, unless the owner holds them.
    let is_waiting = shards.to > shards.wanted && !matches!(limit, Limit::Hold | Limit::ExternalScaler | Limit::Stated);
    let look_again_at = look_again_at(window, phase, inputs.lead_ms, is_waiting, now);
    Plan { at: now, phase, inputs, candidates, shards, partitions, look_again_at, ask }
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

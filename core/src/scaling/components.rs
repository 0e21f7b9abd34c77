//! How many instances of the edge and of the tally a platform needs: they serve all windows together.

use super::{
    FRESH_MS, Inputs, Plan, ROOM_PERCENT, Rate, STABILIZATION_MS, ScalingPhase, ScalingSpec,
    recent::{Ask, Fall, Recent},
};
use crate::time::TimestampMs;

/// What one proposal asks of the platform while its window is open or warming, or until it is drained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowDemand {
    /// What its spec expects.
    pub expected_peak: Option<Rate>,
    /// What arrives; `None` while unknown.
    pub arrival: Option<Rate>,
    /// What its shards may verify: what arrives and what they catch up with; `None` while unknown.
    pub verified: Option<Rate>,
    /// Lanes of its verdicts: most tallies that can share its work.
    pub lanes: u16,
}

impl WindowDemand {
    /// What a plan asks of the platform. Nothing before warming and once all is drained.
    pub fn of(spec: &ScalingSpec, plan: &Plan, lanes: u16) -> Option<Self> {
        match plan.phase {
            ScalingPhase::Idle | ScalingPhase::Drained => return None,
            ScalingPhase::Warming | ScalingPhase::Open | ScalingPhase::Closing | ScalingPhase::Draining => {}
        }
        let expected_peak = match plan.phase {
            // After the close nobody comes any more.
            ScalingPhase::Draining | ScalingPhase::Idle | ScalingPhase::Drained => None,
            ScalingPhase::Warming | ScalingPhase::Open | ScalingPhase::Closing => spec.expected_peak(),
        };
        let Inputs { arrival, backlog, catch_up_ms, rate_per_shard, .. } = plan.inputs;
        let caught_up = backlog.map(|backlog| Rate::of(backlog, catch_up_ms));
        // No more verdicts come than the shards can write.
        let most = rate_per_shard.rate().saturating_mul(u64::from(plan.shards.to));
        let verified = arrival.zip(caught_up).map(|(arrival, caught_up)| arrival.saturating_add(caught_up).min(most));
        Some(Self { expected_peak, arrival, verified, lanes })
    }
}

/// What is sized for all windows together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Component {
    /// The edge takes what arrives.
    Ingest,
    /// The tally takes what shards verify, which is more than arrives while they catch up. Its work is divided by lane, so
    /// that more instances than lanes are of no use.
    Tally,
}

/// How one component may be scaled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ComponentSpec {
    /// Least instances, whatever is open.
    pub min: u32,
    /// Most instances.
    pub max: u32,
    /// What one instance takes.
    pub rate_per_instance: Rate,
    /// How much of that is planned with.
    pub utilization_percent: u32,
    /// Which it is.
    pub component: Component,
}

/// A number of instances, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instances {
    /// When it was chosen.
    pub at: TimestampMs,
    /// How many there were.
    pub from: u32,
    /// How many there should be.
    pub to: u32,
    /// What all windows together ask for.
    pub demand: Rate,
    /// What decided.
    pub limit: InstancesLimit,
    is_known: bool,
    ask: Ask,
}

/// What decided the number of instances.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum InstancesLimit {
    /// Less is needed than the least.
    Min,
    /// What all windows ask for.
    Demand,
    /// More is wanted than there are lanes.
    Lanes,
    /// More is wanted than is allowed.
    Max,
    /// A little more is wanted, but not by every look of the last while, and there is room.
    Unconfirmed,
    /// Less would do as far as is known, but of some window nothing is known.
    UnknownData,
    /// Less would do, but all has been known only for a moment.
    JustKnown,
    /// Less would do, but more was needed a moment ago, or if a little more arrived.
    Stabilizing,
}

impl InstancesLimit {
    /// Every case.
    pub const ALL: [Self; 8] = [
        Self::Min,
        Self::Demand,
        Self::Lanes,
        Self::Max,
        Self::Unconfirmed,
        Self::UnknownData,
        Self::JustKnown,
        Self::Stabilizing,
    ];

    /// Name in status, in metrics and on terminals.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Min => "min",
            Self::Demand => "demand",
            Self::Lanes => "lanes",
            Self::Max => "max",
            Self::Unconfirmed => "unconfirmed",
            Self::UnknownData => "unknownData",
            Self::JustKnown => "justKnown",
            Self::Stabilizing => "stabilizing",
        }
    }
}

/// What was asked of one component lately. It may be lost: then nothing is given back for a while.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct InstancesHistory {
    recent: Recent,
    known_since: Option<TimestampMs>,
    recorded_at: Option<TimestampMs>,
}

impl InstancesHistory {
    /// Notes what was chosen, when it was applied.
    pub fn record(&mut self, chosen: &Instances) {
        let is_gap = self.recorded_at.is_none_or(|last| chosen.at.saturating_since_ms(last) > FRESH_MS);
        self.recorded_at = Some(chosen.at);
        self.known_since = match self.known_since {
            _ if !chosen.is_known => None,
            Some(since) if !is_gap => Some(since),
            Some(_) | None => Some(chosen.at),
        };
        if chosen.is_known {
            self.recent.record(chosen.at, chosen.ask, STABILIZATION_MS);
        }
    }

    fn known_for_ms(&self, now: TimestampMs) -> u64 {
        let is_continued = self.recorded_at.is_some_and(|last| now.saturating_since_ms(last) <= FRESH_MS);
        self.known_since.filter(|_| is_continued).map_or(0, |since| now.saturating_since_ms(since))
    }
}

/// Instances for the sum of all windows: of each the larger of what is expected and what comes. Up and down follow the
/// same rules as shards.
pub fn instances(
    spec: &ComponentSpec,
    demands: &[WindowDemand],
    from: u32,
    history: &InstancesHistory,
    now: TimestampMs,
) -> Instances {
    let work = |demand: &WindowDemand| match spec.component {
        Component::Ingest => demand.arrival,
        Component::Tally => demand.verified,
    };
    let of_window = |demand: &WindowDemand| demand.expected_peak.max(work(demand)).unwrap_or_default();
    let demand: Rate = demands.iter().map(of_window).sum();
    let planned = spec.rate_per_instance.percent(spec.utilization_percent);
    let lanes = demands.iter().fold(0_u32, |sum, demand| sum.saturating_add(u32::from(demand.lanes)));
    let useful = match spec.component {
        Component::Ingest => u32::MAX,
        Component::Tally => lanes,
    };
    let bounded = |needed: u32| needed.min(useful).max(spec.min).min(spec.max);
    let (needed, roomy) = (demand.instances_of(planned), demand.percent(ROOM_PERCENT).instances_of(planned));
    let ask = Ask {
        urgent: bounded(demand.instances_of(spec.rate_per_instance)),
        wanted: bounded(needed),
        roomy: bounded(roomy),
    };
    let is_known = demands.iter().all(|demand| work(demand).is_some());
    let cause = match needed.min(useful) {
        limited if limited > spec.max => InstancesLimit::Max,
        limited if limited <= spec.min => InstancesLimit::Min,
        limited if limited < needed => InstancesLimit::Lanes,
        _ => InstancesLimit::Demand,
    };
    let within = from.clamp(spec.min.min(spec.max), spec.max);
    let (to, limit) = match history.recent.risen(now, ask, within) {
        Some(risen) => (risen, cause),
        None if ask.wanted > within => (within, InstancesLimit::Unconfirmed),
        None if ask.wanted == within => (within, cause),
        None if from > spec.max => (within, InstancesLimit::Max),
        None if !is_known => (within, InstancesLimit::UnknownData),
        None if history.known_for_ms(now) < STABILIZATION_MS => (within, InstancesLimit::JustKnown),
        None => match history.recent.fallen(now, ask, STABILIZATION_MS, within) {
            Fall::To(fallen) => (fallen, cause),
            Fall::NoRoom | Fall::TooSoon | Fall::TooLittle => (within, InstancesLimit::Stabilizing),
        },
    };
    Instances { at: now, from, to, demand, limit, is_known, ask }
}

//! How many instances of the edge and of the tally a platform needs: they serve all windows together.

use super::Rate;

/// What one proposal asks of the platform while its window is open or warming, or until it is drained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowDemand {
    /// What its spec expects.
    pub expected_peak: Option<Rate>,
    /// What arrives; `None` while unknown.
    pub arrival: Option<Rate>,
    /// Lanes of its verdicts: most tallies that can share its work.
    pub lanes: u16,
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
    /// Whether its work is divided by lane, so that more instances than lanes are of no use.
    pub is_by_lane: bool,
}

/// A number of instances, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instances {
    /// How many there should be.
    pub to: u32,
    /// What all windows together ask for.
    pub demand: Rate,
    /// What decided.
    pub limit: InstancesLimit,
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
    /// Less would do as far as is known, but of some window nothing is known.
    UnknownData,
}

impl InstancesLimit {
    /// Every case.
    pub const ALL: [Self; 5] = [Self::Min, Self::Demand, Self::Lanes, Self::Max, Self::UnknownData];
}

/// Instances for the sum of all windows: of each the larger of what is expected and what arrives.
pub fn instances(spec: &ComponentSpec, demands: &[WindowDemand], current: u32) -> Instances {
    let of_window = |demand: &WindowDemand| demand.expected_peak.max(demand.arrival).unwrap_or_default();
    let demand: Rate = demands.iter().map(of_window).sum();
    let planned = spec.rate_per_instance.percent(spec.utilization_percent).milli().max(1);
    let needed = u32::try_from(demand.milli().div_ceil(planned)).unwrap_or(u32::MAX);
    let lanes = demands.iter().fold(0_u32, |sum, demand| sum.saturating_add(u32::from(demand.lanes)));
    let is_unknown = demands.iter().any(|demand| demand.arrival.is_none());
    let mut choice = (needed, InstancesLimit::Demand);
    if spec.is_by_lane && choice.0 > lanes {
        choice = (lanes, InstancesLimit::Lanes);
    }
    if choice.0 <= spec.min {
        choice = (spec.min, InstancesLimit::Min);
    }
    if choice.0 < current && is_unknown {
        choice = (current, InstancesLimit::UnknownData);
    }
    if choice.0 > spec.max {
        choice = (spec.max, InstancesLimit::Max);
    }
    Instances { to: choice.0, demand, limit: choice.1 }
}

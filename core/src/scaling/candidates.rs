//! The numbers of shards that could be chosen, each with where it comes from.

use super::{
    Inputs, Limit, ROOM_PERCENT, Sample, ScalingPhase, ScalingSpec, URGENT_PERCENT,
    load::{Load, whole},
    recent::Ask,
    words::words,
};

words! {
    /// What asks for a number of shards.
    Candidate {
        /// What there should be whatever arrives: `minShards`, `warmShards`, or none.
        Floor => "floor",
        /// What `expectedPeak` needs; it counts at both ends of the window.
        Peak => "peak",
        /// What arrivals alone need, at the planned utilization.
        Arrivals => "arrivals",
        /// What arrivals and the backlog need together, by shards that are busy all the time. Fewer fall behind.
        Backlog => "backlog",
        /// How many there must be for the shard with the fullest partition to keep up.
        FullestPartition => "fullestPartition",
        /// What must be there at once, because fewer are behind, however much was measured wrongly.
        Urgent => "urgent",
        /// What would be needed if a little more arrived. Shards beyond that may be given back.
        Room => "room",
        /// The most that was wanted lately. Fewer are not chosen unless nothing is left to do.
        Recent => "recent",
    }
}

/// The numbers of shards that could be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidates {
    /// What there should be whatever arrives: `minShards`, `warmShards`, or none.
    pub floor: u32,
    /// What `expectedPeak` needs, while that counts.
    pub peak: Option<u32>,
    /// What all partitions need together, in thousandths of shards, rounded up; `None` while unknown.
    pub need_milli: Option<u64>,
    /// What arrivals alone need, at the planned utilization; `None` while unknown.
    pub arrivals: Option<u32>,
    /// What arrivals and the backlog need together, by shards that are busy all the time; `None` while unknown. Fewer fall
    /// behind.
    pub backlog: Option<u32>,
    /// How many shards there must be for the one with the fullest partition to keep up; `None` while unknown.
    pub fullest: Option<u32>,
    /// What must be there at once, since fewer are behind beyond all error; `None` while unknown.
    pub urgent: Option<u32>,
    /// What would be needed if a little more arrived ([`ROOM_PERCENT`]); `None` while unknown.
    pub roomy: Option<u32>,
    /// The most that was wanted lately: less is not chosen unless nothing is left to do.
    pub recent: u32,
}

impl Candidates {
    /// What follows from spec and sample; what was wanted lately is still to be looked up.
    pub(super) fn of(spec: &ScalingSpec, phase: ScalingPhase, inputs: &Inputs, sample: Option<&Sample>) -> Self {
        let planned = inputs.rate_per_shard.rate().percent(spec.utilization_percent());
        let (floor, counts_peak, counts_need) = match phase {
            ScalingPhase::Idle => (spec.min_shards(), false, false),
            ScalingPhase::Warming | ScalingPhase::Closing => (spec.warm_shards(), true, true),
            ScalingPhase::Open | ScalingPhase::Draining => (spec.warm_shards(), false, true),
            ScalingPhase::Drained => (0, false, false),
        };
        let sample = sample.filter(|_| counts_need && inputs.data.is_fresh());
        let load = sample.map(|sample| Load::of(sample, inputs, 100));
        let roomy = sample.map(|sample| whole(Load::of(sample, inputs, ROOM_PERCENT).most_milli()));
        let peak = spec.expected_peak().filter(|_| counts_peak);
        Self {
            floor,
            peak: peak.map(|peak| peak.instances_of(planned)),
            need_milli: load.map(|load| load.need_milli()),
            arrivals: load.map(|load| whole(load.arrivals_milli)),
            backlog: load.map(|load| whole(load.backlog_milli)),
            fullest: load.map(|load| load.fullest),
            urgent: load.map(|load| whole(beyond_error(load.backlog_milli))),
            roomy,
            recent: 0,
        }
    }

    /// Those that ask for something, with how many.
    pub fn known(&self) -> impl Iterator<Item = (Candidate, u32)> {
        let Self { floor, peak, need_milli: _, arrivals, backlog, fullest, urgent, roomy, recent } = *self;
        let all = [
            (Candidate::Floor, Some(floor)),
            (Candidate::Peak, peak),
            (Candidate::Arrivals, arrivals),
            (Candidate::Backlog, backlog),
            (Candidate::FullestPartition, fullest),
            (Candidate::Urgent, urgent),
            (Candidate::Room, roomy),
            (Candidate::Recent, Some(recent)),
        ];
        all.into_iter().filter_map(|(candidate, shards)| Some((candidate, shards?)))
    }

    /// What the spec alone asks for.
    pub(super) fn stated(&self) -> u32 {
        self.floor.max(self.peak.unwrap_or_default())
    }

    /// What this look asks for.
    pub(super) fn ask(&self, phase: ScalingPhase) -> Ask {
        let stated = self.stated();
        let (wanted, _) = self.wanted(phase);
        // What comes in the last minutes cannot wait until it is confirmed.
        let is_late = matches!(phase, ScalingPhase::Closing | ScalingPhase::Draining | ScalingPhase::Drained);
        let urgent = if is_late { wanted } else { stated.max(self.urgent.unwrap_or_default()) };
        Ask { urgent, wanted, roomy: wanted.max(self.roomy.unwrap_or_default()) }
    }

    /// The largest candidate and where it comes from; of equal ones the first that explains it.
    pub(super) fn wanted(&self, phase: ScalingPhase) -> (u32, Limit) {
        let floor_limit = match phase {
            ScalingPhase::Idle => Limit::Idle,
            ScalingPhase::Drained => Limit::Drained,
            ScalingPhase::Warming | ScalingPhase::Open | ScalingPhase::Closing | ScalingPhase::Draining => Limit::Floor,
        };
        let others = [
            (self.peak, Limit::Peak),
            (self.arrivals, Limit::Arrivals),
            (self.backlog, Limit::Backlog),
            (self.fullest, Limit::FullestPartition),
        ];
        let known = others.into_iter().filter_map(|(candidate, limit)| Some((candidate?, limit)));
        known.fold((self.floor, floor_limit), |most, next| if next.0 > most.0 { next } else { most })
    }
}

/// What is left of a need if what was measured is too high by as much as it can be.
const fn beyond_error(need_milli: u64) -> u64 {
    match need_milli.saturating_mul(100).checked_div(URGENT_PERCENT) {
        Some(sure_milli) => sure_milli,
        None => need_milli,
    }
}

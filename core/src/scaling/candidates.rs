//! What a plan is made from, and the numbers of shards that could be chosen, each with where it comes from.

use super::{
    CATCH_UP_MS_MIN, FRESH_MS, History, Limit, MEASURED_RATE_TIMES_MAX, Observed, Rate, SAFETY_MARGIN_MS, Sample,
    ScalingPhase, ScalingSpec,
};
use crate::time::{TimestampMs, Window};

/// What a plan was made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inputs {
    /// Whether the log's state is known.
    pub data: Data,
    /// Records that arrive; `None` while unknown.
    pub arrival: Option<Rate>,
    /// Records without a committed verdict; `None` while unknown.
    pub backlog: Option<u64>,
    /// The largest backlog of one partition; `None` while unknown.
    pub fullest_backlog: Option<u64>,
    /// What one shard verifies.
    pub rate_per_shard: RatePerShard,
    /// How much of that is planned with.
    pub utilization_percent: u32,
    /// In which time the backlog should be worked off, the deadline considered.
    pub catch_up_ms: u64,
    /// How long before the opening shards are started, as the spec says or was learnt.
    pub lead_ms: u64,
    /// Shards that work.
    pub ready: u32,
}

/// Whether the log's state is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Data {
    /// A sample, at most [`FRESH_MS`] old.
    Fresh {
        /// How old it is.
        age_ms: u64,
    },
    /// A sample that is older, or is from a time that is not yet.
    Stale {
        /// How old it is.
        age_ms: u64,
    },
    /// None at all.
    Missing,
}

/// What one shard verifies, and how that is known. Never 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RatePerShard {
    /// Shards measured it.
    Measured(Rate),
    /// Shards measured more than [`MEASURED_RATE_TIMES_MAX`] times what the spec says; that many times is believed.
    Capped(Rate),
    /// The spec says so.
    Stated(Rate),
}

/// The numbers of shards that could be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidates {
    /// What there should be whatever arrives: `minShards`, `warmShards`, or none.
    pub floor: u32,
    /// What `expectedPeak` needs, while that counts.
    pub peak: Option<u32>,
    /// What is needed, in tenths of shards, rounded up; `None` while unknown.
    pub need_tenths: Option<u64>,
    /// What arrivals alone need, at the planned utilization; `None` while unknown.
    pub arrivals: Option<u32>,
    /// What arrivals and the backlog need together, at full rate; `None` while unknown.
    pub backlog: Option<u32>,
    /// How many shards there must be for the one with the fullest partition to keep up; `None` while unknown.
    pub fullest: Option<u32>,
    /// The most that was wanted lately.
    pub recent: u32,
}

impl Data {
    fn of(sample: Option<&Sample>, now: TimestampMs) -> Self {
        let Some(Sample { taken_at, partitions: _ }) = sample else { return Self::Missing };
        let age_ms = now.saturating_since_ms(*taken_at);
        if age_ms <= FRESH_MS && taken_at.saturating_since_ms(now) <= FRESH_MS {
            Self::Fresh { age_ms }
        } else {
            Self::Stale { age_ms }
        }
    }

    /// Whether anything may follow from it.
    pub const fn is_fresh(self) -> bool {
        matches!(self, Self::Fresh { .. })
    }
}

impl RatePerShard {
    fn of(spec: &ScalingSpec, measured: Option<Rate>) -> Self {
        let most = spec.rate_per_shard().saturating_mul(MEASURED_RATE_TIMES_MAX);
        match measured.filter(|rate| *rate > Rate::ZERO) {
            Some(rate) if rate > most => Self::Capped(most),
            Some(rate) => Self::Measured(rate),
            None => Self::Stated(spec.rate_per_shard()),
        }
    }

    /// The rate that is planned with.
    pub const fn rate(self) -> Rate {
        match self {
            Self::Measured(rate) | Self::Capped(rate) | Self::Stated(rate) => rate,
        }
    }
}

impl Inputs {
    pub(super) fn of(spec: &ScalingSpec, window: &Window, observed: &Observed, lead_ms: u64, now: TimestampMs) -> Self {
        let data = Data::of(observed.sample.as_ref(), now);
        let sample = observed.sample.as_ref().filter(|_| data.is_fresh());
        Self {
            data,
            arrival: sample.map(Sample::arrival),
            backlog: sample.map(Sample::backlog),
            fullest_backlog: sample
                .map(|sample| sample.partitions.iter().map(|load| load.backlog).max().unwrap_or_default()),
            rate_per_shard: RatePerShard::of(spec, observed.rate_per_shard),
            utilization_percent: spec.utilization_percent(),
            catch_up_ms: catch_up_ms(spec, window, now),
            lead_ms,
            ready: observed.shards.ready,
        }
    }
}

/// The catch-up target, or what is left before the close if that is less.
fn catch_up_ms(spec: &ScalingSpec, window: &Window, now: TimestampMs) -> u64 {
    let target_ms = spec.catch_up_target_ms();
    if now >= window.closes_at() {
        return target_ms;
    }
    let left_ms = window.closes_at().saturating_since_ms(now).saturating_sub(SAFETY_MARGIN_MS);
    target_ms.min(left_ms).max(CATCH_UP_MS_MIN)
}

impl Candidates {
    pub(super) fn of(
        spec: &ScalingSpec,
        phase: ScalingPhase,
        inputs: &Inputs,
        sample: Option<&Sample>,
        history: &History,
        now: TimestampMs,
    ) -> Self {
        let per_shard = inputs.rate_per_shard.rate();
        let planned = per_shard.percent(spec.utilization_percent());
        let (floor, counts_peak, counts_need) = match phase {
            ScalingPhase::Idle => (spec.min_shards(), false, false),
            ScalingPhase::Warming | ScalingPhase::Closing => (spec.warm_shards(), true, true),
            ScalingPhase::Open | ScalingPhase::Draining => (spec.warm_shards(), false, true),
            ScalingPhase::Drained => (0, false, false),
        };
        let sample = sample.filter(|_| counts_need && inputs.data.is_fresh());
        let total = sample.map(|sample| load(sample.arrival(), sample.backlog(), inputs.catch_up_ms));
        Self {
            floor,
            peak: spec.expected_peak().filter(|_| counts_peak).map(|peak| shards(u128::from(peak.milli()), planned)),
            need_tenths: sample.zip(total).map(|(sample, load)| {
                tenths(u128::from(sample.arrival().milli()), planned).max(tenths(load, per_shard))
            }),
            arrivals: sample.map(|sample| shards(u128::from(sample.arrival().milli()), planned)),
            // The room that utilization leaves is what a backlog is worked off with. So the pause of a rebalance asks for
            // no shards, which would cost another one.
            backlog: total.map(|load| shards(load, per_shard)),
            fullest: sample.map(|sample| fullest(sample, inputs.catch_up_ms, per_shard)),
            recent: history.most_wanted(now),
        }
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

    /// How many partitions shards could use: a backlog stays where it is, so the fullest partition asks for none.
    pub(super) fn wanted_partitions(&self) -> u32 {
        [Some(self.floor), self.peak, self.arrivals, self.backlog].into_iter().flatten().max().unwrap_or_default()
    }
}

/// What must be verified per second, in thousandths of a ballot: what arrives, and the backlog within the catch-up.
fn load(arrival: Rate, backlog: u64, catch_up_ms: u64) -> u128 {
    let backlog = u128::from(backlog).saturating_mul(1_000_000).div_ceil(u128::from(catch_up_ms.max(1)));
    u128::from(arrival.milli()).saturating_add(backlog)
}

/// Shards that verify `load`, if each does `rate`.
fn shards(load: u128, rate: Rate) -> u32 {
    u32::try_from(load.div_ceil(u128::from(rate.milli().max(1)))).unwrap_or(u32::MAX)
}

fn tenths(load: u128, rate: Rate) -> u64 {
    u64::try_from(load.saturating_mul(10).div_ceil(u128::from(rate.milli().max(1)))).unwrap_or(u64::MAX)
}

/// How many shards there must be so that the one with the fullest partition keeps up, at its full rate: it reads as many
/// partitions as any, and the others in it are as full as these are on average.
fn fullest(sample: &Sample, catch_up_ms: u64, per_shard: Rate) -> u32 {
    let loads = sample.partitions.iter().map(|partition| load(partition.arrival, partition.backlog, catch_up_ms));
    let partitions = u128::try_from(sample.partitions.len()).expect("a length fits");
    let (fullest, sum) =
        loads.fold((0_u128, 0_u128), |(fullest, sum), load| (fullest.max(load), sum.saturating_add(load)));
    let rest = sum.saturating_sub(fullest);
    // The others that fit beside it: (per shard − fullest) / (rest / others).
    let others = partitions.saturating_sub(1);
    let room = u128::from(per_shard.milli()).saturating_sub(fullest).saturating_mul(others);
    let beside = room.checked_div(rest).unwrap_or(others).min(others);
    let in_one_shard = beside.saturating_add(1);
    u32::try_from(partitions.div_ceil(in_one_shard)).unwrap_or(u32::MAX)
}

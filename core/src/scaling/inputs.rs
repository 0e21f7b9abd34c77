//! What a plan is made from, with where each number comes from.

use super::{
    CATCH_UP_MS_MIN, FRESH_MS, History, IN_FLIGHT_MS, MEASURED_RATE_DIVISOR_MAX, MEASURED_RATE_TIMES_MAX, Observed,
    Rate, SAFETY_MARGIN_MS, SETTLE_MS, Sample, ScalingPhase, ScalingSpec, words::words,
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
    /// Partitions of which each gets more than one shard verifies; `None` while unknown. No number of shards keeps up with
    /// them, because one shard reads a partition.
    pub overfull: Option<u32>,
    /// What one shard verifies.
    pub rate_per_shard: RatePerShard,
    /// How much of that is planned with.
    pub utilization_percent: u32,
    /// In which time the backlog should be worked off, the deadline considered.
    pub catch_up_ms: u64,
    /// What arrived in so long does not count as waiting.
    pub in_flight_ms: u64,
    /// Shards start or move, so that what waits asks for no more of them.
    pub is_settling: bool,
    /// How long before the opening shards are started, as the spec says or was learnt.
    pub lead_ms: u64,
    /// Shards that work.
    pub ready: u32,
}

impl Inputs {
    /// Whether the shards that work do not work off what waits within the catch-up time, not even if they did as much as
    /// `percent` of what was measured; `None` while unknown. One shard reads a partition, however many there are.
    pub fn is_behind(&self, percent: u64) -> Option<bool> {
        let (arrival, backlog, fullest) = (self.arrival?, self.backlog?, self.fullest_backlog?);
        let (arrival, rate) = (u128::from(arrival.milli()), u128::from(self.rate_per_shard.rate().milli()));
        // Thousandths a second in milliseconds: millionths of a ballot.
        let on_its_way = arrival.saturating_mul(self.in_flight_ms.into()).div_ceil(1_000_000);
        let catch_up = |waiting: u64| {
            let waiting = if self.is_settling { 0 } else { u128::from(waiting).saturating_sub(on_its_way) };
            waiting.saturating_mul(1_000_000).div_ceil(u128::from(self.catch_up_ms.max(1)))
        };
        let is_beyond = |load: u128, capacity: u128| load.saturating_mul(100) > capacity.saturating_mul(percent.into());
        let of_all = arrival.saturating_add(catch_up(backlog));
        Some(is_beyond(of_all, rate.saturating_mul(self.ready.into())) || is_beyond(catch_up(fullest), rate))
    }
}

words! {
    /// How good the last sample of the log is.
    DataQuality {
        /// A sample that is new enough to decide by.
        Fresh => "fresh",
        /// A sample that is too old, or is from a time that is not yet: nothing is given back by it.
        Stale => "stale",
        /// A sample that lacks partitions: what these hold is not known.
        Partial => "partial",
        /// There is no sample.
        Missing => "missing",
    }
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
    /// A sample of fewer partitions than the topic has: what the others hold is not known.
    Partial {
        /// How old it is.
        age_ms: u64,
    },
    /// None at all.
    Missing,
}

/// What one shard verifies, and how that is known. Never 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RatePerShard {
    /// Shards measured it; smoothed.
    Measured(Rate),
    /// Shards measured more or less than is believed ([`MEASURED_RATE_TIMES_MAX`], [`MEASURED_RATE_DIVISOR_MAX`]); this is.
    Bounded(Rate),
    /// Shards measured it before; none says so now.
    Learnt(Rate),
    /// The spec says so.
    Stated(Rate),
}

impl Data {
    /// `topic` is how many partitions the topic has, as last heard.
    fn of(sample: Option<&Sample>, topic: u32, now: TimestampMs) -> Self {
        let Some(Sample { taken_at, partitions }) = sample else { return Self::Missing };
        let age_ms = now.saturating_since_ms(*taken_at);
        let sampled = u32::try_from(partitions.len()).unwrap_or(u32::MAX);
        if sampled < topic.max(1) {
            Self::Partial { age_ms }
        } else if age_ms <= FRESH_MS && taken_at.saturating_since_ms(now) <= FRESH_MS {
            Self::Fresh { age_ms }
        } else {
            Self::Stale { age_ms }
        }
    }

    /// Whether anything may follow from it.
    pub const fn is_fresh(self) -> bool {
        matches!(self, Self::Fresh { .. })
    }

    /// How good the sample is.
    pub const fn quality(self) -> DataQuality {
        match self {
            Self::Fresh { .. } => DataQuality::Fresh,
            Self::Stale { .. } => DataQuality::Stale,
            Self::Partial { .. } => DataQuality::Partial,
            Self::Missing => DataQuality::Missing,
        }
    }

    /// How old the sample is; `None` if there is none.
    pub const fn age_ms(self) -> Option<u64> {
        match self {
            Self::Fresh { age_ms } | Self::Stale { age_ms } | Self::Partial { age_ms } => Some(age_ms),
            Self::Missing => None,
        }
    }
}

impl RatePerShard {
    fn of(spec: &ScalingSpec, measured: Option<Rate>, history: &History, now: TimestampMs) -> Self {
        let stated = spec.rate_per_shard();
        let most = stated.saturating_mul(MEASURED_RATE_TIMES_MAX);
        let least = stated.divided(MEASURED_RATE_DIVISOR_MAX);
        match measured.filter(|rate| *rate > Rate::ZERO) {
            Some(rate) => {
                let smoothed = history.rate_per_shard_with(rate.clamp(least, most), now).clamp(least, most);
                if rate < least || rate > most { Self::Bounded(smoothed) } else { Self::Measured(smoothed) }
            }
            None => match history.rate_per_shard() {
                Some(rate) => Self::Learnt(rate.clamp(least, most)),
                None => Self::Stated(stated),
            },
        }
    }

    /// The rate that is planned with.
    pub const fn rate(self) -> Rate {
        match self {
            Self::Measured(rate) | Self::Bounded(rate) | Self::Learnt(rate) | Self::Stated(rate) => rate,
        }
    }
}

impl Inputs {
    pub(super) fn of(
        spec: &ScalingSpec,
        window: &Window,
        observed: &Observed,
        history: &History,
        phase: ScalingPhase,
        now: TimestampMs,
    ) -> Self {
        let data = Data::of(observed.sample.as_ref(), observed.partitions, now);
        let sample = observed.sample.as_ref().filter(|_| data.is_fresh());
        let rate_per_shard = RatePerShard::of(spec, observed.rate_per_shard, history, now);
        let overfull = |sample: &Sample| {
            let partitions = sample.partitions.iter().filter(|load| load.arrival > rate_per_shard.rate());
            u32::try_from(partitions.count()).unwrap_or(u32::MAX)
        };
        Self {
            data,
            arrival: sample.map(Sample::arrival),
            backlog: sample.map(Sample::backlog),
            fullest_backlog: sample.map(Sample::fullest_backlog),
            overfull: sample.map(overfull),
            rate_per_shard,
            utilization_percent: spec.utilization_percent(),
            catch_up_ms: catch_up_ms(spec, window, now),
            in_flight_ms: match phase {
                ScalingPhase::Idle | ScalingPhase::Warming | ScalingPhase::Open => IN_FLIGHT_MS,
                ScalingPhase::Closing | ScalingPhase::Draining | ScalingPhase::Drained => 0,
            },
            is_settling: is_settling(window, observed, phase, now),
            lead_ms: history.lead_ms(spec),
            ready: observed.shards.ready,
        }
    }
}

/// Whether shards have just been asked for or moved, so that what waits may wait for them. Near the close there is no time
/// to see, except for shards that would not work before it: they would only stop those that do.
fn is_settling(window: &Window, observed: &Observed, phase: ScalingPhase, now: TimestampMs) -> bool {
    let is_moving = observed.rebalancing_since.is_some_and(|since| now.saturating_since_ms(since) < SETTLE_MS);
    match phase {
        ScalingPhase::Idle | ScalingPhase::Warming | ScalingPhase::Open => is_moving,
        ScalingPhase::Closing => is_moving && window.closes_at().saturating_since_ms(now) <= SAFETY_MARGIN_MS,
        ScalingPhase::Draining | ScalingPhase::Drained => false,
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

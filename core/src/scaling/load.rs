//! How many shards a sample asks for. A partition is read by one shard at a time, so none asks for more than one.

use super::{FULLEST_TIMES_MAX, Inputs, NEIGHBOURS_PERCENT, PartitionLoad, Sample};

/// Thousandths of a shard in a shard.
pub(super) const WHOLE_MILLI: u64 = 1_000;

/// What a sample asks for. Shares of a shard are in thousandths, rounded up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Load {
    /// What arrives, at the planned utilization.
    pub(super) arrivals_milli: u64,
    /// What arrives and what waits, within the catch-up, by shards that are busy all the time.
    pub(super) backlog_milli: u64,
    /// Whole shards, so that the shards of the fullest partitions keep up beside their other partitions.
    pub(super) fullest: u32,
    /// Whether more arrives than the partitions there are can be read: then what is asked for counts on new ones.
    pub(super) outgrows: bool,
}

/// One partition, in thousandths of a ballot per second.
#[derive(Debug, Clone, Copy)]
struct Part {
    /// What arrives.
    arrival: u128,
    /// What arrives, if no more than the planned utilization of a shard is used.
    planned: u128,
    /// What waits, within the catch-up.
    catch_up: u128,
}

impl Load {
    /// What `sample` asks for if `percent` of its arrivals came.
    pub(super) fn of(sample: &Sample, inputs: &Inputs, percent: u32) -> Self {
        let rate = u128::from(inputs.rate_per_shard.rate().milli().max(1));
        let parts: Vec<Part> = sample.partitions.iter().map(|load| Part::of(load, inputs, percent)).collect();
        let arrivals = sum(parts.iter().map(|part| part.planned.min(rate)));
        let backlog = sum(parts.iter().map(|part| part.full().min(rate)));
        let spread_arrivals = spread(parts.iter().map(|part| part.planned).collect());
        // A backlog stays in the partition it is in. New partitions relieve the old ones of what arrives, and so help a
        // backlog by as much.
        let spread_backlog =
            spread(parts.iter().map(|part| part.arrival.saturating_add(part.catch_up.min(part.arrival))).collect());
        let read_at_most = rate.saturating_mul(count(parts.len()));
        let outgrows = spread_arrivals.max(spread_backlog) > read_at_most;
        let (arrivals, backlog) =
            if outgrows { (arrivals.max(spread_arrivals), backlog.max(spread_backlog)) } else { (arrivals, backlog) };
        let (arrivals_milli, backlog_milli) = (shares(arrivals, rate), shares(backlog, rate));
        let by_sum = whole(arrivals_milli.max(backlog_milli));
        let fullest = fullest(&parts, rate).min(by_sum.saturating_mul(FULLEST_TIMES_MAX));
        Self { arrivals_milli, backlog_milli, fullest, outgrows }
    }

    /// What all partitions need together.
    pub(super) fn need_milli(&self) -> u64 {
        self.arrivals_milli.max(self.backlog_milli)
    }

    /// The same, and what the fullest one needs beside.
    pub(super) fn most_milli(&self) -> u64 {
        self.need_milli().max(u64::from(self.fullest).saturating_mul(WHOLE_MILLI))
    }
}

impl Part {
    fn of(load: &PartitionLoad, inputs: &Inputs, percent: u32) -> Self {
        let arrival = u128::from(load.arrival.milli()).saturating_mul(u128::from(percent)).div_ceil(100);
        let planned = arrival.saturating_mul(100).div_ceil(u128::from(inputs.utilization_percent.max(1)));
        // Thousandths a second in milliseconds: millionths of a ballot.
        let on_its_way = arrival.saturating_mul(u128::from(inputs.in_flight_ms)).div_ceil(1_000_000);
        let backlog = if inputs.is_settling { 0 } else { load.backlog };
        let waiting = u128::from(backlog).saturating_sub(on_its_way);
        let catch_up = waiting.saturating_mul(1_000_000).div_ceil(u128::from(inputs.catch_up_ms.max(1)));
        Self { arrival, planned, catch_up }
    }

    const fn full(&self) -> u128 {
        self.arrival.saturating_add(self.catch_up)
    }
}

/// Whole shards of thousandths.
pub(super) fn whole(milli: u64) -> u32 {
    u32::try_from(milli.div_ceil(WHOLE_MILLI)).unwrap_or(u32::MAX)
}

/// Thousandths of a shard that verify `load`, if each does `rate`.
fn shares(load: u128, rate: u128) -> u64 {
    let milli = load.saturating_mul(u128::from(WHOLE_MILLI)).div_ceil(rate.max(1));
    u64::try_from(milli).unwrap_or(u64::MAX)
}

/// The sum of what partitions get. One that gets more than twice what is usual gets it for a reason that more partitions
/// do not change, and counts for twice.
fn spread(mut loads: Vec<u128>) -> u128 {
    loads.sort_unstable();
    let usual = loads.get(loads.len().div_euclid(2)).copied().unwrap_or_default();
    sum(loads.into_iter().map(|load| load.min(usual.saturating_mul(2))))
}

/// How many shards there must be so that the one with the fullest partition keeps up: it reads as many partitions as any,
/// and the others in it are as full as these are on average.
///
/// What one shard can never keep up with asks for less: that its neighbours take at most [`NEIGHBOURS_PERCENT`] of what
/// could be spared for it.
fn fullest(parts: &[Part], rate: u128) -> u32 {
    let all = sum(parts.iter().map(|part| part.full().min(rate)));
    let others = count(parts.len()).saturating_sub(1);
    let of_part = |part: &Part| {
        let spare = if part.arrival < rate { rate.saturating_sub(part.arrival) } else { rate };
        let left = spare.saturating_mul(u128::from(NEIGHBOURS_PERCENT)).div_euclid(100);
        let room = rate.saturating_sub(part.full()).max(left);
        let rest = all.saturating_sub(part.full().min(rate));
        // The others that fit beside it: room / (rest / others).
        let beside = room.saturating_mul(others).checked_div(rest).unwrap_or(others).min(others);
        count(parts.len()).div_ceil(beside.saturating_add(1))
    };
    u32::try_from(parts.iter().map(of_part).max().unwrap_or_default()).unwrap_or(u32::MAX)
}

fn sum(loads: impl Iterator<Item = u128>) -> u128 {
    loads.fold(0, u128::saturating_add)
}

fn count(length: usize) -> u128 {
    u128::try_from(length).unwrap_or(u128::MAX)
}

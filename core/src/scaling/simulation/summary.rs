//! What a replay came to.

use super::{BEHIND_S, Decision, Moment, Scenario};
use crate::scaling::{Plan, Rate};

/// The whole in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// Ballots that were written.
    pub ballots: u64,
    /// Ballots that were held back while the broker was away and came too late.
    pub too_late: u64,
    /// The most that waited.
    pub peak_backlog: u64,
    /// When that was.
    pub peak_second: i64,
    /// What waited when the window closed.
    pub backlog_at_close: u64,
    /// From when on no more than [`BEHIND_S`] of arrivals waited, if ever.
    pub caught_up_second: Option<i64>,
    /// When the planner was told that everything is verified, if ever.
    pub drained_second: Option<i64>,
    /// Shards that are left at the end; more than none where they are held, or nothing was drained.
    pub shards_left: u32,
    /// The length of the window in seconds.
    pub window_s: i64,
    /// What was paid for: every second of every shard from asking for it until it is given back.
    pub shard_seconds: u64,
    /// What whole shards would have cost that are there and gone at once, are busy all the time, and know what comes: in
    /// each second as few as verify what arrives in it, and `warmShards` from the lead until the close.
    pub ideal_shard_seconds: u64,
    /// The work itself: what one shard that is busy all the time would need for all ballots.
    pub work_shard_seconds: u64,
    /// How often the number of shards changed.
    pub shard_changes: u32,
    /// How often the number of partitions changed.
    pub partition_changes: u32,
}

impl Summary {
    pub(super) fn of(
        scenario: &Scenario,
        moments: &[Moment],
        decisions: &[Decision],
        ballots_milli: u64,
        held_milli: u64,
        drained_second: Option<i64>,
    ) -> Self {
        let window_s = signed(scenario.window_s());
        let peak = moments.iter().rev().max_by_key(|moment| moment.backlog);
        let is_behind =
            |moment: &&Moment| moment.backlog > moment.arrivals.milli().div_ceil(1_000).saturating_mul(BEHIND_S);
        let behind_until = moments.iter().rev().find(is_behind).map_or(0, |moment| moment.second.saturating_add(1));
        let has_ended = moments.last().is_some_and(|moment| moment.second >= behind_until);
        let changes = |is_change: fn(&Plan) -> bool| {
            let changes = decisions.iter().filter(|decision| is_change(&decision.plan)).count();
            u32::try_from(changes).unwrap_or(u32::MAX)
        };
        let last_open = moments.iter().rev().find(|moment| moment.second < window_s);
        let sum = |seconds: &mut dyn Iterator<Item = u64>| seconds.fold(0_u64, u64::saturating_add);
        Self {
            ballots: ballots_milli.div_euclid(1_000),
            too_late: held_milli.div_euclid(1_000),
            peak_backlog: peak.map_or(0, |moment| moment.backlog),
            peak_second: peak.map_or(0, |moment| moment.second),
            backlog_at_close: last_open.map_or(0, |moment| moment.backlog),
            caught_up_second: has_ended.then_some(behind_until),
            drained_second,
            shards_left: moments.last().map_or(0, |moment| moment.shards),
            window_s,
            shard_seconds: sum(&mut moments.iter().map(|moment| u64::from(moment.shards))),
            ideal_shard_seconds: sum(&mut moments.iter().map(|moment| ideal(scenario, window_s, moment))),
            work_shard_seconds: ballots_milli.div_ceil(scenario.cluster.rate_per_shard.milli().max(1)),
            shard_changes: changes(|plan| plan.shards.to != plan.shards.from),
            partition_changes: changes(|plan| plan.partitions.to != plan.partitions.from),
        }
    }

    /// Whether it was caught up by the close, and drained after it.
    pub fn is_in_time(&self) -> bool {
        self.caught_up_second.is_some_and(|second| second <= self.window_s) && self.drained_second.is_some()
    }

    /// The cost relative to the ideal, in percent, rounded up.
    pub fn cost_percent(&self) -> u64 {
        self.shard_seconds.saturating_mul(100).div_ceil(self.ideal_shard_seconds.max(1))
    }
}

fn ideal(scenario: &Scenario, window_s: i64, moment: &Moment) -> u64 {
    let lead_s = signed(scenario.spec.lead_ms().div_ceil(1_000));
    let is_warm = (lead_s.saturating_neg()..window_s).contains(&moment.second);
    let floor = if is_warm { scenario.spec.warm_shards() } else { 0 };
    let rate: Rate = scenario.cluster.rate_per_shard;
    u64::from(floor.max(moment.arrivals.instances_of(rate)))
}

pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

//! How many shards and partitions a proposal should have now, and why: a pure function over plain data.
//!
//! ```text
//! floor   = warmShards   while warming, open, closing or draining;   minShards before;   0 once drained
//! peak    = ceil(expectedPeak / (rate per shard × utilization))      while warming and closing, where rushes come
//! waiting = backlog − what arrives in IN_FLIGHT_MS                   # on its way, not behind; 0 while shards start or move; all of it from near the close on
//! T       = max(CATCH_UP_MS_MIN, min(catchUpTarget, time left before the close − SAFETY_MARGIN_MS));  after the close catchUpTarget
//! need    = max(ceil(Σ min(arrivals / utilization, rate per shard) / rate per shard),     # over partitions: one is
//!               ceil(Σ min(arrivals + waiting / T, rate per shard) / rate per shard),     # read by one shard at a time
//!               what the fullest partition needs beside it)
//! up      = at once, where the floor or the peak asks for it, where URGENT_PERCENT of all shards would be behind, and near the
//!           close; else once each look of CONFIRM_MS asked for more
//! down    = once a little more than the most of STABILIZATION_MS would fit into fewer;  then to the most of STABILIZATION_MS
//! shards  = at most maxShards, at most as many as partitions;  spec.scaling.shards instead of all this, but at least the floor
//! ```
//!
//! Up in one jump; down only where nothing speaks against it ([`Limit`] lists what may). The same [`plan`] is what an
//! operator applies and what [`simulation`] replays.

mod words;

mod rate;
mod spec;

mod offsets;

mod learnt;
mod recent;

mod history;
mod observed;

mod candidates;
mod inputs;
mod limits;
mod load;
mod phase;

mod partitions;
mod plan;
mod shards;

mod sentences;

mod components;

pub mod simulation;

pub use candidates::{Candidate, Candidates};
pub use components::{Component, ComponentSpec, Instances, InstancesHistory, InstancesLimit, WindowDemand, instances};
pub use history::History;
pub use inputs::{Data, DataQuality, Inputs, RatePerShard};
pub use learnt::{
    LEAD_LEARNT_MS_MAX, Remembered, START_AHEAD_MS_MAX, START_MS_MAX, STARTS_KEPT, STARTS_LEARNT_MIN, Start,
};
pub use limits::{Limit, PartitionsLimit};
pub use observed::{Observed, PartitionLoad, ReplicasOwner, Sample, Shards};
pub use offsets::{Offsets, PartitionOffsets, SAMPLE_INTERVAL_MS_MAX, SAMPLE_INTERVAL_MS_MIN};
pub use phase::ScalingPhase;
pub use plan::{PartitionsChoice, Plan, ShardsChoice, plan};
pub use rate::Rate;
pub use spec::{
    CATCH_UP_MS_DEFAULT, CATCH_UP_MS_MAX, CATCH_UP_MS_MIN, LEAD_MS_DEFAULT, LEAD_MS_MAX, MAX_SHARDS_DEFAULT,
    RATE_PER_SECOND_MAX, RATE_PER_SHARD_DEFAULT, SHARDS_MAX, ScalingParts, ScalingSpec, UTILIZATION_PERCENT_DEFAULT,
    UTILIZATION_PERCENT_MIN,
};

/// How much further away than the lead the opening must be for warming to end again, because the lead is shorter now or a
/// clock was ahead: stopping shards that start again within ten minutes saves nothing.
pub const WARMING_KEPT_MS: u64 = 600_000;

/// How old a sample may be and still be fresh: three sampling intervals, so that one lost answer changes nothing.
pub const FRESH_MS: u64 = 15_000;

/// How often a proposal is looked at from its warming until it is drained.
pub const LOOK_AGAIN_MS: u64 = 5_000;

/// How often it is looked at before and after that, when nothing can change but its resource, which wakes the operator.
pub const LOOK_AGAIN_IDLE_MS: u64 = 300_000;

/// What arrived in so long is on its way and not behind: the time between two looks, between two commits, and a
/// rebalance. So the pause that our own change makes asks for no other change. Near the close all that waits counts.
pub const IN_FLIGHT_MS: u64 = 10_000;

/// From which part of what there is on a single look is believed that says it falls behind, in percent: measurements err
/// by a tenth. What is less has time until it is confirmed.
pub const URGENT_PERCENT: u64 = 112;

/// How long every look must have asked for more before the room that utilization leaves is bought back. A measurement
/// that errs does not err to one side twelve times.
pub const CONFIRM_MS: u64 = 60_000;

/// For so long after shards were asked for, given back or given other partitions, what waits asks for no more: it waits
/// because they are not there yet, and each of them would be another rebalance. What arrives asks at any time. Near the
/// close, until no more would work in time, and after it there is no time to wait.
pub const SETTLE_MS: u64 = 60_000;

/// How much arrivals could grow and still fit before shards are given back, in percent of what they are: a little more
/// than the last looks have shown must not take them again. Room for more is what utilization leaves.
pub const ROOM_PERCENT: u32 = 105;

/// Least part of all shards that is given back, in percent: for less a rebalance is not worth it.
pub const GIVE_BACK_PERCENT_MIN: u32 = 10;

/// How long less must have been needed before anything is given back: several samples and the rebalance after a jump,
/// whose pause looks like fewer ballots verified. It is also how long an operator watches after its start, and how long
/// samples must have been fresh again after they were not.
pub const STABILIZATION_MS: u64 = 120_000;

/// Taking again within so long what was given back is a regret: the next time twice as long is waited.
pub const REGRET_MS: u64 = 600_000;

/// How often the wait is doubled at most: to 32 minutes. Longer than that a window would pay for its past.
pub const REGRETS_MAX: u32 = 4;

/// How long after giving shards back no more are: every time is a rebalance, and a surge that ebbs should be followed in
/// few of them.
pub const GIVE_BACK_EVERY_MS: u64 = 30_000;

/// How long a rebalance, or shards that do not start, keep others: what takes longer is stuck and would keep them for ever.
pub const REBALANCE_MS_MAX: u64 = 600_000;

/// How long after the close nothing is given back: longer than the grace, so that the drain is not held up by a rebalance.
pub const AFTER_CLOSE_MS: u64 = 60_000;

/// After the close shards are given back while ballots wait only if one of them alone would take longer than all of them
/// by at most this part: what is left then lies in one partition, which one shard reads.
pub const TAIL_PERCENT: u64 = 10;

/// What the catch-up before a close keeps in hand: shards that are asked for now take about as long until they work.
pub const SAFETY_MARGIN_MS: u64 = 30_000;

/// From so long before the close, and the lead before that, nothing is given back: it could not be had again in time.
pub const CLOSING_MS: u64 = 120_000;

/// No partition is added later than this before the close: edges and verifiers must see it while it still matters.
pub const GROW_BEFORE_CLOSE_MS: u64 = 120_000;

/// How far the measured rate per shard is believed above the one that the spec states. A higher one asks for fewer
/// shards, and a wrong measurement must not.
pub const MEASURED_RATE_TIMES_MAX: u64 = 4;

/// How far below: what idle shards seem to do asks for as many as are allowed. Power that is read from a slow chain is
/// some fifty times slower than power that is listed.
pub const MEASURED_RATE_DIVISOR_MAX: u64 = 100;

/// How much of what a shard can spare is left to the neighbours of a partition that takes all it gets. More shards would
/// win no more than this for it.
pub const NEIGHBOURS_PERCENT: u64 = 20;

/// How many times what all partitions together need may be asked for on behalf of the fullest one.
pub const FULLEST_TIMES_MAX: u32 = 2;

//! How many shards and partitions a proposal should have now, and why: a pure function over plain data.
//!
//! ```text
//! floor  = warmShards   while warming, open, closing or draining;   minShards before;   0 once drained
//! peak   = ceil(expectedPeak / (rate per shard × utilization))      while warming and closing, where rushes come
//! T      = max(CATCH_UP_MS_MIN, min(catchUpTarget, time left before the close − SAFETY_MARGIN_MS));  after the close catchUpTarget
//! need   = max(ceil(arrivals / (rate per shard × utilization)), ceil((arrivals + backlog / T) / rate per shard),
//!              what the fullest partition needs)
//! shards = clamp(max(floor, peak, need), 0, min(maxShards, partitions))
//! ```
//!
//! Up at once and in one jump; down only where nothing speaks against it ([`Limit`] lists what may). The same [`plan`] is
//! what an operator applies and what `pnyx simulate` replays.

mod rate;
mod spec;

mod offsets;

mod history;
mod observed;

mod candidates;
mod limits;
mod phase;
mod plan;

mod sentences;

mod components;

pub use candidates::{Candidates, Data, Inputs, RatePerShard};
pub use components::{ComponentSpec, Instances, InstancesLimit, WindowDemand, instances};
pub use history::{History, STARTS_KEPT, STARTS_LEARNT_MIN};
pub use limits::{Limit, PartitionsLimit};
pub use observed::{Observed, PartitionLoad, Sample, Shards};
pub use offsets::{Offsets, PartitionOffsets};
pub use phase::ScalingPhase;
pub use plan::{PartitionsChoice, Plan, ShardsChoice, plan};
pub use rate::Rate;
pub use spec::{
    CATCH_UP_MS_DEFAULT, CATCH_UP_MS_MAX, CATCH_UP_MS_MIN, LEAD_MS_DEFAULT, LEAD_MS_MAX, MAX_SHARDS_DEFAULT,
    RATE_PER_SECOND_MAX, RATE_PER_SHARD_DEFAULT, SHARDS_MAX, ScalingParts, ScalingSpec, UTILIZATION_PERCENT_DEFAULT,
    UTILIZATION_PERCENT_MIN,
};

/// How old a sample may be and still be fresh: three sampling intervals, so that one lost answer changes nothing.
pub const FRESH_MS: u64 = 15_000;

/// How often a proposal is looked at from its warming until it is drained.
pub const LOOK_AGAIN_MS: u64 = 5_000;

/// How often it is looked at before and after that, when nothing can change but its resource, which wakes the operator.
pub const LOOK_AGAIN_IDLE_MS: u64 = 300_000;

/// How long less must have been needed before anything is given back: several samples and the rebalance after a jump,
/// whose pause looks like fewer ballots verified. It is also how long an operator watches after its start, and how long
/// samples must have been fresh again after they were not.
pub const STABILIZATION_MS: u64 = 120_000;

/// How long after giving shards back no more are: every time is a rebalance, and a surge that ebbs should be followed in
/// few of them.
pub const GIVE_BACK_EVERY_MS: u64 = 30_000;

/// How long after the close nothing is given back: longer than the grace, so that the drain is not held up by a rebalance.
pub const AFTER_CLOSE_MS: u64 = 60_000;

/// What the catch-up before a close keeps in hand: shards that are asked for now take about as long until they work.
pub const SAFETY_MARGIN_MS: u64 = 30_000;

/// From so long before the close, and the lead before that, nothing is given back: it could not be had again in time.
pub const CLOSING_MS: u64 = 120_000;

/// No partition is added later than this before the close: edges and verifiers must see it while it still matters.
pub const GROW_BEFORE_CLOSE_MS: u64 = 120_000;

/// How far the measured rate per shard is believed above the one that the spec states. A higher one asks for fewer
/// shards, and a wrong measurement must not.
pub const MEASURED_RATE_TIMES_MAX: u64 = 4;

//! How a proposal of version v1alpha1 says how many shards verify it. None of it binds a voter.

use pnyx_core::proposal::Definition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::duration::DURATION_PATTERN;

/// Most shards: as many as a ballots topic has partitions at most, since a partition is read by one shard.
const SHARDS_MAX: u32 = Definition::PARTITIONS_MAX;

/// Least utilization: below a tenth, nine of ten shards would be there for nothing.
const UTILIZATION_PERCENT_MIN: u32 = 10;

/// Highest rate that can be stated, in ballots per second: far above what a topic takes.
const RATE_PER_SECOND_MAX: i64 = 100_000_000;

/// How many verifier shards and partitions the proposal has, when. May be changed at any time; it is no part of what
/// voters sign.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "self.minShards <= self.maxShards", "message": "minShards must be at most maxShards", "fieldPath": ".minShards"},
    {"rule": "!has(self.warmShards) || (self.warmShards >= self.minShards && self.warmShards <= self.maxShards)",
     "message": "warmShards must be minShards to maxShards", "fieldPath": ".warmShards"},
    {"rule": "!has(self.shards) || self.shards <= self.maxShards",
     "message": "shards must be at most maxShards", "fieldPath": ".shards"},
    {"rule": "!has(self.partitions) || !has(self.partitions.max) || self.partitions.max >= self.maxShards",
     "message": "partitions.max must be at least maxShards, since a partition is read by one shard", "fieldPath": ".partitions.max"},
    {"rule": "duration(self.lead) <= duration('24h')",
     "message": "lead must be at most 24h", "fieldPath": ".lead"},
    {"rule": "duration(self.catchUpTarget) >= duration('10s') && duration(self.catchUpTarget) <= duration('24h')",
     "message": "catchUpTarget must be 10s to 24h", "fieldPath": ".catchUpTarget"}
]))]
pub struct ScalingSpec {
    /// Shards before the window is prepared for; 0 is usual.
    #[serde(default)]
    #[schemars(range(min = 0, max = SHARDS_MAX))]
    pub min_shards: i64,
    /// Most shards ever.
    #[serde(default = "max_shards_default")]
    #[schemars(range(min = 1, max = SHARDS_MAX))]
    pub max_shards: i64,
    /// Shards from the lead before the opening until everything is verified, whatever arrives. By default minShards, and at
    /// least 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = SHARDS_MAX))]
    pub warm_shards: Option<i64>,
    /// Shards that somebody else chooses: `kubectl scale`, a HorizontalPodAutoscaler or KEDA write it through the scale
    /// subresource. While it is set the operator follows it instead of its own plan, but never goes below warmShards from
    /// the lead until the drain, and there are none once everything is verified. Remove it to hand the choice back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = SHARDS_MAX))]
    pub shards: Option<i64>,
    /// How long before the opening the warm shards are started, such as "2m": long enough that they work when it opens. It
    /// becomes longer by itself where starts are seen to take longer.
    #[serde(default = "lead_default")]
    #[schemars(length(min = 2, max = 16), regex(pattern = DURATION_PATTERN))]
    pub lead: String,
    /// In which time a backlog should be worked off, such as "1m"; shorter where the close is nearer.
    #[serde(default = "catch_up_target_default")]
    #[schemars(length(min = 2, max = 16), regex(pattern = DURATION_PATTERN))]
    pub catch_up_target: String,
    /// How much of a shard's rate is planned with, in percent; the rest is room for what arrives until the next look.
    #[serde(default = "utilization_default")]
    #[schemars(range(min = UTILIZATION_PERCENT_MIN, max = 100))]
    pub utilization: i64,
    /// Highest arrival rate that is expected, in ballots per second. Shards for it are ready at both ends of the window,
    /// where rushes come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = RATE_PER_SECOND_MAX))]
    pub expected_peak: Option<i64>,
    /// What one shard verifies, in ballots per second, until shards have measured it. By default what one core does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = RATE_PER_SECOND_MAX))]
    pub rate_per_shard: Option<i64>,
    /// Partitions of the ballots topic. They are added while the window is open when shards outnumber them, and never taken
    /// away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partitions: Option<PartitionsSpec>,
    /// Gives no shard back while set.
    #[serde(default)]
    pub hold: bool,
}

/// Partitions of the ballots topic.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "!has(self.initial) || !has(self.max) || self.initial <= self.max",
    "message": "initial must be at most max", "fieldPath": ".initial"
}]))]
pub struct PartitionsSpec {
    /// How many there are at first. By default maxShards. A topic that is made when more shards than that are wanted already
    /// begins with more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = SHARDS_MAX))]
    pub initial: Option<i64>,
    /// Most of them. By default the larger of initial and maxShards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = SHARDS_MAX))]
    pub max: Option<i64>,
}

impl Default for ScalingSpec {
    fn default() -> Self {
        Self {
            min_shards: 0,
            max_shards: max_shards_default(),
            warm_shards: None,
            shards: None,
            lead: lead_default(),
            catch_up_target: catch_up_target_default(),
            utilization: utilization_default(),
            expected_peak: None,
            rate_per_shard: None,
            partitions: None,
            hold: false,
        }
    }
}

/// A handful of machines' worth: what a proposal may take that says nothing.
const fn max_shards_default() -> i64 {
    8
}

/// An image pull and a pod's start.
fn lead_default() -> String {
    "2m".to_owned()
}

fn catch_up_target_default() -> String {
    "1m".to_owned()
}

const fn utilization_default() -> i64 {
    80
}

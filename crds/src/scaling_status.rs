//! A scaling decision as status shows it: inputs, candidates, the limit that bound, and the choice.

use pnyx_core::scaling::{START_MS_MAX, STARTS_KEPT};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Most candidates: as many as the planner weighs, and some to spare.
const CANDIDATES_MAX: usize = 16;

/// A decision about shards and partitions. Words are the planner's own; `pnyx explain` says what they mean.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ScalingStatus {
    /// When it was made, RFC 3339. Written only when something else changes too.
    #[schemars(extend("format" = "date-time"))]
    pub decided_at: String,
    /// Where the planner sees the window, such as "warming".
    pub phase: String,
    /// For people: what was decided and why, in one sentence.
    pub message: String,
    /// What it was made from.
    pub inputs: ScalingInputs,
    /// What could have been chosen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = CANDIDATES_MAX),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    pub candidates: Vec<ScalingCandidate>,
    /// Shards.
    pub shards: ScalingChoice,
    /// Partitions of the ballots topic.
    pub partitions: ScalingChoice,
    /// What was learnt, for the operator that starts next and for other proposals. It may be removed: then it is learnt again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remembered: Option<ScalingRemembered>,
}

/// What was learnt of a proposal's shards.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq, Default)]
#[serde(rename_all = "camelCase")]
pub struct ScalingRemembered {
    /// How long shards took to start, the latest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = STARTS_KEPT), extend("x-kubernetes-list-type" = "atomic"))]
    pub starts: Vec<ScalingStart>,
    /// What a shard verifies, in thousandths of a ballot per second, smoothed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub rate_per_shard_milli: Option<i64>,
    /// How far the window came, such as "open".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reached: Option<String>,
}

/// Shards that were asked for and came.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ScalingStart {
    /// When they worked, RFC 3339.
    #[schemars(extend("format" = "date-time"))]
    pub at: String,
    /// How long that took from asking for them, in milliseconds.
    #[schemars(range(min = 1, max = START_MS_MAX))]
    pub took_ms: i64,
}

/// What a decision was made from.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq, Default)]
#[serde(rename_all = "camelCase")]
pub struct ScalingInputs {
    /// How good the data is, such as "fresh".
    pub data: String,
    /// How old the sample of the log was, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample_age_seconds: Option<i64>,
    /// Ballots that arrive in a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arrivals_per_second: Option<i64>,
    /// Ballots that wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backlog: Option<i64>,
    /// Ballots that wait in the fullest partition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fullest_partition: Option<i64>,
    /// Ballots that a shard verifies in a second, measured or stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_per_shard: Option<i64>,
    /// Whether that rate was measured.
    #[serde(default)]
    pub is_rate_measured: bool,
    /// How much of that rate arrivals may take, in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub utilization_percent: Option<i64>,
    /// In which time the backlog should be worked off, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub catch_up_seconds: Option<i64>,
    /// How long before the opening shards are started, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lead_seconds: Option<i64>,
    /// Shards that are ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shards_ready: Option<i64>,
}

/// A number of shards that one consideration alone asks for.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ScalingCandidate {
    /// The consideration, such as "backlog".
    pub name: String,
    /// How many it asks for.
    pub shards: i64,
}

/// A number that was chosen.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ScalingChoice {
    /// How many there were.
    pub from: i64,
    /// How many there should be.
    pub to: i64,
    /// How many there would be if nothing had to be waited for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wanted: Option<i64>,
    /// What decided, such as "backlog" or "maxShards".
    pub limit: String,
}

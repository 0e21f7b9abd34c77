//! What one space may take of a platform, so that no community can starve another.

use pnyx_core::proposal::{Definition, LISTED_VOTERS_MAX, NAME_BYTES_MAX};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Most spaces with limits of their own.
const SPACES_MAX: usize = 256;

/// Most proposals with an open window that one space can be allowed.
const OPEN_PROPOSALS_MAX: u32 = 10_000;

/// Most shards: as many as a ballots topic has partitions at most.
const SHARDS_MAX: u32 = Definition::PARTITIONS_MAX;

/// What spaces may take. A proposal beyond it is not accepted, and its condition says so.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq, Default)]
#[serde(rename_all = "camelCase")]
pub struct LimitsSpec {
    /// Every space that is not named below. What is left out has no limit.
    #[serde(default)]
    pub default: SpaceLimits,
    /// Spaces with limits of their own, which take the place of all the default ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = SPACES_MAX),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["space"])
    )]
    pub spaces: Vec<SpaceLimitsSpec>,
}

/// What one space may take.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq, Default)]
#[serde(rename_all = "camelCase")]
pub struct SpaceLimits {
    /// Proposals that are accepted and have no result yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = OPEN_PROPOSALS_MAX))]
    pub max_open_proposals: Option<i64>,
    /// Shards of one proposal; a larger spec.scaling.maxShards counts as this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = SHARDS_MAX))]
    pub max_shards: Option<i64>,
    /// Addresses that all lists of one proposal name together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = LISTED_VOTERS_MAX))]
    pub max_voters: Option<i64>,
}

/// The limits of one space.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct SpaceLimitsSpec {
    /// The space, as proposals name it.
    #[schemars(length(min = 1, max = NAME_BYTES_MAX))]
    pub space: String,
    /// Its limits. What is left out has no limit.
    #[serde(default)]
    pub limits: SpaceLimits,
}

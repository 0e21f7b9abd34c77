//! What the operator says of a platform.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::proposal_status::CONDITIONS_MAX;

/// What the operator says of a platform.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
#[serde(rename_all = "camelCase")]
pub struct GovernancePlatformStatus {
    /// The generation of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// What is true of the platform, one entry a type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = CONDITIONS_MAX),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"])
    )]
    pub conditions: Vec<Condition>,
    /// The edge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingest: Option<ReplicasStatus>,
    /// The tally.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tally: Option<ReplicasStatus>,
    /// Proposals of this platform.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proposals: Option<i64>,
    /// Those whose window is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_proposals: Option<i64>,
    /// The image that runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// The address of the key that signs receipts and results.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing_address: Option<String>,
}

/// Replicas of a Deployment.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq, Default)]
#[serde(rename_all = "camelCase")]
pub struct ReplicasStatus {
    /// How many there should be.
    pub desired: i64,
    /// How many are there and ready.
    pub ready: i64,
}

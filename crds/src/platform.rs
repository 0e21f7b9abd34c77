//! `GovernancePlatform`, version v1alpha1: one installation of ingest, tally and verifiers, and what they work with.
//!
//! Everything that the processes of a platform read from their configuration file has its place here; secrets are named
//! and never stand here.

mod archive;
mod chains;
mod images;
mod kafka;
mod limits;
mod redis;
mod settings;
mod status;
mod workload;

pub use archive::{ArchiveSpec, LogArchiveSpec, PersistentVolumeClaimArchiveSpec, S3ArchiveSpec};
pub use chains::{ChainSpec, EndpointSpec};
pub use images::{ImagesSpec, PullPolicy};
pub use kafka::{GroupProtocol, KafkaSaslSpec, KafkaSpec, SaslMechanism, denied_setting};
pub use limits::{LimitsSpec, SpaceLimits, SpaceLimitsSpec};
pub use redis::{RedisClusterSpec, RedisSentinelSpec, RedisSingleSpec, RedisSpec};
pub use settings::{EdgeSpec, TracesSpec};
pub use status::{GovernancePlatformStatus, ReplicasStatus};
pub use workload::{ReplicasSpec, WorkloadSpec};

use kube::CustomResource;
use pnyx_core::proposal::{CHAINS_MAX, NAME_BYTES_MAX};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{duration::DURATION_PATTERN, secret::SecretKeyRef};

/// What a platform is made of.
#[expect(clippy::duplicated_attributes, reason = "several columns have the same type")]
#[derive(CustomResource, JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "pnyx.dev",
    version = "v1alpha1",
    kind = "GovernancePlatform",
    namespaced,
    shortname = "gplat",
    category = "pnyx",
    derive = "PartialEq",
    doc = "An installation that runs the votes of the proposals in its namespace.",
    status = "GovernancePlatformStatus",
    selectable = ".spec.domain",
    printcolumn(name = "Domain", type_ = "string", json_path = ".spec.domain"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Ingest", type_ = "integer", json_path = ".status.ingest.ready"),
    printcolumn(name = "Tally", type_ = "integer", json_path = ".status.tally.ready"),
    printcolumn(name = "Open", type_ = "integer", json_path = ".status.openProposals"),
    printcolumn(
        name = "Kafka",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"KafkaReady\")].status",
        priority = 1
    ),
    printcolumn(
        name = "Redis",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"RedisReady\")].status",
        priority = 1
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "!has(self.verifier.replicas)",
     "message": "a verifier has no replicas of its own: each proposal's spec.scaling says how many shards it has",
     "fieldPath": ".verifier.replicas"},
    {"rule": "!has(self.recount.replicas)",
     "message": "a recount has no replicas: each proposal is recounted by one Job", "fieldPath": ".recount.replicas"},
    {"rule": "duration(self.grace) >= duration('5s') && duration(self.grace) <= duration('1h')",
     "message": "grace must be 5s to 1h", "fieldPath": ".grace"}
]))]
pub struct GovernancePlatformSpec {
    /// The installation's name in the world. It is part of every proposal's id, so that no ballot can be carried from one
    /// platform to another, and can never change.
    #[schemars(length(min = 1, max = NAME_BYTES_MAX), extend("x-kubernetes-validations" = [{
        "rule": "self == oldSelf",
        "message": "the domain is part of every proposal's id and can never change; make another platform instead",
        "reason": "FieldValueForbidden"
    }]))]
    pub domain: String,
    /// The log: ground state.
    pub kafka: KafkaSpec,
    /// The store: derived state that may be lost.
    pub redis: RedisSpec,
    /// Signs receipts and results: 0x and 64 hexadecimal digits.
    pub signing_key_secret_ref: SecretKeyRef,
    /// Chains that proposals may read power from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = CHAINS_MAX),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["chainId"])
    )]
    pub chains: Vec<ChainSpec>,
    /// Where archives of finished proposals are kept. By default they are served from the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<ArchiveSpec>,
    /// Which image runs. By default the operator's own.
    #[serde(default)]
    pub images: ImagesSpec,
    /// The edge, which takes ballots.
    #[serde(default)]
    pub ingest: WorkloadSpec,
    /// Who keeps the running totals and answers readers.
    #[serde(default)]
    pub tally: WorkloadSpec,
    /// Who verifies; each proposal has shards of its own.
    #[serde(default)]
    pub verifier: WorkloadSpec,
    /// Who recounts after the close.
    #[serde(default)]
    pub recount: WorkloadSpec,
    /// What the edge takes from whom.
    #[serde(default)]
    pub edge: EdgeSpec,
    /// How long after a close the cut is made, such as "5s". Clocks of edge, brokers and recount may differ by as much.
    #[serde(default = "grace_default")]
    #[schemars(length(min = 2, max = 16), regex(pattern = DURATION_PATTERN))]
    pub grace: String,
    /// Where traces of ballots go. By default nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traces: Option<TracesSpec>,
    /// What one space may take.
    #[serde(default)]
    pub limits: LimitsSpec,
    /// Leaves the platform and all its proposals as they are. What runs goes on running.
    #[serde(default)]
    pub paused: bool,
}

/// The least that is safe: longer than a produce request may take and clocks may differ.
fn grace_default() -> String {
    "5s".to_owned()
}

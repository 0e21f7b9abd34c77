//! How a platform reaches its log, and what it asks of it.

mod denied;

pub use denied::denied_setting;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::secret::{SecretKeyRef, TlsSpec};

/// Most brokers to begin with: the others are learnt from them.
const BOOTSTRAP_SERVERS_MAX: usize = 32;

/// Longest address: a DNS name, two brackets and a port.
const ADDRESS_BYTES_MAX: usize = 261;

/// Most further settings of the client library.
const CONFIG_ENTRIES_MAX: usize = 64;

/// Longest value of such a setting, in bytes.
const CONFIG_VALUE_BYTES_MAX: usize = 1_024;

/// Longest prefix: a topic's name has at most 249 characters, and what follows the prefix at most 75.
const TOPIC_PREFIX_BYTES_MAX: usize = 174;

/// Most copies of a partition that can be asked for.
const REPLICATION_MAX: u32 = 15;

/// A Kafka cluster.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "self.minInSync <= self.replication",
     "message": "minInSync must be at most replication, or nothing could ever be acknowledged", "fieldPath": ".minInSync"},
    {"rule": "self.allowUnsafeDurability || (self.replication >= 3 && self.minInSync >= 2)",
     "message": "replication below 3 or minInSync below 2 may lose acknowledged ballots; raise them, or set \
                 allowUnsafeDurability for tests and trials", "fieldPath": ".replication"},
    {"rule": "!has(self.sasl) || self.sasl.mechanism != 'PLAIN' || has(self.tls)",
     "message": "with the mechanism PLAIN the password is sent as it is, so tls must be set", "fieldPath": ".sasl.mechanism"},
    {"rule": "self.topicPrefix == oldSelf.topicPrefix",
     "message": "topicPrefix cannot change: the ballots of all proposals lie under it; make another platform instead",
     "reason": "FieldValueForbidden", "fieldPath": ".topicPrefix"}
]))]
pub struct KafkaSpec {
    /// Brokers to begin with, as host:port.
    #[schemars(
        length(min = 1, max = BOOTSTRAP_SERVERS_MAX),
        inner(length(max = ADDRESS_BYTES_MAX), regex(pattern = r"^([-_.a-zA-Z0-9]+|\[[:.%a-zA-Z0-9]+\]):[0-9]{1,5}$")),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub bootstrap_servers: Vec<String>,
    /// TLS to the brokers. By default none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsSpec>,
    /// Who the platform is. By default nobody asks, or the TLS certificate says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sasl: Option<KafkaSaslSpec>,
    /// Copies of each partition of the topics that are made.
    #[serde(default = "replication_default")]
    #[schemars(range(min = 1, max = REPLICATION_MAX))]
    pub replication: i64,
    /// Copies that must have a record before it is acknowledged.
    #[serde(default = "min_in_sync_default")]
    #[schemars(range(min = 1, max = REPLICATION_MAX))]
    pub min_in_sync: i64,
    /// Goes on although the cluster may lose acknowledged ballots: for tests and trials.
    #[serde(default)]
    pub allow_unsafe_durability: bool,
    /// What the names of topics and of consumer groups begin with; two platforms on one cluster need two.
    #[serde(default = "topic_prefix_default")]
    #[schemars(length(min = 1, max = TOPIC_PREFIX_BYTES_MAX), regex(pattern = r"^[-._a-zA-Z0-9]+$"))]
    pub topic_prefix: String,
    /// How members of a consumer group agree. Consumer: the broker assigns (KIP-848, Kafka 4.0 or later). Classic: for
    /// older brokers.
    #[serde(default)]
    pub group_protocol: GroupProtocol,
    /// Further settings of the client library (librdkafka) by its own names, such as client.rack. What would break a
    /// promise of the log, or has a field of its own here, is refused.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend(
        "maxProperties" = CONFIG_ENTRIES_MAX,
        "additionalProperties" = {"type": "string", "maxLength": CONFIG_VALUE_BYTES_MAX},
        "x-kubernetes-validations" = [denied::rule()]
    ))]
    pub config: BTreeMap<String, String>,
}

/// A user and a password.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct KafkaSaslSpec {
    /// How the password is proved.
    #[serde(default)]
    pub mechanism: SaslMechanism,
    /// The user.
    pub username_secret_ref: SecretKeyRef,
    /// The user's password.
    pub password_secret_ref: SecretKeyRef,
}

/// How a password is proved.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum SaslMechanism {
    #[default]
    #[serde(rename = "SCRAM-SHA-512")]
    ScramSha512,
    #[serde(rename = "SCRAM-SHA-256")]
    ScramSha256,
    #[serde(rename = "PLAIN")]
    Plain,
}

/// How members of a consumer group agree on who reads what.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum GroupProtocol {
    #[default]
    Consumer,
    Classic,
}

const fn replication_default() -> i64 {
    3
}

const fn min_in_sync_default() -> i64 {
    2
}

fn topic_prefix_default() -> String {
    "pnyx".to_owned()
}

//! How a platform reaches its store.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::secret::{SecretKeyRef, TlsSpec};

/// Most addresses of sentinels or of a cluster's nodes: some to begin with are enough.
const ADDRESSES_MAX: usize = 32;

/// Longest address: a DNS name, two brackets and a port.
const ADDRESS_BYTES_MAX: usize = 261;

/// An address such as redis.example:6379 or [::1]:6379; 6379 where no port is given.
const ADDRESS_PATTERN: &str = r"^([-_.a-zA-Z0-9]+|\[[:.%a-zA-Z0-9]+\])(:[0-9]{1,5})?$";

/// A Redis: exactly one of single, sentinel and cluster is set.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "[has(self.single), has(self.sentinel), has(self.cluster)].exists_one(is_set, is_set)",
     "message": "exactly one of single, sentinel and cluster must be set"},
    {"rule": "!has(self.usernameSecretRef) || has(self.passwordSecretRef)",
     "message": "usernameSecretRef is of no use without passwordSecretRef", "fieldPath": ".usernameSecretRef"},
    {"rule": "self.keyPrefix == oldSelf.keyPrefix",
     "message": "keyPrefix cannot change: the totals of open votes are kept under it; make another platform instead",
     "reason": "FieldValueForbidden", "fieldPath": ".keyPrefix"}
]))]
pub struct RedisSpec {
    /// One server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub single: Option<RedisSingleSpec>,
    /// Sentinels that know the master.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sentinel: Option<RedisSentinelSpec>,
    /// A cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<RedisClusterSpec>,
    /// TLS to the servers. By default none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsSpec>,
    /// The ACL user. By default Redis's default user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username_secret_ref: Option<SecretKeyRef>,
    /// The user's password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_secret_ref: Option<SecretKeyRef>,
    /// What every key begins with; two platforms on one Redis need two.
    #[serde(default = "key_prefix_default")]
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[-_.:a-zA-Z0-9]+$"))]
    pub key_prefix: String,
}

/// One server.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct RedisSingleSpec {
    /// Its address, such as "redis.example:6379".
    #[schemars(length(max = ADDRESS_BYTES_MAX), regex(pattern = ADDRESS_PATTERN))]
    pub address: String,
}

/// Sentinels.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct RedisSentinelSpec {
    /// What they call the master.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[-_.a-zA-Z0-9]+$"))]
    pub master: String,
    /// Their addresses.
    #[schemars(
        length(min = 1, max = ADDRESSES_MAX),
        inner(length(max = ADDRESS_BYTES_MAX), regex(pattern = ADDRESS_PATTERN)),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub addresses: Vec<String>,
    /// Their own password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_secret_ref: Option<SecretKeyRef>,
}

/// A cluster.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct RedisClusterSpec {
    /// Some of its nodes.
    #[schemars(
        length(min = 1, max = ADDRESSES_MAX),
        inner(length(max = ADDRESS_BYTES_MAX), regex(pattern = ADDRESS_PATTERN)),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub addresses: Vec<String>,
}

fn key_prefix_default() -> String {
    "pnyx".to_owned()
}

//! Chains that proposals may read power from, and who answers for them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{duration::DURATION_PATTERN, secret::SecretKeyRef};

/// Most endpoints of one chain: as many as a process takes.
const ENDPOINTS_MAX: usize = 16;

/// Longest name of an endpoint, in bytes: it is a label of metrics.
const ENDPOINT_NAME_BYTES_MAX: usize = 64;

/// Most requests in flight to one endpoint that can be asked for: beyond it a process runs out of sockets first.
const CONCURRENCY_MAX: u32 = 1_024;

/// Most requests a second to one endpoint that can be asked for.
const REQUESTS_PER_SECOND_MAX: u32 = 100_000;

/// A chain.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "self.agreement <= self.endpoints.size()",
    "message": "agreement must be at most the number of endpoints, or nothing could ever agree", "fieldPath": ".agreement"
}]))]
pub struct ChainSpec {
    /// The chain's EIP-155 number in decimal digits, "1" for Ethereum.
    #[schemars(length(max = 20), regex(pattern = r"^[1-9][0-9]{0,19}$"))]
    pub chain_id: String,
    /// How many endpoints must give the same answer. With 2 of 3 one may fail or lie.
    #[serde(default = "agreement_default")]
    #[schemars(range(min = 1, max = ENDPOINTS_MAX))]
    pub agreement: i64,
    /// Who answers JSON-RPC for it.
    #[schemars(
        length(min = 1, max = ENDPOINTS_MAX),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    pub endpoints: Vec<EndpointSpec>,
}

/// One endpoint.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "!has(self.requestTimeout) || \
             duration(self.requestTimeout) >= duration('1s') && duration(self.requestTimeout) <= duration('5m')",
    "message": "requestTimeout must be 1s to 5m", "fieldPath": ".requestTimeout"
}]))]
pub struct EndpointSpec {
    /// What logs and metrics call it; the URL is never shown.
    #[schemars(length(min = 1, max = ENDPOINT_NAME_BYTES_MAX), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// Its URL, which often holds a key.
    pub url_secret_ref: SecretKeyRef,
    /// Requests in flight at once. By default 8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = CONCURRENCY_MAX))]
    pub concurrency: Option<i64>,
    /// Requests in a second. By default as many as the endpoint answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = REQUESTS_PER_SECOND_MAX))]
    pub requests_per_second: Option<i64>,
    /// How long one request may take, such as "10s". By default 15s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 16), regex(pattern = DURATION_PATTERN))]
    pub request_timeout: Option<String>,
}

const fn agreement_default() -> i64 {
    1
}

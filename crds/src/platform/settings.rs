//! What the edge takes from whom, and where traces go.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::secret::SecretKeyRef;

/// Most browser origins, and most trusted networks.
const ENTRIES_MAX: usize = 64;

/// Longest origin or network, in bytes.
const ENTRY_BYTES_MAX: usize = 269;

/// Most ballots in flight at once that can be asked for: each holds its body in memory.
const IN_FLIGHT_MAX: u32 = 1_000_000;

/// Highest rate for one address that can be asked for.
const REQUESTS_PER_SECOND_MAX: u32 = 1_000_000;

/// What the edge takes from whom.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct EdgeSpec {
    /// Browser origins that may vote and read; "*" is any. A ballot carries its own proof, and no cookie is ever read.
    #[serde(default = "cors_origins_default")]
    #[schemars(
        length(min = 1, max = ENTRIES_MAX),
        inner(length(max = ENTRY_BYTES_MAX), regex(pattern = r"^(\*|https?://[-.a-zA-Z0-9:\[\]]+)$")),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub cors_origins: Vec<String>,
    /// Ballots a second that one source address may send, an IPv6 /64 counting as one; more is answered 429. By default
    /// there is no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = REQUESTS_PER_SECOND_MAX))]
    pub requests_per_second_per_address: Option<i64>,
    /// Proxies whose X-Forwarded-For is believed, as addresses or networks such as "10.0.0.0/8".
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = ENTRIES_MAX),
        inner(length(max = 49), regex(pattern = r"^[.:0-9a-fA-F]+(/[0-9]{1,3})?$")),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub trusted_proxies: Vec<String>,
    /// Ballots in flight at once in one process; beyond it 503. By default 1024.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = IN_FLIGHT_MAX))]
    pub in_flight_max: Option<i64>,
}

impl Default for EdgeSpec {
    fn default() -> Self {
        Self {
            cors_origins: cors_origins_default(),
            requests_per_second_per_address: None,
            trusted_proxies: Vec::new(),
            in_flight_max: None,
        }
    }
}

/// Where traces of ballots go: OTLP over HTTP to an OpenTelemetry collector.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct TracesSpec {
    /// The collector, such as "http://collector.observability:4318".
    #[schemars(length(max = 2_048), regex(pattern = r"^https?://[^\s@]+$"))]
    pub endpoint: String,
    /// The part of all ballots that is traced, a decimal string such as "0.01".
    #[serde(default = "sample_default")]
    #[schemars(length(max = 8), regex(pattern = r"^(0(\.[0-9]{1,6})?|1(\.0{1,6})?)$"))]
    pub sample: String,
    /// What the collector must be shown, a header in each line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headers_secret_ref: Option<SecretKeyRef>,
}

fn cors_origins_default() -> Vec<String> {
    vec!["*".to_owned()]
}

fn sample_default() -> String {
    "1".to_owned()
}

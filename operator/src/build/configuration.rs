//! The configuration file of all processes of a platform, as a ConfigMap. Nothing in it is secret: it says in which files
//! secrets are, and each process reads those that it has.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use pnyx_backbone::log::kafka::GroupProtocol;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::{part::platform_metadata, pod, secrets};
use crate::validate::{Chain, ChainEndpoint, Edge, Kafka, PlatformParts, Redis, RedisPlace, Tls, Traces};

/// What the ConfigMap's name ends in.
pub(super) const SUFFIX: &str = "config";

/// The file's name.
pub(super) const FILE: &str = "pnyx.yaml";

/// How long ending may take: below what the pod is granted before it is killed.
const DRAIN_LIMIT_S: i64 = pod::TERMINATION_GRACE_PERIOD_S - 5;

/// Digits of the hash on pods.
const HASH_DIGITS: usize = 32;

/// The ConfigMap.
pub(super) fn config_map(platform: &PlatformParts) -> ConfigMap {
    let data = BTreeMap::from([(FILE.to_owned(), text(platform))]);
    ConfigMap { metadata: platform_metadata(platform, SUFFIX), data: Some(data), ..ConfigMap::default() }
}

/// Stands for the file on pods, so that they are made anew when it changes.
pub(super) fn hash(platform: &PlatformParts) -> String {
    super::hex(&Sha256::digest(text(platform)), HASH_DIGITS)
}

/// The file.
fn text(platform: &PlatformParts) -> String {
    let file = without_nothing(json!({
        "domain": platform.domain,
        "signingKeyFile": file(secrets::SIGNING_KEY),
        "corsOrigins": platform.edge.cors_origins,
        "grace": seconds(platform.grace_s),
        "drainLimit": format!("{DRAIN_LIMIT_S}s"),
        "ingest": ingest(&platform.edge),
        "kafka": kafka(&platform.kafka),
        "redis": redis(&platform.redis),
        "chains": platform.chains.iter().map(chain).collect::<Vec<_>>(),
        "otlp": platform.traces.as_ref().map(traces),
    }));
    serde_saphyr::to_string(&file).expect("a JSON value has no unusual keys")
}

fn ingest(edge: &Edge) -> Value {
    json!({
        "inFlightMax": edge.in_flight_max,
        "requestsPerSecondPerAddress": edge.requests_per_second_per_address,
        "trustedProxies": edge.trusted_proxies,
    })
}

fn kafka(kafka: &Kafka) -> Value {
    let sasl = kafka.sasl.as_ref();
    json!({
        "bootstrapServers": kafka.bootstrap_servers.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "topicPrefix": kafka.topic_prefix,
        "replicationFactor": kafka.replication_factor,
        "minInsyncReplicas": kafka.min_insync_replicas,
        "allowUnsafeDurability": kafka.allow_unsafe_durability,
        "groupProtocol": match kafka.group_protocol {
            GroupProtocol::Consumer => "consumer",
            GroupProtocol::Classic => "classic",
        },
        "tls": kafka.tls.as_ref().map(|it| tls(secrets::KAFKA, it)),
        "sasl": sasl.map(|sasl| json!({
            "mechanism": sasl.mechanism.name(),
            "passwordFile": in_folder(secrets::KAFKA, secrets::PASSWORD),
        })),
        "clientSettings": kafka.client_settings,
    })
}

fn redis(redis: &Redis) -> Value {
    let texts = |addresses: &[_]| addresses.iter().map(ToString::to_string).collect::<Vec<_>>();
    let mut section = json!({
        "keyPrefix": redis.key_prefix.to_string(),
        "tls": redis.tls.as_ref().map(|it| tls(secrets::REDIS, it)),
        "passwordFile": redis.credentials.as_ref().map(|_| in_folder(secrets::REDIS, secrets::PASSWORD)),
    });
    match &redis.place {
        RedisPlace::Single(address) => section["address"] = address.to_string().into(),
        RedisPlace::Sentinel { master, addresses, password } => {
            let password = password.as_ref().map(|_| in_folder(secrets::REDIS, secrets::SENTINEL_PASSWORD));
            section["sentinel"] = json!({"master": master, "addresses": texts(addresses), "passwordFile": password});
        }
        RedisPlace::Cluster(nodes) => section["cluster"] = json!({"addresses": texts(nodes)}),
    }
    section
}

fn tls(folder: &str, tls: &Tls) -> Value {
    json!({
        "caFile": tls.authorities.as_ref().map(|_| in_folder(folder, secrets::AUTHORITIES)),
        "certificateFile": tls.client.as_ref().map(|_| in_folder(folder, secrets::CERTIFICATE)),
        "keyFile": tls.client.as_ref().map(|_| in_folder(folder, secrets::KEY)),
    })
}

fn chain(chain: &Chain) -> Value {
    let endpoint = |endpoint: &ChainEndpoint| {
        json!({
            "name": endpoint.name.as_str(),
            "urlFile": file(&secrets::url_file(chain.id, endpoint)),
            "concurrency": endpoint.concurrency,
            "requestsPerSecond": endpoint.requests_per_second,
            "requestTimeout": endpoint.request_timeout_s.map(seconds),
        })
    };
    let endpoints: Vec<_> = chain.endpoints.iter().map(endpoint).collect();
    json!({"id": chain.id.to_string(), "agreement": chain.agreement, "endpoints": endpoints})
}

fn traces(traces: &Traces) -> Value {
    json!({
        "endpoint": traces.endpoint,
        "sample": traces.sample.parse::<f64>().ok(),
        "headersFile": traces.headers.as_ref().map(|_| file(secrets::TRACES_HEADERS)),
    })
}

fn seconds(seconds: u64) -> String {
    format!("{seconds}s")
}

fn file(name: &str) -> String {
    format!("{}/{}/{name}", pod::CONFIGURATION_FOLDER, secrets::FOLDER)
}

fn in_folder(folder: &str, name: &str) -> String {
    file(&format!("{folder}/{name}"))
}

/// Without fields and sections that say nothing. An object that stands for something by being there, as TLS does, stays
/// where it is a field of its own.
fn without_nothing(value: Value) -> Value {
    let Value::Object(fields) = value else { return value };
    let kept = fields.into_iter().filter_map(|(name, value)| match value {
        Value::Null => None,
        Value::Array(items) if items.is_empty() => None,
        Value::Array(items) => Some((name, items.into_iter().map(without_nothing).collect())),
        Value::Object(_) => {
            let value = without_nothing(value);
            let is_nothing = value.as_object().is_some_and(Map::is_empty) && name != "tls";
            (!is_nothing).then_some((name, value))
        }
        Value::Bool(_) | Value::Number(_) | Value::String(_) => Some((name, value)),
    });
    Value::Object(kept.collect())
}

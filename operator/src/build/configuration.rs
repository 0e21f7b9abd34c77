//! The configuration file of all processes of a platform, as a ConfigMap. Nothing in it is secret: it says in which files
//! secrets are, and each process reads those that it has.

mod sections;

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use self::sections::{archive, chain, file, ingest, kafka, redis, seconds, traces};
use super::{part::platform_metadata, pod, secrets};
use crate::validate::PlatformParts;

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
        "archive": archive(&platform.archive),
        "otlp": platform.traces.as_ref().map(traces),
    }));
    serde_saphyr::to_string(&file).expect("a JSON value has no unusual keys")
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

//! Sections of the configuration file. What is `null` or empty is left out by whoever puts them together.

use pnyx_backbone::log::kafka::GroupProtocol;
use serde_json::{Value, json};

use crate::{
    build::{archives, files, secrets},
    validate::{ArchiveStorage, Chain, ChainEndpoint, Edge, Kafka, Redis, RedisPlace, Tls, Traces},
};

pub(super) fn ingest(edge: &Edge) -> Value {
    json!({
        "inFlightMax": edge.in_flight_max,
        "requestsPerSecondPerAddress": edge.requests_per_second_per_address,
        "trustedProxies": edge.trusted_proxies,
    })
}

pub(super) fn kafka(kafka: &Kafka) -> Value {
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

pub(super) fn redis(redis: &Redis) -> Value {
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

pub(super) fn chain(chain: &Chain) -> Value {
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

pub(super) fn archive(archive: &ArchiveStorage) -> Value {
    match archive {
        ArchiveStorage::Log => Value::Null,
        ArchiveStorage::Claim(_) => json!({"folder": archives::FOLDER}),
        ArchiveStorage::Bucket(bucket) => json!({"s3": {
            "endpoint": bucket.endpoint,
            "bucket": bucket.bucket,
            "region": bucket.region,
            "prefix": Some(&bucket.prefix).filter(|prefix| !prefix.is_empty()),
            "accessKeyIdFile": file(secrets::ACCESS_KEY_ID),
            "secretAccessKeyFile": file(secrets::SECRET_ACCESS_KEY),
            "caFile": bucket.authorities.as_ref().map(|_| file(secrets::ARCHIVE_AUTHORITIES)),
        }}),
    }
}

pub(super) fn traces(traces: &Traces) -> Value {
    json!({
        "endpoint": traces.endpoint,
        "sample": traces.sample.parse::<f64>().ok(),
        "headersFile": traces.headers.as_ref().map(|_| file(secrets::TRACES_HEADERS)),
    })
}

pub(super) fn seconds(seconds: u64) -> String {
    format!("{seconds}s")
}

pub(super) fn file(name: &str) -> String {
    format!("{}/{}/{name}", files::FOLDER, secrets::FOLDER)
}

fn in_folder(folder: &str, name: &str) -> String {
    file(&format!("{folder}/{name}"))
}

//! Secrets as files: which of them a part needs, and where each lies. Nothing is mounted that a part does not read.
//!
//! User names are the one exception: the configuration knows no files for them, so they come as environment variables.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    EnvVar, EnvVarSource, KeyToPath, SecretKeySelector, SecretProjection, VolumeProjection,
};
use pnyx_core::chain::ChainId;
use pnyx_crds::SecretKeyRef;

use super::part::Part;
use crate::validate::{ArchiveStorage, ChainEndpoint, RedisPlace, Tls};

/// Where the files are, below the mount.
pub(super) const FOLDER: &str = "secrets";

/// Names of the files.
pub(super) const SIGNING_KEY: &str = "signing-key";
pub(super) const KAFKA: &str = "kafka";
pub(super) const REDIS: &str = "redis";
pub(super) const AUTHORITIES: &str = "ca.pem";
pub(super) const CERTIFICATE: &str = "certificate.pem";
pub(super) const KEY: &str = "key.pem";
pub(super) const PASSWORD: &str = "password";
pub(super) const SENTINEL_PASSWORD: &str = "sentinel-password";
pub(super) const ACCESS_KEY_ID: &str = "archive/access-key-id";
pub(super) const SECRET_ACCESS_KEY: &str = "archive/secret-access-key";
pub(super) const ARCHIVE_AUTHORITIES: &str = "archive/ca.pem";
pub(super) const TRACES_HEADERS: &str = "traces-headers";

/// The file with an endpoint's URL.
pub(super) fn url_file(chain: ChainId, endpoint: &ChainEndpoint) -> String {
    format!("chains/{chain}/{}", endpoint.name)
}

/// The files of a part, one source a Secret, so that a Secret's keys change together.
pub(super) fn sources(part: &Part<'_>) -> Vec<VolumeProjection> {
    let mut secrets: BTreeMap<&str, Vec<KeyToPath>> = BTreeMap::new();
    for (file, secret) in files(part) {
        let item = KeyToPath { key: secret.key.clone(), path: format!("{FOLDER}/{file}"), ..KeyToPath::default() };
        secrets.entry(&secret.name).or_default().push(item);
    }
    let source = |(name, items): (&str, Vec<KeyToPath>)| VolumeProjection {
        secret: Some(SecretProjection { name: name.to_owned(), items: Some(items), optional: None }),
        ..VolumeProjection::default()
    };
    secrets.into_iter().map(source).collect()
}

/// User names, where servers ask for them.
pub(super) fn environment(part: &Part<'_>) -> Vec<EnvVar> {
    let kafka = part.platform.kafka.sasl.as_ref().filter(|_| part.component.reads_log());
    let kafka = kafka.map(|sasl| ("PNYX_KAFKA_SASL_USERNAME", &sasl.username));
    let redis = part.platform.redis.credentials.as_ref().filter(|_| part.component.reads_redis());
    let redis = redis.and_then(|it| it.username.as_ref()).map(|username| ("PNYX_REDIS_USERNAME", username));
    let variable = |(name, secret): (&str, &SecretKeyRef)| {
        let selector = SecretKeySelector { name: secret.name.clone(), key: secret.key.clone(), optional: None };
        let source = EnvVarSource { secret_key_ref: Some(selector), ..EnvVarSource::default() };
        EnvVar { name: name.to_owned(), value_from: Some(source), ..EnvVar::default() }
    };
    kafka.into_iter().chain(redis).map(variable).collect()
}

fn files<'a>(part: &Part<'a>) -> Vec<(String, &'a SecretKeyRef)> {
    let (platform, component) = (part.platform, part.component);
    let mut files = Vec::new();
    if component.reads_log() {
        files.extend(tls(KAFKA, platform.kafka.tls.as_ref()));
        files.extend(platform.kafka.sasl.as_ref().map(|sasl| (format!("{KAFKA}/{PASSWORD}"), &sasl.password)));
    }
    if component.reads_redis() {
        let redis = &platform.redis;
        files.extend(tls(REDIS, redis.tls.as_ref()));
        files.extend(redis.credentials.as_ref().map(|it| (format!("{REDIS}/{PASSWORD}"), &it.password)));
        if let RedisPlace::Sentinel { password: Some(password), .. } = &redis.place {
            files.push((format!("{REDIS}/{SENTINEL_PASSWORD}"), password));
        }
    }
    if component.reads_chains() {
        let urls = platform.chains.iter().flat_map(|chain| chain.endpoints.iter().map(move |it| (chain.id, it)));
        files.extend(urls.map(|(chain, endpoint)| (url_file(chain, endpoint), &endpoint.url)));
    }
    files.extend(component.signs().then_some((SIGNING_KEY.to_owned(), &platform.signing_key)));
    if let ArchiveStorage::Bucket(bucket) = &platform.archive
        && component.reads_archives()
    {
        files.push((ACCESS_KEY_ID.to_owned(), &bucket.access_key_id));
        files.push((SECRET_ACCESS_KEY.to_owned(), &bucket.secret_access_key));
        files.extend(bucket.authorities.as_ref().map(|authorities| (ARCHIVE_AUTHORITIES.to_owned(), authorities)));
    }
    let headers =
        platform.traces.as_ref().and_then(|traces| traces.headers.as_ref()).filter(|_| component.tells_traces());
    files.extend(headers.map(|headers| (TRACES_HEADERS.to_owned(), headers)));
    files
}

fn tls<'a>(folder: &str, tls: Option<&'a Tls>) -> Vec<(String, &'a SecretKeyRef)> {
    let Some(Tls { authorities, client }) = tls else { return Vec::new() };
    let client = client.iter().flat_map(|client| [(CERTIFICATE, &client.certificate), (KEY, &client.key)]);
    let files = authorities.iter().map(|authorities| (AUTHORITIES, authorities)).chain(client);
    files.map(|(file, secret)| (format!("{folder}/{file}"), secret)).collect()
}

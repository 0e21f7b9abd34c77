//! The configuration file: one YAML document for all processes of a platform. Every field may be left out, no other is
//! allowed, and what is wrong is said with the field's path.

use std::{
    collections::BTreeMap,
    fmt,
    fs::File,
    io::Read as _,
    net::SocketAddr,
    num::{NonZeroU16, NonZeroU32, NonZeroUsize},
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use anyhow::{Context as _, anyhow, ensure};
use pnyx_backbone::{
    log::kafka::{GroupProtocol, SaslMechanism},
    store::{HostPort, KeyPrefix},
    traces::{Endpoint, SampleRatio},
};
use pnyx_core::chain::ChainId;
use pnyx_ingest::Network;
use serde::{Deserialize, Deserializer, de};

use super::words;
use crate::cli::parse_duration;

/// Most bytes of a file that are read: a hundred times the example.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// The file. Relative paths in it are relative to its own directory.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct ConfigFile {
    pub(crate) domain: Option<String>,
    pub(crate) listen: Option<SocketAddr>,
    pub(crate) signing_key_file: Option<PathBuf>,
    #[serde(deserialize_with = "grace")]
    pub(crate) grace: Option<Duration>,
    #[serde(deserialize_with = "drain_limit")]
    pub(crate) drain_limit: Option<Duration>,
    pub(crate) shards: Option<NonZeroU16>,
    pub(crate) cors_origins: Option<Vec<String>>,
    pub(crate) ingest: IngestSection,
    pub(crate) kafka: KafkaSection,
    pub(crate) redis: RedisSection,
    pub(crate) otlp: OtlpSection,
    pub(crate) chains: Option<Vec<ChainSection>>,
    pub(crate) archive: ArchiveSection,
}

/// Where archives are kept outside the log: one of the two, or neither.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct ArchiveSection {
    pub(crate) folder: Option<PathBuf>,
    pub(crate) s3: Option<S3Section>,
}

#[derive(Debug, Default, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct S3Section {
    pub(crate) endpoint: Option<String>,
    pub(crate) bucket: Option<String>,
    pub(crate) region: Option<String>,
    pub(crate) prefix: Option<String>,
    pub(crate) access_key_id_file: Option<PathBuf>,
    pub(crate) secret_access_key_file: Option<PathBuf>,
    pub(crate) ca_file: Option<PathBuf>,
}

/// A chain and who answers for it.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ChainSection {
    #[serde(deserialize_with = "required")]
    pub(crate) id: ChainId,
    pub(crate) agreement: Option<NonZeroUsize>,
    pub(crate) endpoints: Vec<EndpointSection>,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct EndpointSection {
    pub(crate) name: String,
    pub(crate) url: Option<UrlText>,
    pub(crate) url_file: Option<PathBuf>,
    pub(crate) url_environment: Option<String>,
    pub(crate) concurrency: Option<NonZeroUsize>,
    pub(crate) requests_per_second: Option<NonZeroU32>,
    #[serde(default, deserialize_with = "duration")]
    pub(crate) request_timeout: Option<Duration>,
}

/// A URL that may hold a key: never shown.
#[derive(PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub(crate) struct UrlText(pub(crate) String);

impl fmt::Debug for UrlText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UrlText")
    }
}

#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct IngestSection {
    pub(crate) requests_per_second_per_address: Option<NonZeroU32>,
    #[serde(deserialize_with = "texts")]
    pub(crate) trusted_proxies: Option<Vec<Network>>,
    pub(crate) in_flight_max: Option<NonZeroUsize>,
}

#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct KafkaSection {
    pub(crate) bootstrap_servers: Option<Vec<String>>,
    pub(crate) topic_prefix: Option<String>,
    pub(crate) replication_factor: Option<u16>,
    pub(crate) min_insync_replicas: Option<u16>,
    #[serde(deserialize_with = "group_protocol")]
    pub(crate) group_protocol: Option<GroupProtocol>,
    #[serde(deserialize_with = "linger")]
    pub(crate) linger_ms: Option<Duration>,
    pub(crate) tls: Option<TlsSection>,
    pub(crate) sasl: Option<SaslSection>,
    pub(crate) client_settings: Option<BTreeMap<String, String>>,
    pub(crate) allow_unsafe_durability: Option<bool>,
}

#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct TlsSection {
    pub(crate) ca_file: Option<PathBuf>,
    pub(crate) certificate_file: Option<PathBuf>,
    pub(crate) key_file: Option<PathBuf>,
}

#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct SaslSection {
    #[serde(deserialize_with = "sasl_mechanism")]
    pub(crate) mechanism: Option<SaslMechanism>,
    pub(crate) username: Option<String>,
    pub(crate) password_file: Option<PathBuf>,
}

#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct RedisSection {
    #[serde(deserialize_with = "text")]
    pub(crate) address: Option<HostPort>,
    pub(crate) sentinel: Option<SentinelSection>,
    pub(crate) cluster: Option<ClusterSection>,
    pub(crate) tls: Option<TlsSection>,
    pub(crate) username: Option<String>,
    pub(crate) password_file: Option<PathBuf>,
    #[serde(deserialize_with = "text")]
    pub(crate) key_prefix: Option<KeyPrefix>,
}

#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct SentinelSection {
    pub(crate) master: Option<String>,
    #[serde(deserialize_with = "texts")]
    pub(crate) addresses: Option<Vec<HostPort>>,
    pub(crate) password_file: Option<PathBuf>,
}

#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct OtlpSection {
    #[serde(deserialize_with = "text")]
    pub(crate) endpoint: Option<Endpoint>,
    #[serde(deserialize_with = "sample")]
    pub(crate) sample: Option<SampleRatio>,
    pub(crate) headers_file: Option<PathBuf>,
}

#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct ClusterSection {
    #[serde(deserialize_with = "texts")]
    pub(crate) addresses: Option<Vec<HostPort>>,
}

impl ConfigFile {
    /// Reads a file; an error begins with the file's name and the field's path.
    pub(crate) fn load(path: &Path) -> anyhow::Result<Self> {
        let mut text = String::new();
        let read = File::open(path).and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text));
        let bytes = read.with_context(|| format!("configuration file {} cannot be read", path.display()))?;
        ensure!(bytes as u64 <= FILE_BYTES_MAX, "configuration file {}: is too large", path.display());
        let mut file = Self::parse(&text).map_err(|problem| anyhow!("{}: {problem}", path.display()))?;
        file.resolve_paths(path.parent().unwrap_or_else(|| Path::new("")));
        Ok(file)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let documents: Vec<serde_json::Value> = serde_saphyr::from_multiple(text).map_err(|error| {
            let formatter = serde_saphyr::UserMessageFormatter;
            format!("not YAML: {}", error.without_snippet().render_with_formatter(&formatter))
        })?;
        let mut documents = documents.into_iter().filter(|document| !document.is_null());
        let Some(document) = documents.next() else { return Ok(Self::default()) };
        if documents.next().is_some() {
            return Err("has more than one document".to_owned());
        }
        serde_path_to_error::deserialize(document).map_err(|error| {
            let (path, problem) = (error.path().to_string(), error.inner().to_string());
            if path == "." { problem } else { format!("{path}: {problem}") }
        })
    }

    fn resolve_paths(&mut self, directory: &Path) {
        let Self { kafka, redis, otlp, chains, archive, signing_key_file, .. } = self;
        let mut paths = vec![signing_key_file, &mut redis.password_file, &mut otlp.headers_file];
        paths.push(&mut archive.folder);
        paths.extend(
            archive
                .s3
                .iter_mut()
                .flat_map(|it| [&mut it.access_key_id_file, &mut it.secret_access_key_file, &mut it.ca_file]),
        );
        paths.extend(redis.sentinel.as_mut().map(|sentinel| &mut sentinel.password_file));
        paths.extend(kafka.sasl.as_mut().map(|sasl| &mut sasl.password_file));
        for TlsSection { ca_file, certificate_file, key_file } in [&mut kafka.tls, &mut redis.tls].into_iter().flatten()
        {
            paths.extend([ca_file, certificate_file, key_file]);
        }
        paths.extend(
            chains.iter_mut().flatten().flat_map(|chain| &mut chain.endpoints).map(|endpoint| &mut endpoint.url_file),
        );
        for path in paths.into_iter().flatten() {
            *path = directory.join(&*path);
        }
    }
}

fn grace<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    parsed(deserializer, words::parse_grace)
}

fn drain_limit<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    parsed(deserializer, words::parse_drain_limit)
}

fn group_protocol<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<GroupProtocol>, D::Error> {
    parsed(deserializer, words::parse_group_protocol)
}

fn sasl_mechanism<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SaslMechanism>, D::Error> {
    parsed(deserializer, words::parse_sasl_mechanism)
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    parsed(deserializer, parse_duration)
}

fn required<'de, D: Deserializer<'de>, T: FromStr<Err: std::fmt::Display>>(deserializer: D) -> Result<T, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(de::Error::custom)
}

/// A number; its own text is read, so that no binary fraction comes in between.
fn linger<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let number = Option::<serde_json::Number>::deserialize(deserializer)?;
    number.map(|number| words::parse_linger(&number.to_string()).map_err(de::Error::custom)).transpose()
}

/// As [`linger`].
fn sample<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SampleRatio>, D::Error> {
    let number = Option::<serde_json::Number>::deserialize(deserializer)?;
    number.map(|number| number.to_string().parse().map_err(de::Error::custom)).transpose()
}

fn text<'de, D: Deserializer<'de>, T: FromStr<Err: std::fmt::Display>>(deserializer: D) -> Result<Option<T>, D::Error> {
    parsed(deserializer, |text| text.parse().map_err(|error: T::Err| error.to_string()))
}

fn texts<'de, D: Deserializer<'de>, T: FromStr<Err: std::fmt::Display>>(
    deserializer: D,
) -> Result<Option<Vec<T>>, D::Error> {
    let texts = Option::<Vec<String>>::deserialize(deserializer)?;
    let parse = |text: String| text.parse().map_err(de::Error::custom);
    texts.map(|texts| texts.into_iter().map(parse).collect()).transpose()
}

fn parsed<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Result<Option<T>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(|text| parse(&text).map_err(de::Error::custom)).transpose()
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn check(text: &str, expected: Expect) {
        expected.assert_eq(&ConfigFile::parse(text).unwrap_err());
    }

    #[test]
    fn an_empty_file_says_nothing() {
        for text in ["", "# only a comment\n", "---\n"] {
            assert_eq!(ConfigFile::parse(text), Ok(ConfigFile::default()), "{text:?}");
        }
    }

    #[test]
    fn mistakes_are_named_by_their_field() {
        check(
            "kafkaa: {}",
            expect![
                "kafkaa: unknown field `kafkaa`, expected one of `domain`, `listen`, `signingKeyFile`, `grace`, `drainLimit`, `shards`, `corsOrigins`, `ingest`, `kafka`, `redis`, `otlp`, `chains`, `archive`"
            ],
        );
        check(
            "kafka: {sasl: {password: hunter2}}",
            expect![
                "kafka.sasl.password: unknown field `password`, expected one of `mechanism`, `username`, `passwordFile`"
            ],
        );
        check(
            "kafka: {bootstrapServers: localhost:9092}",
            expect![[r#"kafka.bootstrapServers: invalid type: string "localhost:9092", expected a sequence"#]],
        );
        check("kafka: {groupProtocol: next}", expect![[r#"kafka.groupProtocol: "next" is not consumer or classic"#]]);
        check(
            "kafka: {lingerMs: 0.0001}",
            expect![[r#"kafka.lingerMs: "0.0001" is not a number of milliseconds, such as 0.5"#]],
        );
        check(
            "redis: {address: 'redis://localhost'}",
            expect![[r#"redis.address: "redis://localhost" is not an address like redis.example:6379 or [::1]:6379"#]],
        );
        check(
            "redis: {cluster: {addresses: ['a:1', 'b:x']}}",
            expect![[r#"redis.cluster.addresses: "b:x" is not an address like redis.example:6379 or [::1]:6379"#]],
        );
        check(
            "redis: {keyPrefix: '{a}'}",
            expect![[r#"redis.keyPrefix: "{a}" is not a key prefix: 1 to 64 letters, digits, '-', '_', '.' and ':'"#]],
        );
        check(
            "ingest: {trustedProxies: [10.0.0.0/33]}",
            expect!["ingest.trustedProxies: /33 is not a number of bits up to 32"],
        );
        check(
            "ingest: {inFlightMax: 0}",
            expect!["ingest.inFlightMax: invalid value: integer `0`, expected a nonzero usize"],
        );
        check(
            "otlp: {sample: 1.5}",
            expect![[r#"otlp.sample: "1.5" is not a ratio from 0 to 1 with at most six decimals, such as 0.01"#]],
        );
        check("grace: 1s", expect!["grace: must be at least 5s"]);
        check("grace: 5", expect!["grace: invalid type: integer `5`, expected a string"]);
        check("listen: 8080", expect!["listen: invalid type: integer `8080`, expected socket address"]);
        check("a: [", expect!["not YAML: unclosed bracket '[' at line 1, column 4"]);
        check("{}\n---\n{}", expect!["has more than one document"]);
    }

    #[test]
    fn paths_are_relative_to_the_file() {
        let text =
            "{signingKeyFile: key, kafka: {tls: {caFile: /etc/ca.pem, keyFile: tls/key.pem}, sasl: {passwordFile: p}}}";
        let mut file = ConfigFile::parse(text).unwrap();
        file.resolve_paths(Path::new("/srv/pnyx"));
        assert_eq!(file.signing_key_file, Some("/srv/pnyx/key".into()));
        let tls = file.kafka.tls.unwrap();
        assert_eq!((tls.ca_file, tls.key_file), (Some("/etc/ca.pem".into()), Some("/srv/pnyx/tls/key.pem".into())));
        assert_eq!(file.kafka.sasl.unwrap().password_file, Some("/srv/pnyx/p".into()));
    }
}

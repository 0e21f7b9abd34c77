//! Settings of the processes: what flags and environment say, else the file, else the default.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use pnyx_backbone::{
    log::kafka::{KafkaConfig, KafkaSasl, KafkaTls, KafkaTlsClient, KafkaUsername, LINGER_DEFAULT, SaslMechanism},
    store::{RedisAddress, RedisConfig, RedisTls},
};
use pnyx_ingest::{IngestConfig, RateLimit};

use super::file::{ConfigFile, KafkaSection, RedisSection, TlsSection};
use crate::cli::process::{ConfigArgs, CorsArgs, EdgeArgs, GraceArgs, KafkaArgs, KeyArgs, RedisArgs, ServeArgs};

/// How long ending may take unless told otherwise: below the 30 s after which Kubernetes kills.
const DRAIN_LIMIT_DEFAULT: Duration = Duration::from_secs(25);

/// Grace unless told otherwise: see `pnyx_recount::config::GRACE_AFTER_CLOSE_MS`.
const GRACE_DEFAULT: Duration = Duration::from_millis(pnyx_recount::config::GRACE_AFTER_CLOSE_MS);

/// Where a process listens and how long it may take to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Serving {
    pub(crate) listen: SocketAddr,
    pub(crate) drain_limit: Duration,
}

/// The file that `--config` names, or nothing.
pub(crate) fn file(args: &ConfigArgs) -> anyhow::Result<ConfigFile> {
    args.config.as_deref().map_or_else(|| Ok(ConfigFile::default()), ConfigFile::load)
}

/// `port` is the process's own default.
pub(crate) fn serving(args: &ServeArgs, file: &ConfigFile, port: u16) -> Serving {
    let ServeArgs { listen, drain_limit } = args;
    Serving {
        listen: listen.or(file.listen).unwrap_or_else(|| (Ipv4Addr::LOCALHOST, port).into()),
        drain_limit: drain_limit.or(file.drain_limit).unwrap_or(DRAIN_LIMIT_DEFAULT),
    }
}

pub(crate) fn signing_key_file(args: &KeyArgs, file: &ConfigFile) -> anyhow::Result<PathBuf> {
    let named = args.signing_key_file.as_ref().or(file.signing_key_file.as_ref());
    named.cloned().context(
        "signingKeyFile: is required (or --signing-key-file, PNYX_SIGNING_KEY_FILE): a file with 0x and 64 hexadecimal \
         digits that nobody but its owner and its group may read; make one with \
         (umask 077; echo 0x$(openssl rand -hex 32) > platform.key)",
    )
}

pub(crate) fn grace(args: &GraceArgs, file: &ConfigFile) -> Duration {
    args.grace.or(file.grace).unwrap_or(GRACE_DEFAULT)
}

pub(crate) fn cors_origins(args: &CorsArgs, file: &ConfigFile) -> Vec<String> {
    args.cors_origins.clone().or_else(|| file.cors_origins.clone()).unwrap_or_else(|| vec!["*".to_owned()])
}

pub(crate) fn domain(given: Option<&str>, file: &ConfigFile) -> anyhow::Result<String> {
    given
        .or(file.domain.as_deref())
        .map(str::to_owned)
        .context("domain: is required (or --domain, PNYX_DOMAIN): it is part of every proposal's id")
}

pub(crate) fn edge(args: &EdgeArgs, file: &ConfigFile, grace: Duration) -> anyhow::Result<IngestConfig> {
    let EdgeArgs { requests_per_second_per_address, trusted_proxies, in_flight_max } = args;
    let section = &file.ingest;
    let trusted_proxies = trusted_proxies.clone().or_else(|| section.trusted_proxies.clone()).unwrap_or_default();
    let requests_per_second = requests_per_second_per_address.or(section.requests_per_second_per_address);
    ensure!(
        requests_per_second.is_some() || trusted_proxies.is_empty(),
        "ingest.trustedProxies: says nothing without ingest.requestsPerSecondPerAddress"
    );
    let default = IngestConfig::default();
    Ok(IngestConfig {
        in_flight_max: in_flight_max.or(section.in_flight_max).unwrap_or(default.in_flight_max),
        // Whatever is acknowledged must lie below the cut.
        append_wait_max: default.append_wait_max.min(grace / 2),
        rate_limit: requests_per_second.map(|requests_per_second| RateLimit { requests_per_second, trusted_proxies }),
    })
}

/// `client_id` is what brokers call the process. The cluster itself and the values' limits are checked when it is opened.
pub(crate) fn kafka(args: &KafkaArgs, file: &ConfigFile, client_id: &str) -> anyhow::Result<KafkaConfig> {
    kafka_lingering(args, file, client_id, LINGER_DEFAULT)
}

/// As [`kafka`], with another default for the linger.
pub(crate) fn kafka_lingering(
    args: &KafkaArgs,
    file: &ConfigFile,
    client_id: &str,
    linger: Duration,
) -> anyhow::Result<KafkaConfig> {
    let section = &file.kafka;
    let servers = args.kafka.as_ref().or(section.bootstrap_servers.as_ref()).filter(|servers| !servers.is_empty());
    let servers = servers.context("kafka.bootstrapServers: is required (or --kafka, PNYX_KAFKA)")?;
    let mut config = KafkaConfig::new(servers.join(","));
    client_id.clone_into(&mut config.client_id);
    let given = args.kafka_topic_prefix.as_ref().or(section.topic_prefix.as_ref());
    config.topic_prefix = given.cloned().unwrap_or(config.topic_prefix);
    let given = args.kafka_replication_factor.or(section.replication_factor);
    config.replication_factor = given.unwrap_or(config.replication_factor);
    let given = args.kafka_min_insync_replicas.or(section.min_insync_replicas);
    config.min_insync_replicas = given.unwrap_or(config.min_insync_replicas);
    config.group_protocol = args.kafka_group_protocol.or(section.group_protocol).unwrap_or_default();
    config.linger = args.kafka_linger_ms.or(section.linger_ms).unwrap_or(linger);
    config.tls = kafka_tls(args, section)?;
    config.sasl = kafka_sasl(args, section)?;
    let settings = args.kafka_client_settings.clone().map(BTreeMap::from_iter);
    config.client_settings = settings.or_else(|| section.client_settings.clone()).unwrap_or_default();
    config.allow_unsafe_durability =
        args.allow_unsafe_durability.or(section.allow_unsafe_durability).unwrap_or_default();
    Ok(config)
}

fn kafka_tls(args: &KafkaArgs, section: &KafkaSection) -> anyhow::Result<Option<KafkaTls>> {
    let flags = TlsSection {
        ca_file: args.kafka_tls_ca_file.clone(),
        certificate_file: args.kafka_tls_certificate_file.clone(),
        key_file: args.kafka_tls_key_file.clone(),
    };
    let Some(tls) = tls(args.kafka_tls, flags, section.tls.as_ref()) else { return Ok(None) };
    let client = match (tls.certificate_file, tls.key_file) {
        (None, None) => None,
        (Some(certificate_file), Some(key_file)) => Some(KafkaTlsClient { certificate_file, key_file }),
        (Some(_), None) | (None, Some(_)) => bail!("kafka.tls: certificateFile and keyFile go together"),
    };
    Ok(Some(KafkaTls { ca_file: tls.ca_file, client }))
}

fn kafka_sasl(args: &KafkaArgs, section: &KafkaSection) -> anyhow::Result<Option<KafkaSasl>> {
    let section = section.sasl.as_ref();
    let mechanism = args.kafka_sasl_mechanism.or_else(|| section?.mechanism);
    let username = args.kafka_sasl_username.clone().or_else(|| section?.username.clone());
    let password_file = args.kafka_sasl_password_file.clone().or_else(|| section?.password_file.clone());
    match (username, password_file) {
        (Some(username), Some(password_file)) => Ok(Some(KafkaSasl {
            mechanism: mechanism.unwrap_or(SaslMechanism::ScramSha512),
            username: KafkaUsername::Value(username),
            password_file,
        })),
        (None, None) if mechanism.is_none() => Ok(None),
        (_, _) => bail!("kafka.sasl: username and passwordFile go together"),
    }
}

pub(crate) fn redis(args: &RedisArgs, file: &ConfigFile) -> anyhow::Result<RedisConfig> {
    let section = &file.redis;
    let mut config = RedisConfig::new(redis_address(args, section)?);
    let flags = TlsSection {
        ca_file: args.redis_tls_ca_file.clone(),
        certificate_file: args.redis_tls_certificate_file.clone(),
        key_file: args.redis_tls_key_file.clone(),
    };
    config.tls = tls(args.redis_tls, flags, section.tls.as_ref())
        .map(|TlsSection { ca_file, certificate_file, key_file }| RedisTls { ca_file, certificate_file, key_file });
    if let Some(RedisTls { certificate_file, key_file, .. }) = &config.tls {
        ensure!(certificate_file.is_some() == key_file.is_some(), "redis.tls: certificateFile and keyFile go together");
    }
    config.username = args.redis_username.clone().or_else(|| section.username.clone());
    config.password_file = args.redis_password_file.clone().or_else(|| section.password_file.clone());
    let prefix = args.redis_key_prefix.clone().or_else(|| section.key_prefix.clone());
    config.key_prefix = prefix.unwrap_or_default();
    Ok(config)
}

/// One kind of address, from the flags if they name any, else from the file.
fn redis_address(args: &RedisArgs, section: &RedisSection) -> anyhow::Result<RedisAddress> {
    let one_of = |addresses: Vec<RedisAddress>| match <[RedisAddress; 1]>::try_from(addresses) {
        Ok([address]) => Ok(Some(address)),
        Err(none) if none.is_empty() => Ok(None),
        Err(_) => bail!("redis: address, sentinel and cluster exclude each other"),
    };
    let sentinels = args.redis_sentinels.clone().map(|sentinels| {
        let master = args.redis_master.clone().context("redis.sentinel.master: is required (or --redis-master)")?;
        anyhow::Ok(RedisAddress::Sentinel {
            master,
            sentinels,
            password_file: args.redis_sentinel_password_file.clone(),
        })
    });
    let flags = [
        args.redis.clone().map(RedisAddress::Single),
        sentinels.transpose()?,
        args.redis_cluster.clone().map(|nodes| RedisAddress::Cluster { nodes }),
    ];
    if let Some(address) = one_of(flags.into_iter().flatten().collect())? {
        return Ok(address);
    }
    let sentinel = section.sentinel.as_ref().map(|sentinel| {
        anyhow::Ok(RedisAddress::Sentinel {
            master: sentinel.master.clone().context("redis.sentinel.master: is required")?,
            sentinels: sentinel.addresses.clone().context("redis.sentinel.addresses: is required")?,
            password_file: sentinel.password_file.clone(),
        })
    });
    let cluster = section.cluster.as_ref().map(|cluster| {
        let nodes = cluster.addresses.clone().context("redis.cluster.addresses: is required")?;
        anyhow::Ok(RedisAddress::Cluster { nodes })
    });
    let file = [section.address.clone().map(RedisAddress::Single), sentinel.transpose()?, cluster.transpose()?];
    one_of(file.into_iter().flatten().collect())?
        .context("redis.address: is required (or redis.sentinel, redis.cluster, --redis, PNYX_REDIS)")
}

/// TLS if it is switched on, or anything about it is said and it is not switched off.
fn tls(switch: Option<bool>, flags: TlsSection, section: Option<&TlsSection>) -> Option<TlsSection> {
    let is_said = flags != TlsSection::default() || section.is_some();
    switch.unwrap_or(is_said).then(|| TlsSection {
        ca_file: flags.ca_file.or_else(|| section?.ca_file.clone()),
        certificate_file: flags.certificate_file.or_else(|| section?.certificate_file.clone()),
        key_file: flags.key_file.or_else(|| section?.key_file.clone()),
    })
}

#[cfg(test)]
mod tests;

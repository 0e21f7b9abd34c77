//! Settings of each client, from a checked configuration.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use rdkafka::{ClientConfig, config::RDKafkaLogLevel, error::KafkaError};

use super::{
    backlog::{QUEUE_BYTES_MAX, QUEUE_RECORDS_MAX},
    config::{GroupProtocol, KafkaConfig, KafkaSasl, KafkaTls, KafkaUsername, SaslMechanism},
    deny,
    errors::{KafkaConfigError, words},
};
use crate::log::{RECORD_BYTES_MAX, Topic};

/// What the names of all topics begin with before the configured prefix takes its place.
const TOPIC_ROOT: &str = "pnyx";

/// A topic's name has at most 249 characters, and what follows the prefix at most 75.
const TOPIC_PREFIX_CHARS_MAX: usize = 100;

/// A record that waits longer is not "at once" any more.
const LINGER_MAX: Duration = Duration::from_millis(100);

/// After this a record is given up: less than the grace of 5 s after a close, so that whatever is acknowledged lies
/// below the cut.
pub(super) const MESSAGE_TIMEOUT: Duration = Duration::from_secs(4);

/// What a request may cost beyond the record in it.
const REQUEST_OVERHEAD_BYTES: usize = 64 * 1024;

/// Largest batch of records that a topic must take.
pub(super) const BATCH_BYTES_MAX: usize = RECORD_BYTES_MAX + REQUEST_OVERHEAD_BYTES;

/// A broker that says nothing for so long is given up and connected to again.
const SOCKET_TIMEOUT_MS: u32 = 5_000;

/// Half of the two seconds within which new partitions must be seen.
const METADATA_REFRESH_MS: u32 = 1_000;

/// First and longest wait before connecting again: a restarted broker is back in use within a fraction of a second.
const RECONNECT_BACKOFF_MS: (u32, u32) = (20, 500);

/// How long a broker may hold a fetch with nothing to answer. A reader that comes waits for it, so it is short.
const READER_FETCH_WAIT_MS: u32 = 20;

/// As above, for groups: partitions come seldom.
const GROUP_FETCH_WAIT_MS: u32 = 100;

/// Read ahead of each partition at most: a tenth of a second of the fastest reader.
const READ_AHEAD_KIB: u32 = 8 * 1024;

/// The same for groups, of which a process has a member for every proposal: a dozen batches of the usual ballots. All
/// partitions that are behind hold as much, and somewhat more by the library's own words about each record.
const GROUP_READ_AHEAD_KIB: u32 = 2 * 1024;

/// Records to read ahead; the bytes above are the bound that counts.
const READ_AHEAD_RECORDS: u32 = 100_000;

/// A partition that was read ahead far enough is looked at again after this; the library's second would starve it.
const FETCH_QUEUE_BACKOFF_MS: u32 = 5;

/// Without a sign of life for so long, a member of a classic group is out.
const CLASSIC_SESSION_TIMEOUT_MS: u32 = 10_000;

/// A third of a third of the session.
const CLASSIC_HEARTBEAT_MS: u32 = 1_000;

/// A checked configuration, from which clients are made.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    config: KafkaConfig,
}

impl Settings {
    /// Checks whatever can be checked without a broker.
    pub(super) fn new(config: KafkaConfig) -> Result<Self, KafkaConfigError> {
        if config.bootstrap_servers.split(',').all(|server| server.trim().is_empty()) {
            return Err(KafkaConfigError::NoBootstrapServers);
        }
        check_prefix(&config.topic_prefix)?;
        if config.linger > LINGER_MAX {
            return Err(KafkaConfigError::Linger { linger: config.linger, linger_max: LINGER_MAX });
        }
        check_replicas(&config)?;
        for (key, value) in &config.client_settings {
            check_client_setting(key, value)?;
        }
        let plain = config.sasl.as_ref().is_some_and(|sasl| sasl.mechanism == SaslMechanism::Plain);
        if plain && config.tls.is_none() {
            return Err(KafkaConfigError::PlainWithoutTls);
        }
        let settings = Self { config };
        settings.common()?;
        Ok(settings)
    }

    pub(super) const fn config(&self) -> &KafkaConfig {
        &self.config
    }

    /// The topic's name in the cluster.
    pub(super) fn topic_name(&self, topic: &Topic) -> String {
        match topic.name().strip_prefix(TOPIC_ROOT) {
            Some(rest) => format!("{}{rest}", self.config.topic_prefix),
            None => topic.name().to_owned(),
        }
    }

    /// The topic of a name in the cluster; `None` if it is not one of ours.
    pub(super) fn topic_of(&self, name: &str) -> Option<Topic> {
        let rest = name.strip_prefix(self.config.topic_prefix.as_str())?;
        rest.starts_with('.').then(|| Topic::recovered(&format!("{TOPIC_ROOT}{rest}")))
    }

    /// The id of a group that only assigns.
    pub(super) fn member_group(&self, group: &str) -> String {
        format!("{}.{group}", self.config.topic_prefix)
    }

    /// The id of a group that reads one topic.
    pub(super) fn topic_group(&self, topic: &Topic, group: &str) -> String {
        format!("{}.{group}", self.topic_name(topic))
    }

    /// Files that a client reads once, when it is made.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        if let Some(KafkaTls { ca_file, client }) = &self.config.tls {
            files.extend(ca_file.clone());
            files.extend(client.iter().flat_map(|client| [client.certificate_file.clone(), client.key_file.clone()]));
        }
        if let Some(KafkaSasl { mechanism: _, username, password_file }) = &self.config.sasl {
            files.push(password_file.clone());
            if let KafkaUsername::File(path) = username {
                files.push(path.clone());
            }
        }
        files
    }

    /// For questions and for making topics.
    pub(super) fn admin(&self) -> Result<ClientConfig, KafkaConfigError> {
        self.common()
    }

    pub(super) fn producer(&self) -> Result<ClientConfig, KafkaConfigError> {
        let linger_us = self.config.linger.as_micros();
        let mut client = self.common()?;
        client
            .set("acks", "all")
            .set("enable.idempotence", "true")
            .set("partitioner", "murmur2_random")
            .set("message.timeout.ms", MESSAGE_TIMEOUT.as_millis().to_string())
            .set("request.timeout.ms", MESSAGE_TIMEOUT.as_millis().to_string())
            .set("linger.ms", format!("{}.{:03}", linger_us / 1_000, linger_us % 1_000))
            .set("message.max.bytes", BATCH_BYTES_MAX.to_string())
            // The log bounds its queue itself, so that a batch is taken whole or not at all; these lie just above.
            .set("queue.buffering.max.messages", (QUEUE_RECORDS_MAX * 2).to_string())
            .set("queue.buffering.max.kbytes", (QUEUE_BYTES_MAX * 2 / 1024).to_string())
            // Says when the brokers have given the producer its number: from then on it is warm. A few lines a start.
            .set("debug", "eos")
            .set_log_level(RDKafkaLogLevel::Debug);
        Ok(client)
    }

    /// For the client that all readers of a process share.
    pub(super) fn reader(&self) -> Result<ClientConfig, KafkaConfigError> {
        let mut client = self.consumer(READER_FETCH_WAIT_MS)?;
        client
            // It never joins the group; the library wants a name before it reads anything.
            .set("group.id", self.member_group("reader"))
            // Readers say where they begin. Whatever else happens must be seen, not repaired.
            .set("auto.offset.reset", "error");
        Ok(client)
    }

    /// For a member of a group that reads.
    pub(super) fn group(&self, group_id: &str) -> Result<ClientConfig, KafkaConfigError> {
        let mut client = self.consumer(GROUP_FETCH_WAIT_MS)?;
        client
            .set("group.id", group_id)
            .set("auto.offset.reset", "earliest")
            .set("queued.max.messages.kbytes", GROUP_READ_AHEAD_KIB.to_string());
        self.group_protocol(&mut client);
        Ok(client)
    }

    /// For a member of a group that only assigns.
    pub(super) fn member(&self, group_id: &str) -> Result<ClientConfig, KafkaConfigError> {
        let mut client = self.group(group_id)?;
        // Between an assignment and the pause that follows it, a fetch may slip out: it shall bring little.
        client.set("fetch.message.max.bytes", "1").set("queued.max.messages.kbytes", "1");
        Ok(client)
    }

    /// For questions about a group's committed offsets, without joining it.
    pub(super) fn observer(&self, group_id: &str) -> Result<ClientConfig, KafkaConfigError> {
        let mut client = self.consumer(GROUP_FETCH_WAIT_MS)?;
        client.set("group.id", group_id);
        Ok(client)
    }

    /// For questions about topics.
    pub(super) fn questions(&self) -> Result<ClientConfig, KafkaConfigError> {
        self.consumer(GROUP_FETCH_WAIT_MS)
    }

    fn consumer(&self, fetch_wait_ms: u32) -> Result<ClientConfig, KafkaConfigError> {
        let mut client = self.common()?;
        client
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            // Nothing here is written in transactions; a stranger's open one must not hold readers up.
            .set("isolation.level", "read_uncommitted")
            .set("check.crcs", "true")
            .set("fetch.wait.max.ms", fetch_wait_ms.to_string())
            .set("fetch.queue.backoff.ms", FETCH_QUEUE_BACKOFF_MS.to_string())
            .set("queued.min.messages", READ_AHEAD_RECORDS.to_string())
            .set("queued.max.messages.kbytes", READ_AHEAD_KIB.to_string());
        Ok(client)
    }

    fn group_protocol(&self, client: &mut ClientConfig) {
        match self.config.group_protocol {
            GroupProtocol::Consumer => {
                client.set("group.protocol", "consumer");
            }
            GroupProtocol::Classic => {
                client
                    .set("group.protocol", "classic")
                    .set("partition.assignment.strategy", "cooperative-sticky")
                    .set("session.timeout.ms", CLASSIC_SESSION_TIMEOUT_MS.to_string())
                    .set("heartbeat.interval.ms", CLASSIC_HEARTBEAT_MS.to_string());
            }
        }
    }

    fn common(&self) -> Result<ClientConfig, KafkaConfigError> {
        let mut client = ClientConfig::new();
        client
            .set_log_level(RDKafkaLogLevel::Info)
            .set("bootstrap.servers", &self.config.bootstrap_servers)
            .set("client.id", &self.config.client_id)
            .set("socket.timeout.ms", SOCKET_TIMEOUT_MS.to_string())
            .set("socket.connection.setup.timeout.ms", SOCKET_TIMEOUT_MS.to_string())
            .set("socket.keepalive.enable", "true")
            .set("reconnect.backoff.ms", RECONNECT_BACKOFF_MS.0.to_string())
            .set("reconnect.backoff.max.ms", RECONNECT_BACKOFF_MS.1.to_string())
            .set("topic.metadata.refresh.interval.ms", METADATA_REFRESH_MS.to_string())
            .set("enable.metrics.push", "false");
        for (key, value) in &self.config.client_settings {
            client.set(key, value);
        }
        self.security(&mut client)?;
        Ok(client)
    }

    fn security(&self, client: &mut ClientConfig) -> Result<(), KafkaConfigError> {
        let protocol = match (&self.config.tls, &self.config.sasl) {
            (None, None) => "plaintext",
            (Some(_), None) => "ssl",
            (None, Some(_)) => "sasl_plaintext",
            (Some(_), Some(_)) => "sasl_ssl",
        };
        client.set("security.protocol", protocol);
        if let Some(KafkaTls { ca_file, client: own }) = &self.config.tls {
            client.set("ssl.endpoint.identification.algorithm", "https");
            if let Some(path) = ca_file {
                client.set("ssl.ca.location", readable("the authorities' file", path)?);
            }
            if let Some(own) = own {
                client.set("ssl.certificate.location", readable("the certificate", &own.certificate_file)?);
                client.set("ssl.key.location", readable("the certificate's key", &own.key_file)?);
            }
        }
        if let Some(KafkaSasl { mechanism, username, password_file }) = &self.config.sasl {
            let username = match username {
                KafkaUsername::Value(username) => username.clone(),
                KafkaUsername::File(path) => text("the user's name", path)?,
            };
            client
                .set("sasl.mechanism", mechanism.name())
                .set("sasl.username", username)
                .set("sasl.password", text("the password", password_file)?);
        }
        Ok(())
    }
}

fn check_prefix(prefix: &str) -> Result<(), KafkaConfigError> {
    let fits = !prefix.is_empty()
        && prefix.len() <= TOPIC_PREFIX_CHARS_MAX
        && prefix.chars().all(|char| char.is_ascii_alphanumeric() || matches!(char, '.' | '_' | '-'));
    if fits {
        return Ok(());
    }
    Err(KafkaConfigError::TopicPrefix { prefix: prefix.to_owned(), chars_max: TOPIC_PREFIX_CHARS_MAX })
}

fn check_replicas(config: &KafkaConfig) -> Result<(), KafkaConfigError> {
    let KafkaConfig { replication_factor, min_insync_replicas, allow_unsafe_durability, .. } = *config;
    if !(1..=replication_factor).contains(&min_insync_replicas) {
        return Err(KafkaConfigError::Replicas { replication_factor, min_insync_replicas });
    }
    if min_insync_replicas < 2 && !allow_unsafe_durability {
        return Err(KafkaConfigError::UnsafeReplicas { replication_factor, min_insync_replicas });
    }
    Ok(())
}

fn check_client_setting(key: &str, value: &str) -> Result<(), KafkaConfigError> {
    if let Some(reason) = deny::reason(key) {
        return Err(KafkaConfigError::DeniedSetting { key: key.to_owned(), reason });
    }
    let mut client = ClientConfig::new();
    client.set(key, value);
    match client.create_native_config() {
        Ok(_) => Ok(()),
        Err(KafkaError::ClientConfig(_, problem, ..)) => {
            Err(KafkaConfigError::Setting { key: key.to_owned(), problem })
        }
        Err(other) => Err(KafkaConfigError::Setting { key: key.to_owned(), problem: words(&other) }),
    }
}

/// The path, once it is known that it can be read: the library names neither the file nor the cause.
fn readable(what: &'static str, path: &Path) -> Result<String, KafkaConfigError> {
    fs::File::open(path)
        .and_then(|file| if file.metadata()?.is_file() { Ok(()) } else { Err(io::ErrorKind::InvalidInput.into()) })
        .map_err(|source| KafkaConfigError::File { what, path: path.to_owned(), source })?;
    Ok(path.to_string_lossy().into_owned())
}

fn text(what: &'static str, path: &Path) -> Result<String, KafkaConfigError> {
    let mut text =
        fs::read_to_string(path).map_err(|source| KafkaConfigError::File { what, path: path.to_owned(), source })?;
    let content = text.strip_suffix('\n').map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line)).len();
    text.truncate(content);
    if text.is_empty() {
        return Err(KafkaConfigError::EmptyFile { what, path: path.to_owned() });
    }
    Ok(text)
}

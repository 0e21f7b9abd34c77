//! Making, growing and verifying topics.

use std::{
    thread,
    time::{Duration, Instant},
};

use rdkafka::{
    admin::{AdminClient, AdminOptions, ConfigResource, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication},
    config::FromClientConfigAndContext as _,
    error::KafkaError,
    types::RDKafkaErrorCode,
};
use tokio::runtime::Handle;
use tracing::warn;

use super::{
    config::KafkaConfig,
    errors::{self, Kind},
    events::Events,
    settings::{BATCH_BYTES_MAX, Settings},
    topics::Cluster,
};
use crate::log::{BackendError, LogError, Topic};

/// How long a change or a look at the settings may take.
const ADMIN_TIMEOUT: Duration = Duration::from_secs(5);

/// How long fewer brokers may be up than a new topic has copies: a restarted one is back by then, or its cluster is in trouble.
const BROKERS_TIMEOUT: Duration = Duration::from_secs(15);

/// Between two attempts to make a topic meanwhile.
const BROKERS_PAUSE: Duration = Duration::from_millis(250);

/// How long a broker may take to learn of a topic that has just been made.
const DESCRIBE_TIMEOUT: Duration = Duration::from_secs(3);

/// Between two looks at the settings of a topic that a broker does not know yet.
const DESCRIBE_PAUSE: Duration = Duration::from_millis(100);

/// A client for administration. Short-lived: its events are served by nobody.
pub(super) struct Admin {
    client: AdminClient<Events>,
    options: AdminOptions,
}

/// How bad it is that a topic's setting is another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Severity {
    /// Records would vanish or have no time of the log: never accepted.
    Truth,
    /// Acknowledged records may be lost when brokers fail: accepted for a trial.
    Durability,
}

/// A setting a topic must have.
struct Wanted {
    key: &'static str,
    value: String,
    severity: Severity,
    /// A number that may also be larger.
    at_least: bool,
}

impl Admin {
    pub(super) fn new(settings: &Settings, events: Events) -> Result<Self, BackendError> {
        let client = settings.admin().map_err(|error| errors::problem(crate::telemetry::chain(&error)))?;
        let client = AdminClient::from_config_and_context(&client, events).map_err(|error| errors::backend(&error))?;
        let options = AdminOptions::new().request_timeout(Some(ADMIN_TIMEOUT)).operation_timeout(Some(ADMIN_TIMEOUT));
        Ok(Self { client, options })
    }

    /// Makes the topic with every setting stated. One that somebody else has just made is as good.
    pub(super) fn create(
        &self,
        settings: &Settings,
        cluster: &Cluster,
        topic: &Topic,
        partitions: u32,
    ) -> Result<(), LogError> {
        let config = settings.config();
        let mut replication = config.replication_factor;
        if config.allow_unsafe_durability {
            let brokers = cluster.brokers(ADMIN_TIMEOUT).map_err(|error| errors::administering(topic, &error))?;
            replication = replication.min(u16::try_from(brokers).unwrap_or(u16::MAX)).max(1);
        }
        let name = settings.topic_name(topic);
        let wanted = wanted(config, replication);
        let number = i32::try_from(partitions).unwrap_or(i32::MAX);
        let mut new = NewTopic::new(&name, number, TopicReplication::Fixed(i32::from(replication)));
        for Wanted { key, value, .. } in &wanted {
            new = new.set(key, value);
        }
        let deadline = Instant::now() + BROKERS_TIMEOUT;
        loop {
            let made = Handle::current().block_on(self.client.create_topics([&new], &self.options));
            match made.map(|results| results.into_iter().next()) {
                Ok(Some(Err((_, RDKafkaErrorCode::TopicAlreadyExists))) | Some(Ok(_)) | None) => return Ok(()),
                // The cluster knows how many brokers it has; what it counts here is how many are up.
                Ok(Some(Err((_, RDKafkaErrorCode::InvalidReplicationFactor)))) if Instant::now() < deadline => {
                    thread::sleep(BROKERS_PAUSE);
                }
                Ok(Some(Err((_, code)))) => return Err(errors::administering(topic, &KafkaError::AdminOp(code))),
                Err(error) => return Err(errors::administering(topic, &error)),
            }
        }
    }

    /// Gives the topic this many partitions. One that somebody else has just grown, so that brokers refuse the number, is as
    /// good: whoever calls waits until it is seen.
    pub(super) fn grow(&self, settings: &Settings, topic: &Topic, partitions: u32) -> Result<(), LogError> {
        let name = settings.topic_name(topic);
        let new = NewPartitions::new(&name, usize::try_from(partitions).unwrap_or(usize::MAX));
        let grown = Handle::current().block_on(self.client.create_partitions([&new], &self.options));
        match grown.map(|results| results.into_iter().next()) {
            Ok(Some(Err((_, RDKafkaErrorCode::InvalidPartitions)) | Ok(_)) | None) => Ok(()),
            Ok(Some(Err((_, code)))) => Err(errors::administering(topic, &KafkaError::AdminOp(code))),
            Err(error) => Err(errors::administering(topic, &error)),
        }
    }

    /// Removes the topic. One that somebody else has just removed is as good.
    pub(super) fn delete(&self, settings: &Settings, topic: &Topic) -> Result<(), LogError> {
        let name = settings.topic_name(topic);
        let deleted = Handle::current().block_on(self.client.delete_topics(&[&name], &self.options));
        match deleted.map(|results| results.into_iter().next()) {
            Ok(Some(Err((_, code)))) if errors::kind_of(code) != Kind::Unknown => {
                Err(errors::administering(topic, &KafkaError::AdminOp(code)))
            }
            Ok(Some(Err(_) | Ok(_)) | None) => Ok(()),
            Err(error) => Err(errors::administering(topic, &error)),
        }
    }

    /// The topic's settings, those of the brokers where it states none. The client library shows no entries, and no
    /// error, both where a broker does not know a new topic yet and where it does not let us look.
    fn describe(&self, settings: &Settings, topic: &Topic) -> Result<ConfigResource, LogError> {
        let name = settings.topic_name(topic);
        let asked = ResourceSpecifier::Topic(&name);
        let deadline = Instant::now() + DESCRIBE_TIMEOUT;
        loop {
            match Handle::current().block_on(self.client.describe_configs([&asked], &self.options)) {
                Ok(results) => {
                    let found = results.into_iter().flatten().find(|resource| !resource.entries.is_empty());
                    if let Some(resource) = found {
                        return Ok(resource);
                    }
                }
                Err(error) => return Err(errors::administering(topic, &error)),
            }
            if Instant::now() >= deadline {
                let source = errors::problem("its settings are not shown: this user needs the right DescribeConfigs");
                return Err(LogError::Topics { topic: topic.clone(), source });
            }
            thread::sleep(DESCRIBE_PAUSE);
        }
    }

    /// Refuses a topic whose settings would lose records.
    pub(super) fn verify(&self, settings: &Settings, topic: &Topic, replicas_min: usize) -> Result<(), LogError> {
        let config = settings.config();
        let resource = self.describe(settings, topic)?;
        let mut problems = Vec::new();
        let mut risks = Vec::new();
        for wanted in wanted(config, config.replication_factor) {
            let Some(difference) = wanted.difference(&resource) else { continue };
            match wanted.severity {
                Severity::Truth => problems.push(difference),
                Severity::Durability => risks.push(difference),
            }
        }
        if replicas_min < usize::from(config.min_insync_replicas) {
            risks.push(format!(
                "a partition has {replicas_min} replicas, {} must have a record before it is acknowledged",
                config.min_insync_replicas
            ));
        }
        if config.allow_unsafe_durability {
            if !risks.is_empty() {
                warn!(%topic, risks = risks.join("; "), "acknowledged records may be lost: unsafe durability is allowed");
            }
        } else {
            problems.append(&mut risks);
        }
        if problems.is_empty() {
            return Ok(());
        }
        Err(LogError::Settings { topic: topic.clone(), problem: problems.join("; ") })
    }
}

impl Wanted {
    fn difference(&self, resource: &ConfigResource) -> Option<String> {
        let found = resource.get(self.key).and_then(|entry| entry.value.as_deref()).unwrap_or("not given");
        let enough = self.at_least
            && matches!((found.parse::<u64>(), self.value.parse::<u64>()), (Ok(found), Ok(wanted)) if found >= wanted);
        if found == self.value || enough {
            return None;
        }
        let relation = if self.at_least { "at least " } else { "" };
        Some(format!("{} is {found}, it must be {relation}{}", self.key, self.value))
    }
}

/// Every setting that a topic is made with. `replication` bounds how many copies can be in sync.
fn wanted(config: &KafkaConfig, replication: u16) -> [Wanted; 7] {
    let exact = |key, value: &str, severity| Wanted { key, value: value.to_owned(), severity, at_least: false };
    let at_least = |key, value: usize, severity| Wanted { key, value: value.to_string(), severity, at_least: true };
    [
        exact("cleanup.policy", "delete", Severity::Truth),
        exact("retention.ms", "-1", Severity::Truth),
        exact("retention.bytes", "-1", Severity::Truth),
        exact("message.timestamp.type", "LogAppendTime", Severity::Truth),
        at_least("max.message.bytes", BATCH_BYTES_MAX, Severity::Truth),
        exact("unclean.leader.election.enable", "false", Severity::Durability),
        at_least("min.insync.replicas", config.min_insync_replicas.min(replication).into(), Severity::Durability),
    ]
}

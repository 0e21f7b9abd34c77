//! The log on an Apache Kafka cluster: any number of processes, replication for durability
//! (docs/decisions/0008-kafka.md).
//!
//! One process holds one producer, one client for all its readers, one for questions about topics, and one for each
//! consumer group it is a member of or asks about. So a live proposal costs a verifier two clients, its member of the
//! group and the one that asks how far the group is, a tally that one alone, and an edge none; twice as many where contracts
//! may sign, because what they judge has a group of its own. A client is a handful of
//! threads that mostly sleep (its own and one a broker, and ours) and as many connections; the one that asks is kept as
//! long as somebody asks. Everything of the client library that blocks runs on threads of its own or on the
//! runtime's blocking pool, with a time-out.

mod admin;
mod backlog;
mod config;
mod delivery;
mod deny;
mod errors;
mod events;
mod failing;
mod flights;
mod group;
mod hub;
mod member;
mod metrics;
mod open;
mod pace;
mod producer;
mod queue;
mod quiet;
mod reader;
mod serve;
mod settings;
mod shared;
mod topics;
mod watch;

use std::{sync::Arc, thread, time::Duration};

use tokio::task;

use self::{shared::Shared, topics::KnownTopic};
use super::{AppendError, AppendTo, Appended, LogError, LogIdentity, OpenError, Topic};
use crate::telemetry::Metrics;

pub use config::{
    CLIENT_ID_DEFAULT, GroupProtocol, KafkaConfig, KafkaSasl, KafkaTls, KafkaTlsClient, KafkaUsername,
    LINGER_BATCHES_DEFAULT, LINGER_DEFAULT, MIN_INSYNC_REPLICAS_DEFAULT, REPLICATION_FACTOR_DEFAULT, SaslMechanism,
    TOPIC_PREFIX_DEFAULT,
};
pub use errors::{KafkaConfigError, KafkaOpenError};
pub use group::KafkaConsumer;
pub use member::KafkaMember;
pub use reader::KafkaReader;

/// A log on a Kafka cluster. Clones share it; it closes when the last one goes.
#[derive(Debug, Clone)]
pub struct KafkaLog {
    handle: Arc<Handle>,
}

#[derive(Debug)]
struct Handle {
    shared: Arc<Shared>,
}

impl KafkaLog {
    /// Connects, checks that the cluster keeps what it acknowledges, makes the topic of decisions if it is not there,
    /// and returns once the producer is warm. Fails within ten seconds, and says why.
    pub async fn open(config: KafkaConfig) -> Result<Self, OpenError> {
        let shared = open::open(config).await?;
        Ok(Self { handle: Arc::new(Handle { shared }) })
    }

    /// Which log this is.
    pub fn identity(&self) -> LogIdentity {
        *self.shared().identity.get().expect("a log is opened once it is known which one it is")
    }

    /// See [`super::Log::ensure_topic`]. Refuses a topic whose settings would lose records.
    pub async fn ensure_topic(&self, topic: &Topic, partitions: u32) -> Result<(), LogError> {
        self.shared().check_open()?;
        if partitions == 0 {
            return Err(LogError::NoPartitions { topic: topic.clone() });
        }
        let topic = topic.clone();
        self.shared()
            .ask(move |shared, cluster| {
                let events = &shared.question_events;
                shared.topics.ensure(cluster, &shared.settings, &topic, partitions, events)
            })
            .await
    }

    /// See [`super::Log::grow_topic`].
    pub async fn grow_topic(&self, topic: &Topic, partitions: u32) -> Result<(), LogError> {
        self.shared().check_open()?;
        if self.shared().look(topic).await?.partitions() >= partitions {
            return Ok(());
        }
        self.ensure_topic(topic, partitions).await
    }

    /// See [`super::Log::delete_topic`]. Returns once the brokers asked no longer show it.
    pub async fn delete_topic(&self, topic: &Topic) -> Result<(), LogError> {
        self.shared().check_open()?;
        let topic = topic.clone();
        self.shared()
            .ask(move |shared, cluster| {
                shared.topics.delete(cluster, &shared.settings, &topic, &shared.question_events)
            })
            .await
    }

    /// See [`super::Log::partitions`].
    pub async fn partitions(&self, topic: &Topic) -> Result<u32, LogError> {
        Ok(self.shared().look(topic).await?.partitions())
    }

    /// See [`super::Log::ends`]. From fresh metadata and the partitions' leaders.
    pub async fn ends(&self, topic: &Topic) -> Result<Vec<u64>, LogError> {
        let topic = topic.clone();
        self.shared().ask(move |shared, cluster| shared.topics.ends(cluster, &shared.settings, &topic)).await
    }

    /// See [`super::Log::append`]. Given up after four seconds without an acknowledgement; whether the record is in the
    /// log is unknown then.
    pub async fn append(&self, topic: &Topic, to: AppendTo, value: Vec<u8>) -> Result<Appended, AppendError> {
        let highest = match to {
            AppendTo::Any => 0,
            AppendTo::Partition(partition) => partition,
        };
        let known = self.for_append(topic, highest).await?;
        self.shared().producer.append(&known, to, &value).await
    }

    /// See [`super::Log::append_batch`].
    pub async fn append_batch(
        &self,
        topic: &Topic,
        records: Vec<(u32, Vec<u8>)>,
    ) -> Result<Vec<Appended>, AppendError> {
        let highest = records.iter().map(|(partition, _)| *partition).max().unwrap_or(0);
        let known = self.for_append(topic, highest).await?;
        if records.is_empty() {
            return Ok(Vec::new());
        }
        self.shared().producer.append_batch(&known, &records).await
    }

    /// See [`super::Log::reader`]. A topic or partition this process has not seen yet is looked for by the first read.
    pub fn reader(&self, topic: &Topic, partition: u32, from_offset: u64) -> Result<KafkaReader, LogError> {
        if self.shared().topics.known(topic).is_some_and(|known| partition >= known.partitions()) {
            return Err(LogError::UnknownPartition { topic: topic.clone(), partition });
        }
        Ok(KafkaReader::new(self.shared().clone(), topic.clone(), partition, from_offset))
    }

    /// See [`super::Log::subscribe`]. A topic that does not exist yet is waited for.
    pub fn subscribe(&self, topic: &Topic, group: &str) -> Result<KafkaConsumer, LogError> {
        KafkaConsumer::join(self.shared(), topic, group)
    }

    /// See [`super::Log::join`].
    pub fn join(&self, group: &str) -> Result<KafkaMember, LogError> {
        KafkaMember::join(self.shared(), group)
    }

    /// See [`super::Log::committed`].
    pub async fn committed(&self, topic: &Topic, group: &str) -> Result<Vec<u64>, LogError> {
        let (topic, group) = (topic.clone(), group.to_owned());
        self.shared().ask(move |shared, cluster| shared.committed(cluster, &topic, &group)).await
    }

    /// See [`super::Log::is_writable`]. An acknowledgement makes it `true` again.
    pub fn is_writable(&self) -> bool {
        !self.shared().is_closed() && self.shared().producer.state().is_writable()
    }

    /// See [`super::Log::clock_ahead`].
    pub fn clock_ahead(&self) -> Option<Duration> {
        let shared = self.shared();
        shared.producer.state().clock_ahead(&shared.metrics.clock_ahead_seconds)
    }

    /// See [`super::Log::register_metrics`].
    pub fn register_metrics(&self, metrics: &Metrics) {
        metrics.register(|registry| self.shared().metrics.register(registry));
    }

    /// See [`super::Log::close`]. Members leave their groups; takes seconds at most.
    pub async fn close(&self) {
        let shared = self.shared().clone();
        // Only a runtime that is going down refuses blocking work; then the last handle's drop closes the log.
        let _ = task::spawn_blocking(move || shared.stop()).await;
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.handle.shared
    }

    /// The topic, if it has a partition of this number.
    async fn for_append(&self, topic: &Topic, partition: u32) -> Result<Arc<KnownTopic>, AppendError> {
        if self.shared().is_closed() {
            return Err(AppendError::Closed);
        }
        if let Some(known) = self.shared().topics.known(topic)
            && partition < known.partitions()
        {
            return Ok(known);
        }
        match self.shared().look(topic).await {
            Ok(known) if partition < known.partitions() => Ok(known),
            Ok(_) => Err(AppendError::UnknownPartition { topic: topic.clone(), partition }),
            Err(LogError::UnknownTopic { topic }) => Err(AppendError::UnknownTopic { topic }),
            Err(LogError::Closed) => Err(AppendError::Closed),
            Err(other) => Err(AppendError::Failed { source: Arc::new(other) }),
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // Waiting is not for whoever happens to drop the last clone, perhaps in async code.
        if self.shared.begin_stop() {
            let shared = self.shared.clone();
            let stopping = thread::Builder::new().name("kafka-close".to_owned()).spawn(move || shared.stop());
            if let Err(error) = stopping {
                tracing::warn!(%error, "the log could not be closed in the background");
            }
        }
    }
}

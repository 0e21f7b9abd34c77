//! The log: topics of partitions of records, appended durably, never expired. Ground state; all else is derived.
//!
//! An append is acknowledged once its record is durable, and readers see durable records only. Offsets of a partition
//! are dense from 0. A consumer group's members share the partitions of a topic; what a member has committed is not
//! given to the group again, what it has not may be given twice.

mod embedded;
mod error;
pub mod kafka;
mod topic;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use pnyx_core::{id::Place, time::TimestampMs};

use thiserror::Error;
use tokio::sync::watch;

use crate::telemetry::Metrics;

pub use pnyx_core::id::LogIdentity;

pub use embedded::{EmbeddedConsumer, EmbeddedLog, EmbeddedMember, EmbeddedReader};
pub use error::{AppendError, BackendError, LogError, OpenError};
pub use kafka::{KafkaConfig, KafkaConsumer, KafkaLog, KafkaMember, KafkaReader};
pub use topic::Topic;

/// Largest record, in bytes: Kafka's own default, ten times the largest ballot.
pub const RECORD_BYTES_MAX: usize = 1024 * 1024;

/// Bytes after which a group's batch ends although more records are there: what a member holds in memory at once.
pub const GROUP_BATCH_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The consumer group of the verifiers on a ballots topic; its committed offsets say how far verdicts are durable.
pub const VERIFIER_GROUP: &str = "verifier";

/// The consumer group of those verifiers that ask contracts, on a deferred topic: below its committed offsets every record
/// has its durable verdict, or stands in the topic once more.
pub const DEFERRED_GROUP: &str = "deferred";

/// The log's backends. Cheap to clone; the log closes when the last clone goes.
#[derive(Debug, Clone)]
pub enum Log {
    /// A directory on this machine, one process at a time.
    Embedded(EmbeddedLog),
    /// A Kafka cluster, any number of processes.
    Kafka(KafkaLog),
}

/// Where a record goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppendTo {
    /// Any partition: the log spreads records evenly.
    Any,
    /// This one.
    Partition(u32),
}

/// Where and when a record was appended. Returned only once it is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Partition and offset.
    pub place: Place,
    /// The log's own time of the append. In the embedded log it never decreases within a partition; brokers' clocks
    /// may step back, by as much as they differ when a partition's leader changes.
    pub appended_at: TimestampMs,
}

/// A record as read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogRecord {
    /// Offset in its partition.
    pub offset: u64,
    /// The log's own time of the append.
    pub appended_at: TimestampMs,
    /// The bytes.
    pub value: Vec<u8>,
}

/// Records of one partition that a consumer group's member was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupBatch {
    /// The partition they come from.
    pub partition: u32,
    /// Ascending by offset, at least one.
    pub records: Vec<LogRecord>,
}

impl Log {
    /// Which log this is.
    pub fn identity(&self) -> LogIdentity {
        match self {
            Self::Embedded(log) => log.identity(),
            Self::Kafka(log) => log.identity(),
        }
    }

    /// Makes the topic unless it exists; one with more partitions is left as it is, one with fewer is grown.
    pub async fn ensure_topic(&self, topic: &Topic, partitions: u32) -> Result<(), LogError> {
        match self {
            Self::Embedded(log) => log.ensure_topic(topic, partitions).await,
            Self::Kafka(log) => log.ensure_topic(topic, partitions).await,
        }
    }

    /// Gives an existing topic this many partitions; never fewer than it has.
    pub async fn grow_topic(&self, topic: &Topic, partitions: u32) -> Result<(), LogError> {
        match self {
            Self::Embedded(log) => log.grow_topic(topic, partitions).await,
            Self::Kafka(log) => log.grow_topic(topic, partitions).await,
        }
    }

    /// Removes a topic with every record in it; one that is not there is gone already. Whoever asks knows that nobody needs
    /// it any more: nothing else in Pnyx removes records. The embedded log refuses, because it goes as a whole, with its folder.
    pub async fn delete_topic(&self, topic: &Topic) -> Result<(), LogError> {
        match self {
            Self::Embedded(_) => Err(LogError::Topics { topic: topic.clone(), source: Arc::new(KeepsTopics) }),
            Self::Kafka(log) => log.delete_topic(topic).await,
        }
    }

    /// How many partitions the topic has.
    pub async fn partitions(&self, topic: &Topic) -> Result<u32, LogError> {
        match self {
            Self::Embedded(log) => log.partitions(topic),
            Self::Kafka(log) => log.partitions(topic).await,
        }
    }

    /// The end offset of each partition: one above the last durable record.
    pub async fn ends(&self, topic: &Topic) -> Result<Vec<u64>, LogError> {
        match self {
            Self::Embedded(log) => log.ends(topic),
            Self::Kafka(log) => log.ends(topic).await,
        }
    }

    /// Appends one record and returns once it is durable. A caller that stops waiting does not take it back.
    pub async fn append(&self, topic: &Topic, to: AppendTo, value: Vec<u8>) -> Result<Appended, AppendError> {
        match self {
            Self::Embedded(log) => log.append(topic, to, value).await,
            Self::Kafka(log) => log.append(topic, to, value).await,
        }
    }

    /// Appends records by partition, in their order, and returns once all are durable.
    pub async fn append_batch(
        &self,
        topic: &Topic,
        records: Vec<(u32, Vec<u8>)>,
    ) -> Result<Vec<Appended>, AppendError> {
        match self {
            Self::Embedded(log) => log.append_batch(topic, records).await,
            Self::Kafka(log) => log.append_batch(topic, records).await,
        }
    }

    /// A reader of one partition from an offset on; beyond the end it waits for that offset.
    pub fn reader(&self, topic: &Topic, partition: u32, from_offset: u64) -> Result<PartitionReader, LogError> {
        match self {
            Self::Embedded(log) => log.reader(topic, partition, from_offset).map(PartitionReader::Embedded),
            Self::Kafka(log) => {
                log.reader(topic, partition, from_offset).map(|reader| PartitionReader::Kafka(Box::new(reader)))
            }
        }
    }

    /// Joins a consumer group; dropping the consumer leaves it.
    pub fn subscribe(&self, topic: &Topic, group: &str) -> Result<GroupConsumer, LogError> {
        match self {
            Self::Embedded(log) => log.subscribe(topic, group).map(GroupConsumer::Embedded),
            Self::Kafka(log) => log.subscribe(topic, group).map(GroupConsumer::Kafka),
        }
    }

    /// Joins a group whose members share the partitions of many topics without reading through the group: each reads
    /// what it is assigned from a position that it keeps elsewhere. Dropping the member leaves the group.
    pub fn join(&self, group: &str) -> Result<GroupMember, LogError> {
        match self {
            Self::Embedded(log) => Ok(GroupMember::Embedded(log.join(group))),
            Self::Kafka(log) => log.join(group).map(GroupMember::Kafka),
        }
    }

    /// The group's committed next offset of each partition; 0 where it has committed nothing.
    pub async fn committed(&self, topic: &Topic, group: &str) -> Result<Vec<u64>, LogError> {
        match self {
            Self::Embedded(log) => log.committed(topic, group),
            Self::Kafka(log) => log.committed(topic, group).await,
        }
    }

    /// Whether appends can succeed: `false` once a write has failed, until the process is started again.
    pub fn is_writable(&self) -> bool {
        match self {
            Self::Embedded(log) => log.is_writable(),
            Self::Kafka(log) => log.is_writable(),
        }
    }

    /// How far the newest append time is ahead of the clock, if by more than 10 s: the clock was once read wrong, and
    /// because append times never decrease, ballots are dated that far ahead until the clock has caught up.
    pub fn clock_ahead(&self) -> Option<Duration> {
        match self {
            Self::Embedded(log) => log.clock_ahead(),
            Self::Kafka(log) => log.clock_ahead(),
        }
    }

    /// Registers the log's metrics.
    pub fn register_metrics(&self, metrics: &Metrics) {
        match self {
            Self::Embedded(log) => log.register_metrics(metrics),
            Self::Kafka(log) => log.register_metrics(metrics),
        }
    }

    /// Writes what is queued, then refuses appends; whoever waits for records gets [`LogError::Closed`].
    pub async fn close(&self) {
        match self {
            Self::Embedded(log) => log.close().await,
            Self::Kafka(log) => log.close().await,
        }
    }
}

/// Why a topic of the embedded log cannot be removed.
#[derive(Debug, Error)]
#[error("the embedded log keeps all topics until its folder is removed")]
struct KeepsTopics;

/// Reads one partition from a position of its own.
#[derive(Debug)]
pub enum PartitionReader {
    /// Of the embedded log.
    Embedded(EmbeddedReader),
    /// Of the log on Kafka.
    Kafka(Box<KafkaReader>),
}

impl PartitionReader {
    /// The offset of the record that comes next.
    pub fn position(&self) -> u64 {
        match self {
            Self::Embedded(reader) => reader.position(),
            Self::Kafka(reader) => reader.position(),
        }
    }

    /// Waits for at least one record; ends at `records_max` records or after `bytes_max` bytes. May be dropped while
    /// it waits: nothing is skipped.
    pub async fn next_batch(&mut self, records_max: usize, bytes_max: usize) -> Result<Vec<LogRecord>, LogError> {
        match self {
            Self::Embedded(reader) => reader.next_batch(records_max, bytes_max).await,
            Self::Kafka(reader) => reader.next_batch(records_max, bytes_max).await,
        }
    }

    /// What is there now, possibly nothing.
    pub async fn read_available(&mut self, records_max: usize) -> Result<Vec<LogRecord>, LogError> {
        match self {
            Self::Embedded(reader) => reader.read_available(records_max).await,
            Self::Kafka(reader) => reader.read_available(records_max).await,
        }
    }
}

/// A member of a consumer group.
#[derive(Debug)]
pub enum GroupConsumer {
    /// Of the embedded log.
    Embedded(EmbeddedConsumer),
    /// Of the log on Kafka.
    Kafka(KafkaConsumer),
}

impl GroupConsumer {
    /// Waits for records of any partition that this member was assigned, but those that are `busy`: whose records nobody
    /// wants now. May be dropped while it waits.
    pub async fn next_batch(&mut self, records_max: usize, busy: &BTreeSet<u32>) -> Result<GroupBatch, LogError> {
        match self {
            Self::Embedded(consumer) => consumer.next_batch(records_max, busy).await,
            Self::Kafka(consumer) => consumer.next_batch(records_max, busy).await,
        }
    }

    /// Notes that the group needs nothing of this partition below `next_offset`. It never moves back, and is ignored
    /// for a partition that has gone to another member: that one repeats the work, which is harmless.
    pub async fn commit(&self, partition: u32, next_offset: u64) -> Result<(), LogError> {
        match self {
            Self::Embedded(consumer) => consumer.commit(partition, next_offset),
            Self::Kafka(consumer) => consumer.commit(partition, next_offset),
        }
    }
}

/// Partitions that are a member's own, of all topics it follows.
pub type Assigned = Arc<BTreeSet<(Topic, u32)>>;

/// A member of a group that assigns partitions and nothing else.
#[derive(Debug)]
pub enum GroupMember {
    /// Of the embedded log: one process, so everything is its own.
    Embedded(EmbeddedMember),
    /// Of the log on Kafka.
    Kafka(KafkaMember),
}

impl GroupMember {
    /// Follows these topics from now on, instead of those before. They must exist.
    pub async fn follow(&self, topics: BTreeSet<Topic>) -> Result<(), LogError> {
        match self {
            Self::Embedded(member) => member.follow(topics),
            Self::Kafka(member) => member.follow(topics).await,
        }
    }

    /// What is this member's own now; changes when members come and go. Another member may believe for a while longer
    /// that it owns the same partition, so whatever owners write must be fenced.
    pub fn assigned(&self) -> watch::Receiver<Assigned> {
        match self {
            Self::Embedded(member) => member.assigned(),
            Self::Kafka(member) => member.assigned(),
        }
    }
}

//! The log in a directory on this machine: one process at a time, one writer thread, one sync a write.
//!
//! The storage engine is fjall, an LSM tree behind a journal (docs/decisions/0003-embedded-log.md).

mod append_times;
mod entry;
mod failure;
mod group;
mod keys;
mod lock;
mod mark;
mod member;
mod metrics;
mod open;
mod queue;
mod reader;
mod topics;
mod writer;

use std::{
    fmt,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    thread::JoinHandle,
    time::Duration,
};

use fjall::{Database, Keyspace, PersistMode};
use tokio::sync::oneshot;

use self::{
    append_times::AppendTimes,
    failure::Failure,
    group::Groups,
    lock::DirectoryLock,
    metrics::LogMetrics,
    queue::{Append, QUEUE_BYTES_MAX, QUEUE_RECORDS_MAX, Queue},
    topics::{TopicState, Topics},
};
use super::{AppendError, AppendTo, Appended, BackendError, LogError, LogIdentity, OpenError, RECORD_BYTES_MAX, Topic};
use crate::{
    blocking::{RuntimeEnded, blocking},
    clock,
    telemetry::Metrics,
};

pub use group::EmbeddedConsumer;
pub use member::EmbeddedMember;
pub use reader::EmbeddedReader;

/// A log in a directory. Clones share it; it closes when the last one goes.
#[derive(Debug, Clone)]
pub struct EmbeddedLog {
    handle: Arc<Handle>,
}

/// Everything that readers, the writer and the handle share. Fields drop in this order: the lock goes last.
struct Shared {
    identity: LogIdentity,
    queue: Queue,
    topics: Topics,
    groups: Groups,
    /// Held while topics change, so that two changes do not cross.
    changing_topics: Mutex<()>,
    failure: Failure,
    append_times: AppendTimes,
    metrics: LogMetrics,
    records: Keyspace,
    meta: Keyspace,
    db: Database,
    _lock: DirectoryLock,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("identity", &self.identity).field("topics", &self.topics).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Handle {
    shared: Arc<Shared>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl EmbeddedLog {
    /// Opens the log in `dir`, making both if they are not there. Blocks while it recovers what the last process left
    /// in its journal.
    pub fn open(dir: &Path) -> Result<Self, OpenError> {
        let (shared, writer) = open::open(dir)?;
        Ok(Self { handle: Arc::new(Handle { shared, writer: Mutex::new(Some(writer)) }) })
    }

    /// Which log this is.
    pub fn identity(&self) -> LogIdentity {
        self.shared().identity
    }

    /// See [`super::Log::ensure_topic`].
    pub async fn ensure_topic(&self, topic: &Topic, partitions: u32) -> Result<(), LogError> {
        if partitions == 0 {
            return Err(LogError::NoPartitions { topic: topic.clone() });
        }
        if self.shared().topics.get(topic).is_some_and(|state| state.partition_count() >= partitions) {
            return Ok(());
        }
        let (shared, topic) = (self.shared().clone(), topic.clone());
        let setting = blocking(move || set_partitions(&shared, &topic, partitions));
        setting.await.unwrap_or_else(|RuntimeEnded| Err(LogError::Closed))
    }

    /// See [`super::Log::grow_topic`].
    pub async fn grow_topic(&self, topic: &Topic, partitions: u32) -> Result<(), LogError> {
        if self.topic(topic)?.partition_count() >= partitions {
            return Ok(());
        }
        self.ensure_topic(topic, partitions).await
    }

    /// See [`super::Log::partitions`].
    pub fn partitions(&self, topic: &Topic) -> Result<u32, LogError> {
        Ok(self.topic(topic)?.partition_count())
    }

    /// See [`super::Log::ends`].
    pub fn ends(&self, topic: &Topic) -> Result<Vec<u64>, LogError> {
        Ok(self.topic(topic)?.ends())
    }

    /// See [`super::Log::append`].
    pub async fn append(&self, topic: &Topic, to: AppendTo, value: Vec<u8>) -> Result<Appended, AppendError> {
        let state = self.topic_for_append(topic)?;
        let partition = match to {
            AppendTo::Any => state.next_in_turn(),
            AppendTo::Partition(partition) => partition,
        };
        let appended = self.submit(state, vec![(partition, value)]).await?;
        Ok(appended.into_iter().next().expect("one place for one record"))
    }

    /// See [`super::Log::append_batch`].
    pub async fn append_batch(
        &self,
        topic: &Topic,
        records: Vec<(u32, Vec<u8>)>,
    ) -> Result<Vec<Appended>, AppendError> {
        let state = self.topic_for_append(topic)?;
        if records.is_empty() {
            return Ok(Vec::new());
        }
        self.submit(state, records).await
    }

    /// See [`super::Log::reader`].
    pub fn reader(&self, topic: &Topic, partition: u32, from_offset: u64) -> Result<EmbeddedReader, LogError> {
        let state = self.topic(topic)?;
        let Some(partition_state) = state.partition(partition) else {
            return Err(LogError::UnknownPartition { topic: topic.clone(), partition });
        };
        Ok(EmbeddedReader::new(self.shared().clone(), state, partition, &partition_state, from_offset))
    }

    /// See [`super::Log::subscribe`].
    pub fn subscribe(&self, topic: &Topic, group: &str) -> Result<EmbeddedConsumer, LogError> {
        Ok(EmbeddedConsumer::join(self.shared().clone(), self.topic(topic)?, group))
    }

    /// See [`Log::join`](crate::log::Log::join).
    pub fn join(&self, _group: &str) -> EmbeddedMember {
        EmbeddedMember::new(self.clone())
    }

    /// See [`super::Log::committed`].
    pub fn committed(&self, topic: &Topic, group: &str) -> Result<Vec<u64>, LogError> {
        let state = self.topic(topic)?;
        let group = self.shared().groups.get(state.number, group);
        Ok((0..state.partition_count()).map(|partition| group.committed(partition)).collect())
    }

    /// See [`super::Log::is_writable`].
    pub fn is_writable(&self) -> bool {
        self.shared().failure.cause().is_none() && !self.shared().queue.is_closed()
    }

    /// Why nothing can be written any more: what failed first.
    pub fn failure(&self) -> Option<BackendError> {
        self.shared().failure.cause().cloned()
    }

    /// See [`super::Log::clock_ahead`].
    pub fn clock_ahead(&self) -> Option<Duration> {
        self.shared().append_times.ahead(clock::now())
    }

    /// See [`super::Log::register_metrics`].
    pub fn register_metrics(&self, metrics: &Metrics) {
        metrics.register(|registry| {
            self.shared().metrics.register(registry);
            registry.register(
                "log_clock_ahead_seconds",
                "How far the log's newest append time is ahead of the clock",
                self.shared().append_times.ahead_seconds.clone(),
            );
        });
    }

    /// See [`super::Log::close`].
    pub async fn close(&self) {
        let handle = self.handle.clone();
        // Only a runtime that is going down refuses blocking work; then the last handle's drop closes the log.
        let _ = blocking(move || handle.stop()).await;
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.handle.shared
    }

    fn topic(&self, topic: &Topic) -> Result<Arc<TopicState>, LogError> {
        self.shared().topics.get(topic).ok_or_else(|| LogError::UnknownTopic { topic: topic.clone() })
    }

    fn topic_for_append(&self, topic: &Topic) -> Result<Arc<TopicState>, AppendError> {
        self.shared().topics.get(topic).ok_or_else(|| AppendError::UnknownTopic { topic: topic.clone() })
    }

    async fn submit(&self, topic: Arc<TopicState>, records: Vec<(u32, Vec<u8>)>) -> Result<Vec<Appended>, AppendError> {
        check_records(&topic, &records)?;
        let (done, appended) = oneshot::channel();
        self.shared().queue.push(Append { topic, records, done }).inspect_err(|error| {
            if matches!(error, AppendError::Overloaded) {
                self.shared().metrics.overloaded.inc();
            }
        })?;
        appended.await.map_err(|_| AppendError::Closed)?
    }
}

impl Handle {
    /// Writes what is queued and ends the writer; bounded by what the queue may hold.
    fn stop(&self) {
        self.shared.queue.close();
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Err(panic)) = writer.map(JoinHandle::join) {
            tracing::error!(?panic, "the log's writer panicked");
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Refuses what could never be written.
fn check_records(topic: &TopicState, records: &[(u32, Vec<u8>)]) -> Result<(), AppendError> {
    let partition_count = topic.partition_count();
    let mut bytes = 0;
    for (partition, value) in records {
        if *partition >= partition_count {
            return Err(AppendError::UnknownPartition { topic: topic.topic.clone(), partition: *partition });
        }
        if value.len() > RECORD_BYTES_MAX {
            return Err(AppendError::TooLarge { bytes: value.len(), bytes_max: RECORD_BYTES_MAX });
        }
        bytes += value.len();
    }
    if bytes > QUEUE_BYTES_MAX || records.len() > QUEUE_RECORDS_MAX {
        return Err(AppendError::TooLarge { bytes, bytes_max: QUEUE_BYTES_MAX });
    }
    Ok(())
}

/// Makes or grows a topic durably, then lets it be seen.
fn set_partitions(shared: &Shared, topic: &Topic, partitions: u32) -> Result<(), LogError> {
    let _changing = shared.changing_topics.lock().unwrap_or_else(PoisonError::into_inner);
    if shared.queue.is_closed() {
        return Err(LogError::Closed);
    }
    let existing = shared.topics.get(topic);
    if existing.as_ref().is_some_and(|state| state.partition_count() >= partitions) {
        return Ok(());
    }
    let number = existing.as_ref().map_or_else(|| shared.topics.next_number(), |state| state.number);
    let mut batch = shared.db.batch().durability(Some(PersistMode::SyncData));
    batch.insert(&shared.meta, keys::topic_key(topic.name()), keys::topic_value(number, partitions));
    batch.commit().map_err(|source| LogError::Topics { topic: topic.clone(), source: shared.failure.note(source) })?;
    match existing {
        Some(state) => state.grow(partitions),
        None => {
            let partition_count = usize::try_from(partitions).expect("a 32-bit number fits in memory's size");
            shared.topics.insert(TopicState::new(number, topic.clone(), vec![0; partition_count]));
        }
    }
    Ok(())
}

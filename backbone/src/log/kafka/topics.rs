//! Topics of the cluster: asked about with fresh metadata, made with all settings stated, verified once a process.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    error::{KafkaError, KafkaResult},
    types::RDKafkaErrorCode,
};

use super::{
    admin::Admin,
    errors::{self, Kind},
    events::Events,
    settings::Settings,
};
use crate::log::{LogError, Topic};

/// How long one question to the cluster may take.
const ASK_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a question is asked again while leaders move; then the caller hears that nobody answers.
const ASK_AGAIN: Duration = Duration::from_secs(5);

/// Between two such attempts.
const ASK_PAUSE: Duration = Duration::from_millis(50);

/// One broker's metadata may lag behind another's for a moment; a topic or partitions that are missing for longer are gone.
const SHRUNK_AFTER: Duration = Duration::from_secs(2);

/// How long a new topic or partition may take until all brokers' metadata shows it, and one that was removed until none does.
const VISIBLE_TIMEOUT: Duration = Duration::from_secs(10);

/// A topic this process has seen.
#[derive(Debug)]
pub(super) struct KnownTopic {
    pub(super) topic: Topic,
    /// Its name in the cluster.
    pub(super) name: String,
    partitions: AtomicU32,
    verified: AtomicBool,
}

impl KnownTopic {
    /// As many partitions as it had when it was last looked at.
    pub(super) fn partitions(&self) -> u32 {
        self.partitions.load(Ordering::Acquire)
    }
}

/// What the cluster's metadata says of a topic.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    pub(super) partitions: u32,
    /// Copies of the partition that has fewest.
    pub(super) replicas_min: usize,
    has_leaders: bool,
}

/// The client for questions about topics.
pub(super) struct Cluster {
    consumer: BaseConsumer<Events>,
}

impl Cluster {
    pub(super) const fn new(consumer: BaseConsumer<Events>) -> Self {
        Self { consumer }
    }

    /// Lets the client say what it has to say, for as long as given at most.
    pub(super) fn serve(&self, time: Duration) {
        // Errors have reached the client's events by then.
        drop(self.consumer.poll(time));
    }

    /// How many brokers there are.
    pub(super) fn brokers(&self, timeout: Duration) -> KafkaResult<usize> {
        Ok(self.consumer.fetch_metadata(Some("__consumer_offsets"), timeout)?.brokers().len())
    }

    /// The topic, `None` if there is none.
    pub(super) fn shape(&self, name: &str, timeout: Duration) -> KafkaResult<Option<Shape>> {
        let metadata = self.consumer.fetch_metadata(Some(name), timeout)?;
        let Some(topic) = metadata.topics().iter().find(|topic| topic.name() == name) else {
            return Ok(None);
        };
        if let Some(error) = topic.error() {
            let code = RDKafkaErrorCode::from(error);
            return match errors::kind_of(code) {
                Kind::Unknown => Ok(None),
                _ => Err(KafkaError::MetadataFetch(code)),
            };
        }
        let partitions = topic.partitions();
        if partitions.is_empty() {
            // It is being made, and this broker has only heard its name.
            return Ok(None);
        }
        Ok(Some(Shape {
            partitions: u32::try_from(partitions.len()).unwrap_or(u32::MAX),
            replicas_min: partitions.iter().map(|partition| partition.replicas().len()).min().unwrap_or(0),
            has_leaders: partitions.iter().all(|partition| partition.leader() >= 0),
        }))
    }

    /// First or end offsets of all partitions, one request a broker.
    fn offsets(&self, name: &str, partitions: u32, which: Offset) -> KafkaResult<Vec<u64>> {
        if partitions == 0 {
            return Ok(Vec::new());
        }
        let mut list = TopicPartitionList::new();
        for partition in 0..partitions {
            // The library asks for a time here, and takes these two for the ends.
            list.add_partition_offset(name, partition_number(partition), which)?;
        }
        let answer = self.consumer.offsets_for_times(list, ASK_TIMEOUT)?;
        let mut offsets = vec![None; answer.count()];
        for element in answer.elements() {
            element.error()?;
            let slot = usize::try_from(element.partition()).ok().and_then(|partition| offsets.get_mut(partition));
            if let (Some(slot), Offset::Offset(offset)) = (slot, element.offset()) {
                *slot = u64::try_from(offset).ok();
            }
        }
        let all: Option<Vec<_>> = offsets.into_iter().collect();
        all.ok_or(KafkaError::MetadataFetch(RDKafkaErrorCode::LeaderNotAvailable))
    }
}

/// First and end offset of one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) first: u64,
    pub(super) end: u64,
}

/// All topics this process has seen.
#[derive(Debug, Default)]
pub(super) struct Topics {
    known: RwLock<BTreeMap<Topic, Arc<KnownTopic>>>,
}

impl Topics {
    /// A topic that was seen before.
    pub(super) fn known(&self, topic: &Topic) -> Option<Arc<KnownTopic>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).get(topic).cloned()
    }

    /// Forgets a topic: it is gone from the cluster.
    pub(super) fn forget(&self, topic: &Topic) {
        self.known.write().unwrap_or_else(PoisonError::into_inner).remove(topic);
    }

    /// Looks at the topic with fresh metadata.
    pub(super) fn look(
        &self,
        cluster: &Cluster,
        settings: &Settings,
        topic: &Topic,
    ) -> Result<Arc<KnownTopic>, LogError> {
        self.look_at_shape(cluster, settings, topic).map(|(known, _)| known)
    }

    fn look_at_shape(
        &self,
        cluster: &Cluster,
        settings: &Settings,
        topic: &Topic,
    ) -> Result<(Arc<KnownTopic>, Shape), LogError> {
        let name = settings.topic_name(topic);
        let before = self.known(topic).map_or(0, |known| known.partitions());
        let deadline = Instant::now() + SHRUNK_AFTER;
        loop {
            let shape = ask_again(topic, || cluster.shape(&name, ASK_TIMEOUT))?;
            if let Some(shape) = shape
                && shape.partitions >= before
            {
                return Ok((self.note(topic, &name, shape), shape));
            }
            // A topic that was never seen has no partitions to miss.
            if before == 0 || Instant::now() >= deadline {
                let Some(Shape { partitions, .. }) = shape else {
                    self.forget(topic);
                    return Err(LogError::UnknownTopic { topic: topic.clone() });
                };
                return Err(LogError::Shrunk { topic: topic.clone(), partitions, before });
            }
            thread::sleep(ASK_PAUSE);
        }
    }

    /// End offsets of all partitions, as many as fresh metadata shows.
    pub(super) fn ends(&self, cluster: &Cluster, settings: &Settings, topic: &Topic) -> Result<Vec<u64>, LogError> {
        let known = self.look(cluster, settings, topic)?;
        let partitions = known.partitions();
        let firsts = ask_existing(topic, || cluster.offsets(&known.name, partitions, Offset::Beginning))?;
        if let Some((partition, _)) = (0..).zip(&firsts).find(|(_, first)| **first > 0) {
            return Err(LogError::Damaged { topic: topic.clone(), partition, offset: 0 });
        }
        ask_existing(topic, || cluster.offsets(&known.name, partitions, Offset::End))
    }

    /// What one partition holds.
    pub(super) fn extent(
        &self,
        cluster: &Cluster,
        settings: &Settings,
        topic: &Topic,
        partition: u32,
    ) -> Result<Extent, LogError> {
        let known = match self.known(topic) {
            Some(known) if partition < known.partitions() => known,
            _ => self.look(cluster, settings, topic)?,
        };
        if partition >= known.partitions() {
            return Err(LogError::UnknownPartition { topic: topic.clone(), partition });
        }
        let bound = |which| {
            let mut list = TopicPartitionList::new();
            list.add_partition_offset(&known.name, partition_number(partition), which)?;
            let answer = cluster.consumer.offsets_for_times(list, ASK_TIMEOUT)?;
            let element = answer.find_partition(&known.name, partition_number(partition));
            let element = element.ok_or(KafkaError::MetadataFetch(RDKafkaErrorCode::UnknownPartition))?;
            element.error()?;
            match element.offset() {
                Offset::Offset(offset) => Ok(u64::try_from(offset).unwrap_or(0)),
                _ => Err(KafkaError::MetadataFetch(RDKafkaErrorCode::LeaderNotAvailable)),
            }
        };
        ask_existing(topic, || Ok(Extent { first: bound(Offset::Beginning)?, end: bound(Offset::End)? }))
    }

    /// Makes the topic, or verifies and grows the one that is there. Two processes may do so at once.
    pub(super) fn ensure(
        &self,
        cluster: &Cluster,
        settings: &Settings,
        topic: &Topic,
        partitions: u32,
        events: &Events,
    ) -> Result<(), LogError> {
        let seen = self.look_at_shape(cluster, settings, topic);
        if let Ok((known, _)) = &seen
            && known.verified.load(Ordering::Acquire)
            && known.partitions() >= partitions
        {
            return Ok(());
        }
        let admin =
            Admin::new(settings, events.clone()).map_err(|source| LogError::Topics { topic: topic.clone(), source })?;
        // The shape is the one that was seen: another broker may not show a new topic yet.
        let (known, shape) = match seen {
            Ok(seen) => seen,
            Err(LogError::UnknownTopic { .. }) => {
                admin.create(settings, cluster, topic, partitions)?;
                self.wait_visible(cluster, settings, topic, partitions)?
            }
            Err(error) => return Err(error),
        };
        if !known.verified.load(Ordering::Acquire) {
            admin.verify(settings, topic, shape.replicas_min)?;
            known.verified.store(true, Ordering::Release);
        }
        if known.partitions() < partitions {
            self.grow(&admin, cluster, settings, topic, partitions)?;
        }
        Ok(())
    }

    /// Removes the topic, and waits until metadata shows that it is gone.
    pub(super) fn delete(
        &self,
        cluster: &Cluster,
        settings: &Settings,
        topic: &Topic,
        events: &Events,
    ) -> Result<(), LogError> {
        let admin =
            Admin::new(settings, events.clone()).map_err(|source| LogError::Topics { topic: topic.clone(), source })?;
        admin.delete(settings, topic)?;
        self.forget(topic);
        let name = settings.topic_name(topic);
        let deadline = Instant::now() + VISIBLE_TIMEOUT;
        while ask_again(topic, || cluster.shape(&name, ASK_TIMEOUT))?.is_some() {
            if Instant::now() >= deadline {
                let source = errors::problem("the brokers' metadata still shows it");
                return Err(LogError::Unavailable { topic: topic.clone(), source });
            }
            thread::sleep(ASK_PAUSE);
        }
        Ok(())
    }

    fn grow(
        &self,
        admin: &Admin,
        cluster: &Cluster,
        settings: &Settings,
        topic: &Topic,
        partitions: u32,
    ) -> Result<(), LogError> {
        let grown = admin.grow(settings, topic, partitions);
        // Somebody else may have been first: what counts is what is there.
        if let Err(error) = grown
            && self.look(cluster, settings, topic)?.partitions() < partitions
        {
            return Err(error);
        }
        self.wait_visible(cluster, settings, topic, partitions).map(drop)
    }

    /// Until metadata shows the topic with as many partitions, each with a leader.
    fn wait_visible(
        &self,
        cluster: &Cluster,
        settings: &Settings,
        topic: &Topic,
        partitions: u32,
    ) -> Result<(Arc<KnownTopic>, Shape), LogError> {
        let name = settings.topic_name(topic);
        let deadline = Instant::now() + VISIBLE_TIMEOUT;
        loop {
            let shape = ask_again(topic, || cluster.shape(&name, ASK_TIMEOUT))?;
            if let Some(shape) = shape
                && shape.partitions >= partitions
                && shape.has_leaders
            {
                return Ok((self.note(topic, &name, shape), shape));
            }
            if Instant::now() >= deadline {
                let source = errors::problem("the brokers' metadata does not show it");
                return Err(LogError::Unavailable { topic: topic.clone(), source });
            }
            thread::sleep(ASK_PAUSE);
        }
    }

    fn note(&self, topic: &Topic, name: &str, shape: Shape) -> Arc<KnownTopic> {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let known = known.entry(topic.clone()).or_insert_with(|| {
            Arc::new(KnownTopic {
                topic: topic.clone(),
                name: name.to_owned(),
                partitions: AtomicU32::new(0),
                verified: AtomicBool::new(false),
            })
        });
        known.partitions.fetch_max(shape.partitions, Ordering::AcqRel);
        known.clone()
    }
}

/// Asks until there is an answer or the cluster has been silent for too long.
fn ask_again<T>(topic: &Topic, ask: impl Fn() -> KafkaResult<T>) -> Result<T, LogError> {
    ask_while(topic, ask, |kind| kind == Kind::Transient)
}

/// Asks about partitions that metadata shows: a leader may learn of them a moment later than of their topic, and says
/// until then that it does not know them.
fn ask_existing<T>(topic: &Topic, ask: impl Fn() -> KafkaResult<T>) -> Result<T, LogError> {
    ask_while(topic, ask, |kind| matches!(kind, Kind::Transient | Kind::Unknown))
}

fn ask_while<T>(
    topic: &Topic,
    ask: impl Fn() -> KafkaResult<T>,
    is_passing: impl Fn(Kind) -> bool,
) -> Result<T, LogError> {
    let deadline = Instant::now() + ASK_AGAIN;
    loop {
        match ask() {
            Ok(answer) => return Ok(answer),
            Err(error) if is_passing(errors::kind(&error)) && Instant::now() < deadline => thread::sleep(ASK_PAUSE),
            Err(error) => return Err(errors::reading(topic, &error)),
        }
    }
}

/// A partition's number as the library takes it.
pub(super) fn partition_number(partition: u32) -> i32 {
    i32::try_from(partition).unwrap_or(i32::MAX)
}

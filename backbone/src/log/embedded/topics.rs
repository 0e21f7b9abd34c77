//! What the embedded log knows of its topics while it is open.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, PoisonError, RwLock, RwLockReadGuard,
        atomic::{AtomicU32, Ordering},
    },
};

use tokio::sync::watch;

use crate::log::Topic;

/// One partition: where it ends.
#[derive(Debug)]
pub(super) struct PartitionState {
    /// One above the last durable record; readers never look at or above it.
    pub(super) end: watch::Sender<u64>,
}

/// One topic.
#[derive(Debug)]
pub(super) struct TopicState {
    /// Its number in keys.
    pub(super) number: u32,
    /// Its name.
    pub(super) topic: Topic,
    /// Rises with every append to it and when partitions are added.
    pub(super) activity: watch::Sender<u64>,
    partitions: RwLock<Vec<Arc<PartitionState>>>,
    turn: AtomicU32,
}

impl TopicState {
    /// A topic with partitions that end where `ends` says.
    pub(super) fn new(number: u32, topic: Topic, ends: Vec<u64>) -> Self {
        let partitions = ends.into_iter().map(|end| Arc::new(PartitionState::new(end))).collect();
        Self {
            number,
            topic,
            activity: watch::Sender::new(0),
            partitions: RwLock::new(partitions),
            turn: AtomicU32::new(0),
        }
    }

    /// How many partitions there are.
    pub(super) fn partition_count(&self) -> u32 {
        u32::try_from(self.read().len()).expect("partitions are numbered by u32")
    }

    /// A partition by number.
    pub(super) fn partition(&self, number: u32) -> Option<Arc<PartitionState>> {
        let index = usize::try_from(number).ok()?;
        self.read().get(index).cloned()
    }

    /// Where each partition ends.
    pub(super) fn ends(&self) -> Vec<u64> {
        self.read().iter().map(|partition| partition.end()).collect()
    }

    /// The partition whose turn it is.
    pub(super) fn next_in_turn(&self) -> u32 {
        self.turn.fetch_add(1, Ordering::Relaxed) % self.partition_count()
    }

    /// Adds empty partitions up to `count`.
    pub(super) fn grow(&self, count: u32) {
        {
            let mut partitions = self.partitions.write().unwrap_or_else(PoisonError::into_inner);
            while u32::try_from(partitions.len()).is_ok_and(|len| len < count) {
                partitions.push(Arc::new(PartitionState::new(0)));
            }
        }
        self.mark_active();
    }

    /// Wakes the consumer groups of the topic.
    pub(super) fn mark_active(&self) {
        self.activity.send_modify(|version| *version += 1);
    }

    /// Wakes everybody who waits for a record of the topic, although there is none.
    pub(super) fn wake_all(&self) {
        for partition in self.read().iter() {
            partition.end.send_modify(|_| {});
        }
        self.mark_active();
    }

    fn read(&self) -> RwLockReadGuard<'_, Vec<Arc<PartitionState>>> {
        self.partitions.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PartitionState {
    fn new(end: u64) -> Self {
        Self { end: watch::Sender::new(end) }
    }

    /// One above the last durable record.
    pub(super) fn end(&self) -> u64 {
        *self.end.borrow()
    }
}

/// All topics, by name.
#[derive(Debug, Default)]
pub(super) struct Topics {
    by_name: RwLock<BTreeMap<Topic, Arc<TopicState>>>,
}

impl Topics {
    pub(super) fn get(&self, topic: &Topic) -> Option<Arc<TopicState>> {
        self.by_name.read().unwrap_or_else(PoisonError::into_inner).get(topic).cloned()
    }

    pub(super) fn insert(&self, state: TopicState) {
        let mut by_name = self.by_name.write().unwrap_or_else(PoisonError::into_inner);
        by_name.insert(state.topic.clone(), Arc::new(state));
    }

    pub(super) fn all(&self) -> Vec<Arc<TopicState>> {
        self.by_name.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// The number of the next topic: topics are never removed.
    pub(super) fn next_number(&self) -> u32 {
        let len = self.by_name.read().unwrap_or_else(PoisonError::into_inner).len();
        u32::try_from(len).expect("topics are numbered by u32")
    }
}

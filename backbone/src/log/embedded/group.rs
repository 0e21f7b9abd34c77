//! Consumer groups within this process: members share the partitions of a topic, committed offsets survive restarts.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;
use tracing::debug;

use super::{
    Shared,
    keys::CommitKey,
    reader::{self, Bounds},
    topics::TopicState,
};
use crate::log::{GROUP_BATCH_BYTES_MAX, GroupBatch, LogError};

/// Number of a member, unique in its group while the process runs; members are ordered by it.
type Member = u64;

/// One group of one topic.
#[derive(Debug, Default)]
pub(super) struct GroupState {
    inner: Mutex<GroupInner>,
    /// Rises when members come or go.
    generation: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct GroupInner {
    members: Vec<Member>,
    next_member: Member,
    committed: BTreeMap<u32, u64>,
}

/// All groups, by number of the topic and name.
#[derive(Debug, Default)]
pub(super) struct Groups {
    by_name: Mutex<BTreeMap<(u32, String), Arc<GroupState>>>,
}

impl Groups {
    /// The group, made if it is new.
    pub(super) fn get(&self, topic: u32, group: &str) -> Arc<GroupState> {
        let mut by_name = self.by_name.lock().unwrap_or_else(PoisonError::into_inner);
        by_name.entry((topic, group.to_owned())).or_default().clone()
    }
}

impl GroupState {
    /// Notes a committed offset; `false` if a later one was known. A committed offset never moves back.
    pub(super) fn note_commit(&self, partition: u32, next_offset: u64) -> bool {
        let mut inner = self.lock();
        let committed = inner.committed.entry(partition).or_default();
        let advances = next_offset > *committed;
        *committed = next_offset.max(*committed);
        advances
    }

    /// The committed next offset of a partition, 0 if none.
    pub(super) fn committed(&self, partition: u32) -> u64 {
        self.lock().committed.get(&partition).copied().unwrap_or(0)
    }

    fn join(&self) -> Member {
        let mut inner = self.lock();
        let member = inner.next_member;
        inner.next_member += 1;
        inner.members.push(member);
        drop(inner);
        self.generation.send_modify(|generation| *generation += 1);
        member
    }

    fn leave(&self, member: Member) {
        self.lock().members.retain(|other| *other != member);
        self.generation.send_modify(|generation| *generation += 1);
    }

    /// Whether the partition is this member's: partitions go round the members in turn.
    fn owns(&self, member: Member, partition: u32) -> bool {
        let inner = self.lock();
        let turn = usize::try_from(partition).ok().and_then(|partition| partition.checked_rem(inner.members.len()));
        turn.and_then(|turn| inner.members.get(turn)).is_some_and(|owner| *owner == member)
    }

    fn lock(&self) -> MutexGuard<'_, GroupInner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A member of a consumer group.
#[derive(Debug)]
pub struct EmbeddedConsumer {
    shared: Arc<Shared>,
    topic: Arc<TopicState>,
    group: Arc<GroupState>,
    group_name: String,
    member: Member,
    activity: watch::Receiver<u64>,
    generation: watch::Receiver<u64>,
    /// Next offset of each partition that is this member's.
    positions: BTreeMap<u32, u64>,
    /// The partition that was served last: the others come first.
    served: u32,
}

impl EmbeddedConsumer {
    pub(super) fn join(shared: Arc<Shared>, topic: Arc<TopicState>, group_name: &str) -> Self {
        let group = shared.groups.get(topic.number, group_name);
        let member = group.join();
        let activity = topic.activity.subscribe();
        let generation = group.generation.subscribe();
        let group_name = group_name.to_owned();
        let positions = BTreeMap::new();
        Self { shared, topic, group, group_name, member, activity, generation, positions, served: 0 }
    }

    /// See [`super::super::GroupConsumer::next_batch`].
    pub async fn next_batch(&mut self, records_max: usize, busy: &BTreeSet<u32>) -> Result<GroupBatch, LogError> {
        loop {
            // Marked as seen before looking, so that whatever comes after wakes us.
            self.activity.borrow_and_update();
            self.generation.borrow_and_update();
            self.take_assignment();
            if let Some((partition, position, end)) = self.next_with_records(busy) {
                let bounds = Bounds { records_max, bytes_max: GROUP_BATCH_BYTES_MAX };
                let records = reader::read(&self.shared, &self.topic, partition, position, end, bounds).await?;
                self.positions.insert(partition, position + records.len() as u64);
                self.served = partition;
                return Ok(GroupBatch { partition, records });
            }
            if self.shared.queue.is_closed() {
                return Err(LogError::Closed);
            }
            tokio::select! {
                changed = self.activity.changed() => changed.map_err(|_| LogError::Closed)?,
                changed = self.generation.changed() => changed.map_err(|_| LogError::Closed)?,
            }
        }
    }

    /// See [`super::super::GroupConsumer::commit`].
    pub fn commit(&self, partition: u32, next_offset: u64) -> Result<(), LogError> {
        if !self.group.owns(self.member, partition) {
            debug!(topic = %self.topic.topic, group = self.group_name, partition, "ignored a commit of a former member");
            return Ok(());
        }
        if !self.group.note_commit(partition, next_offset) {
            return Ok(());
        }
        let key = CommitKey { topic: self.topic.number, partition, group: self.group_name.clone() };
        if self.shared.queue.push_commit(key, next_offset) { Ok(()) } else { Err(LogError::Closed) }
    }

    /// Keeps the positions of partitions that stay this member's; those that come begin at the group's commit.
    fn take_assignment(&mut self) {
        let owned = (0..self.topic.partition_count()).filter(|partition| self.group.owns(self.member, *partition));
        self.positions = owned
            .map(|partition| {
                let kept = self.positions.get(&partition).copied();
                (partition, kept.unwrap_or_else(|| self.group.committed(partition)))
            })
            .collect();
    }

    fn next_with_records(&self, busy: &BTreeSet<u32>) -> Option<(u32, u64, u64)> {
        let after = self.positions.range(self.served.saturating_add(1)..);
        let up_to = self.positions.range(..=self.served);
        after.chain(up_to).filter(|(partition, _)| !busy.contains(partition)).find_map(|(partition, position)| {
            let end = self.topic.partition(*partition)?.end();
            (end > *position).then_some((*partition, *position, end))
        })
    }
}

impl Drop for EmbeddedConsumer {
    fn drop(&mut self) {
        self.group.leave(self.member);
    }
}

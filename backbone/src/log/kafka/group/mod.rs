//! A member of a consumer group that reads one topic and notes how far what it read is durable downstream.
//!
//! It reads each partition from exactly what the group has committed of it, and without a gap: what the client library
//! leaves out must not be committed past by whoever commits what comes behind it.

mod assign;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use rdkafka::{
    Offset, TopicPartitionList,
    config::FromClientConfigAndContext as _,
    consumer::{BaseConsumer, CommitMode, Consumer as _, base_consumer::PartitionQueue},
    error::KafkaError,
};
use tokio::{
    sync::Notify,
    time::{Instant, timeout},
};
use tracing::{debug, warn};

use self::assign::GroupContext;
use super::{
    Shared,
    errors::{self, Kind},
    queue::{Bounds, Stopped, Taken},
    quiet::Quiet,
    serve::{self, Served},
    topics::{Extent, partition_number},
};
use crate::log::{GROUP_BATCH_BYTES_MAX, GroupBatch, LogError, Topic};

/// Commits of this time go out together.
const COMMIT_INTERVAL: Duration = Duration::from_millis(100);

/// After a commit that failed, the next one waits so long.
const COMMIT_RETRY: Duration = Duration::from_secs(1);

/// How often the group's committed offsets are compared with this member's: a former owner of a partition may have
/// committed after this one.
const COMPARE_INTERVAL: Duration = Duration::from_secs(2);

/// How long that question may take.
const COMPARE_TIMEOUT: Duration = Duration::from_secs(2);

/// How often partitions that give nothing are thought about.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// How long a member waits that joins again: the coordinator is away or has only just changed.
const JOIN_AGAIN: Duration = Duration::from_millis(500);

/// How long a member that leaves waits for its last commits.
const LAST_COMMITS_TIMEOUT: Duration = Duration::from_secs(2);

/// A queue is looked at after this even when nothing woke its reader: a wake-up that was lost costs half a second.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// A member of a consumer group.
#[derive(Debug)]
pub struct KafkaConsumer {
    shared: Arc<Shared>,
    state: Arc<GroupState>,
    /// The partition that was served last: the others come first.
    served: u32,
}

/// What the member's thread, its client's callbacks and its reader share.
pub(super) struct GroupState {
    topic: Topic,
    name: String,
    group_id: String,
    owned: Mutex<BTreeMap<u32, Owned>>,
    notify: Arc<Notify>,
    /// Cannot be mended by waiting: given to whoever reads next.
    failure: Mutex<Option<LogError>>,
    gaps: Arc<Gaps>,
    /// How partitions did in which records did not come, for the client that joins next.
    stalled: Mutex<BTreeMap<u32, Quiet>>,
    /// The client could not take what it was assigned, or fetches nothing: a new one joins.
    joins_again: AtomicBool,
    has_left: AtomicBool,
}

/// What members of this process last found missing, by group and partition: the offset that should have come, and the one
/// that came instead. Outlives a member, so that the next one knows what is missing for the second time. Two numbers for
/// each damaged partition.
pub(super) type Gaps = Mutex<BTreeMap<(String, u32), (u64, u64)>>;

/// A partition that is this member's.
struct Owned {
    queue: PartitionQueue<GroupContext>,
    /// The offset that comes next; at first the group's committed one.
    next: u64,
    /// Below this the group needs nothing, says whoever reads.
    wanted: u64,
    /// The brokers have this.
    committed: u64,
    quiet: Quiet,
}

impl Owned {
    fn new(queue: PartitionQueue<GroupContext>, next: u64, stalled: Option<Quiet>) -> Self {
        let now = Instant::now();
        let mut quiet = stalled.unwrap_or_else(|| Quiet::since(now));
        quiet.begin_again(now);
        Self { queue, next, wanted: next, committed: next, quiet }
    }
}

impl KafkaConsumer {
    /// Joins the group on a thread of its own.
    pub(super) fn join(shared: &Arc<Shared>, topic: &Topic, group: &str) -> Result<Self, LogError> {
        let state = Arc::new(GroupState {
            topic: topic.clone(),
            name: shared.settings.topic_name(topic),
            group_id: shared.settings.topic_group(topic, group),
            owned: Mutex::default(),
            notify: Arc::new(Notify::new()),
            failure: Mutex::default(),
            gaps: shared.gaps.clone(),
            stalled: Mutex::default(),
            joins_again: AtomicBool::new(false),
            has_left: AtomicBool::new(false),
        });
        serve::spawn(shared, state.clone(), "kafka-group")
            .map_err(|source| LogError::Read { topic: topic.clone(), source: errors::problem(source.to_string()) })?;
        Ok(Self { shared: shared.clone(), state, served: 0 })
    }

    /// See [`crate::log::GroupConsumer::next_batch`].
    pub async fn next_batch(&mut self, records_max: usize, busy: &BTreeSet<u32>) -> Result<GroupBatch, LogError> {
        let bounds = Bounds { records_max, bytes_max: GROUP_BATCH_BYTES_MAX };
        loop {
            self.shared.check_open()?;
            if let Some(failure) = lock(&self.state.failure).take() {
                return Err(failure);
            }
            if let Some(batch) = self.state.take(self.served, busy, bounds) {
                self.served = batch.partition;
                return Ok(batch);
            }
            tokio::select! {
                // Either way the queues are looked at next.
                _ = timeout(LOOK_AGAIN, self.state.notify.notified()) => {}
                () = self.shared.closed() => return Err(LogError::Closed),
            }
        }
    }

    /// See [`crate::log::GroupConsumer::commit`]. It goes to the brokers a moment later, and again until they have it.
    pub fn commit(&self, partition: u32, next_offset: u64) -> Result<(), LogError> {
        self.shared.check_open()?;
        let mut owned = lock(&self.state.owned);
        match owned.get_mut(&partition) {
            Some(owned) => owned.wanted = owned.wanted.max(next_offset),
            None => {
                debug!(topic = %self.state.topic, group = self.state.group_id, partition, "ignored a commit of a former member");
            }
        }
        Ok(())
    }
}

impl Drop for KafkaConsumer {
    fn drop(&mut self) {
        // The thread commits what is left and leaves the group.
        self.state.has_left.store(true, Ordering::Release);
    }
}

impl GroupState {
    /// Records of the next partition that has some and is not busy, the one served last coming last.
    fn take(&self, served: u32, busy: &BTreeSet<u32>, bounds: Bounds) -> Option<GroupBatch> {
        let mut all_owned = lock(&self.owned);
        let after = all_owned.range(served.saturating_add(1)..).map(|(partition, _)| *partition);
        let up_to = all_owned.range(..=served).map(|(partition, _)| *partition);
        for partition in after.chain(up_to).filter(|partition| !busy.contains(partition)).collect::<Vec<_>>() {
            let Some(owned) = all_owned.get_mut(&partition) else { continue };
            let mut taken = Taken::default();
            match taken.fill(&owned.queue, &mut owned.next, bounds) {
                Stopped::Full | Stopped::Empty => {}
                Stopped::Error(error) => self.note_error(&error),
                Stopped::Gap { found } => self.note_gap(partition, owned.next, found),
            }
            if taken.records.is_empty() {
                owned.quiet.note_empty(Instant::now());
            } else {
                owned.quiet = Quiet::since(Instant::now());
                return Some(GroupBatch { partition, records: taken.take() });
            }
        }
        None
    }

    /// Records are missing between two that came: the library leaves out a batch that it cannot read. Whoever reads hears
    /// of it, joins again and is given the partition from its committed offset on, so that nothing behind the gap is
    /// committed before what is in it. If the same is missing again, it is lost.
    fn note_gap(&self, partition: u32, next: u64, found: u64) {
        let before = lock(&self.gaps).insert((self.group_id.clone(), partition), (next, found));
        let failure = if before == Some((next, found)) {
            LogError::Damaged { topic: self.topic.clone(), partition, offset: next }
        } else {
            warn!(group = self.group_id, partition, next, found, "records were left out; the partition is read again");
            let source = errors::problem("records were left out");
            LogError::Unavailable { topic: self.topic.clone(), source }
        };
        self.fail(failure);
    }

    /// Whoever reads next is given this.
    fn fail(&self, failure: LogError) {
        *lock(&self.failure) = Some(failure);
        self.notify.notify_one();
    }

    /// Keeps what cannot be mended by waiting; the rest has been counted and logged.
    fn note_error(&self, error: &KafkaError) {
        match errors::kind(error) {
            Kind::NotAllowed | Kind::Fatal => {
                self.fail(errors::reading(&self.topic, error));
            }
            // The topic may be about to be made.
            Kind::Unknown | Kind::Transient | Kind::TooLarge | Kind::QueueFull => {}
        }
    }

    /// Offsets that the brokers do not have yet.
    fn to_send(&self) -> Option<TopicPartitionList> {
        let mut list = TopicPartitionList::new();
        for (partition, owned) in lock(&self.owned).iter() {
            if owned.wanted > owned.committed {
                self.add(&mut list, *partition, owned.wanted);
            }
        }
        (list.count() > 0).then_some(list)
    }

    fn has_uncommitted(&self) -> bool {
        lock(&self.owned).values().any(|owned| owned.wanted > owned.committed)
    }

    fn add(&self, list: &mut TopicPartitionList, partition: u32, offset: u64) {
        let offset = Offset::Offset(i64::try_from(offset).unwrap_or(i64::MAX));
        let added = list.add_partition_offset(&self.name, partition_number(partition), offset);
        added.expect("an offset that is not negative can be noted");
    }

    fn acknowledged(&self, list: &TopicPartitionList) {
        let mut all_owned = lock(&self.owned);
        for element in list.elements_for_topic(&self.name) {
            let number = u32::try_from(element.partition()).ok();
            if let Some(owned) = number.and_then(|number| all_owned.get_mut(&number)) {
                owned.committed = owned.committed.max(committed_offset(element.offset()));
            }
        }
    }

    /// Whether there are records that are wanted and do not come, although the brokers say where they end. One partition
    /// is asked about at a time: where brokers are away an answer takes seconds, and this thread has other things to do.
    fn is_stalled(&self, shared: &Shared) -> bool {
        let now = Instant::now();
        let is_due = |(partition, owned): (&u32, &mut Owned)| owned.quiet.is_due(now).then_some(*partition);
        let due = lock(&self.owned).iter_mut().find_map(is_due);
        let Some(partition) = due else { return false };
        let extent = shared.extent_now(&self.topic, partition).ok();
        let mut all_owned = lock(&self.owned);
        let Some(owned) = all_owned.get_mut(&partition) else { return false };
        let is_stalled = owned.quiet.is_stalled(owned.next, extent.map(|Extent { end, .. }| end), Instant::now());
        if is_stalled {
            warn!(
                group = self.group_id,
                partition,
                next = owned.next,
                "records do not come any more although there are some; the group is joined again"
            );
            lock(&self.stalled).insert(partition, owned.quiet);
        }
        is_stalled
    }

    /// Notes positions again that somebody else has put back.
    fn compare(&self, consumer: &BaseConsumer<GroupContext>) {
        let mut list = TopicPartitionList::new();
        for (partition, owned) in lock(&self.owned).iter() {
            if owned.committed > 0 {
                list.add_partition(&self.name, partition_number(*partition));
            }
        }
        if list.count() == 0 {
            return;
        }
        let group = match consumer.committed_offsets(list, COMPARE_TIMEOUT) {
            Ok(group) => group,
            Err(error) => return debug!(group = self.group_id, %error, "committed offsets were not compared"),
        };
        let mut all_owned = lock(&self.owned);
        for element in group.elements_for_topic(&self.name) {
            let number = u32::try_from(element.partition()).ok();
            let Some(owned) = number.and_then(|number| all_owned.get_mut(&number)) else { continue };
            if element.error().is_err() {
                continue;
            }
            let offset = committed_offset(element.offset());
            if offset < owned.committed {
                warn!(
                    group = self.group_id,
                    partition = number,
                    offset,
                    ours = owned.committed,
                    "the group's position was put back"
                );
                owned.committed = offset;
            }
        }
    }
}

impl Served for GroupState {
    type Context = GroupContext;

    fn connect(self: Arc<Self>, shared: &Shared) -> Result<Arc<BaseConsumer<GroupContext>>, errors::KafkaOpenError> {
        let config = shared.settings.group(&self.group_id)?;
        let context =
            GroupContext { events: shared.group_events.clone(), state: self.clone(), consumer: OnceLock::new() };
        let client = |error: KafkaError| errors::KafkaOpenError::Client { problem: errors::words(&error) };
        let consumer = Arc::new(BaseConsumer::from_config_and_context(&config, context).map_err(client)?);
        let _ = consumer.context().consumer.set(Arc::downgrade(&consumer));
        consumer.subscribe(&[&self.name]).map_err(client)?;
        Ok(consumer)
    }

    fn serve(
        &self,
        shared: &Shared,
        consumer: &Arc<BaseConsumer<GroupContext>>,
        poll: Duration,
        is_to_end: &dyn Fn() -> bool,
    ) {
        let mut commit_at = Instant::now();
        let mut compare_at = Instant::now() + COMPARE_INTERVAL;
        let mut look_at = Instant::now() + LOOK_INTERVAL;
        while !is_to_end() && !self.has_left() && !self.joins_again.load(Ordering::Acquire) {
            if let Some(Err(error)) = consumer.poll(poll) {
                self.note_error(&error);
            }
            let now = Instant::now();
            if now >= commit_at {
                commit_at = now + if self.send_commits(consumer) { COMMIT_INTERVAL } else { COMMIT_RETRY };
            }
            if now >= compare_at {
                self.compare(consumer);
                compare_at = Instant::now() + COMPARE_INTERVAL;
            }
            if now >= look_at {
                if self.is_stalled(shared) {
                    shared.metrics.clients_replaced.inc();
                    self.joins_again.store(true, Ordering::Release);
                }
                look_at = Instant::now() + LOOK_INTERVAL;
            }
        }
        let deadline = Instant::now() + LAST_COMMITS_TIMEOUT;
        while self.has_uncommitted() && Instant::now() < deadline {
            self.send_commits(consumer);
            drop(consumer.poll(poll));
        }
        lock(&self.owned).clear();
        if self.joins_again.swap(false, Ordering::AcqRel) {
            thread::sleep(JOIN_AGAIN);
        }
    }

    fn has_left(&self) -> bool {
        self.has_left.load(Ordering::Acquire)
    }

    fn failed(&self, error: &errors::KafkaOpenError) {
        let source = errors::problem(crate::telemetry::chain(error));
        self.fail(LogError::Read { topic: self.topic.clone(), source });
    }
}

impl GroupState {
    /// `false` if it failed. Blocks until the brokers have answered, for the library's session time-out at most: only
    /// then does it say what became of a commit, and one that is refused in a rebalance must go out again.
    fn send_commits(&self, consumer: &BaseConsumer<GroupContext>) -> bool {
        let Some(list) = self.to_send() else { return true };
        match consumer.commit(&list, CommitMode::Sync) {
            Ok(()) => {
                self.acknowledged(&list);
                true
            }
            Err(error) => {
                debug!(group = self.group_id, %error, "a commit failed; it is sent again");
                false
            }
        }
    }
}

impl std::fmt::Debug for GroupState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GroupState").field("group_id", &self.group_id).finish_non_exhaustive()
    }
}

/// The committed offset; a group that has committed nothing begins at 0.
pub(super) fn committed_offset(offset: Offset) -> u64 {
    match offset {
        Offset::Offset(offset) => u64::try_from(offset).unwrap_or(0),
        Offset::Beginning | Offset::End | Offset::Stored | Offset::Invalid | Offset::OffsetTail(_) => 0,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! What the log's handle, its readers, its members and its threads share.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rdkafka::{
    TopicPartitionList,
    config::FromClientConfigAndContext as _,
    consumer::{BaseConsumer, Consumer as _},
};
use tokio::{sync::watch, task};

use super::{
    errors,
    events::Events,
    failing::Failing,
    group::{Gaps, committed_offset},
    hub::Hub,
    metrics::KafkaMetrics,
    producer::Producer,
    settings::Settings,
    topics::{Cluster, Extent, KnownTopic, Topics, partition_number},
};
use crate::log::{LogError, LogIdentity, Topic};

/// Clients that ask for a group's committed offsets: one a group, because the library binds a client to its group. The
/// longest unused goes when there are more. Each costs four threads and two connections with one broker, and two threads
/// and a connection more with each further one; whoever asks about more groups at once has too many proposals in one
/// process.
const OBSERVERS_MAX: usize = 256;

/// A client that nobody has asked anything for so long is given up: its proposal is over.
const OBSERVER_IDLE_MAX: Duration = Duration::from_secs(120);

/// How long a question for committed offsets may take.
const COMMITTED_TIMEOUT: Duration = Duration::from_secs(3);

/// How long the end waits for members to leave their groups.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(4);

/// Between two looks at threads that end.
const LEAVE_PAUSE: Duration = Duration::from_millis(10);

/// What all parts of the log share.
pub(super) struct Shared {
    pub(super) settings: Settings,
    pub(super) topics: Arc<Topics>,
    pub(super) producer: Producer,
    pub(super) hub: Hub,
    pub(super) metrics: KafkaMetrics,
    pub(super) group_events: Events,
    pub(super) question_events: Events,
    pub(super) identity: OnceLock<LogIdentity>,
    cluster: RwLock<Option<Arc<Cluster>>>,
    /// Of questions that no broker answered.
    pub(super) unanswered: Failing,
    pub(super) gaps: Arc<Gaps>,
    /// By group.
    observers: Mutex<BTreeMap<String, Observer>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// Rises when credentials change.
    generation: AtomicU64,
    closed: watch::Sender<bool>,
}

/// A client that asks for a group's committed offsets.
struct Observer {
    client: Arc<BaseConsumer<Events>>,
    used_at: Instant,
    unanswered: Arc<Failing>,
}

impl Shared {
    pub(super) fn new(
        settings: Settings,
        topics: Arc<Topics>,
        producer: Producer,
        cluster: Cluster,
        events: Events,
    ) -> Self {
        let metrics = events.metrics().clone();
        Self {
            hub: Hub::new(settings.clone(), Events::new("reader", metrics.clone())),
            group_events: Events::new("group", metrics.clone()),
            question_events: events,
            settings,
            topics,
            producer,
            metrics,
            identity: OnceLock::new(),
            cluster: RwLock::new(Some(Arc::new(cluster))),
            unanswered: Failing::new(),
            gaps: Arc::default(),
            observers: Mutex::default(),
            threads: Mutex::default(),
            generation: AtomicU64::new(0),
            closed: watch::Sender::new(false),
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        *self.closed.borrow()
    }

    pub(super) fn check_open(&self) -> Result<(), LogError> {
        if self.is_closed() { Err(LogError::Closed) } else { Ok(()) }
    }

    /// Waits until the log is closed.
    pub(super) async fn closed(&self) {
        // The sender lives as long as this does.
        let _ = self.closed.subscribe().wait_for(|is_closed| *is_closed).await;
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    pub(super) fn keep_thread(&self, thread: JoinHandle<()>) {
        let mut threads = lock(&self.threads);
        threads.retain(|thread| !thread.is_finished());
        threads.push(thread);
    }

    /// Runs what blocks where it may.
    pub(super) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, LogError> + Send + 'static,
    ) -> Result<T, LogError> {
        match task::spawn_blocking(work).await {
            Ok(result) => result,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime is going down and runs no more blocking work.
                Err(_) => Err(LogError::Closed),
            },
        }
    }

    /// Asks the cluster something.
    pub(super) async fn ask<T: Send + 'static>(
        self: &Arc<Self>,
        question: impl FnOnce(&Self, &Cluster) -> Result<T, LogError> + Send + 'static,
    ) -> Result<T, LogError> {
        let shared = self.clone();
        self.blocking(move || {
            let cluster = shared.cluster().ok_or(LogError::Closed)?;
            let answer = question(&shared, &cluster);
            shared.unanswered.note(matches!(answer, Err(LogError::Unavailable { .. })));
            answer
        })
        .await
    }

    pub(super) fn cluster(&self) -> Option<Arc<Cluster>> {
        self.cluster.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What one partition holds. Blocks, for seconds where no broker answers.
    pub(super) fn extent_now(&self, topic: &Topic, partition: u32) -> Result<Extent, LogError> {
        let cluster = self.cluster().ok_or(LogError::Closed)?;
        self.topics.extent(&cluster, &self.settings, topic, partition)
    }

    /// A topic, looked at if this process has not seen it yet.
    pub(super) async fn known(self: &Arc<Self>, topic: &Topic) -> Result<Arc<KnownTopic>, LogError> {
        match self.topics.known(topic) {
            Some(known) => Ok(known),
            None => self.look(topic).await,
        }
    }

    /// A topic as fresh metadata shows it.
    pub(super) async fn look(self: &Arc<Self>, topic: &Topic) -> Result<Arc<KnownTopic>, LogError> {
        let topic = topic.clone();
        self.ask(move |shared, cluster| shared.topics.look(cluster, &shared.settings, &topic)).await
    }

    /// The group's committed next offsets.
    pub(super) fn committed(&self, cluster: &Cluster, topic: &Topic, group: &str) -> Result<Vec<u64>, LogError> {
        let known = self.topics.look(cluster, &self.settings, topic)?;
        let group_id = self.settings.topic_group(topic, group);
        let (observer, unanswered) = self.observer(topic, &group_id)?;
        let mut list = TopicPartitionList::new();
        for partition in 0..known.partitions() {
            list.add_partition(&known.name, partition_number(partition));
        }
        let answer = observer.committed_offsets(list, COMMITTED_TIMEOUT);
        // Lets the client's log lines go; they have been waiting since the last question.
        drop(observer.poll(Duration::ZERO));
        unanswered.note(answer.is_err());
        if unanswered.is_stuck() {
            // The next question makes another.
            let stuck = lock(&self.observers).remove(&group_id);
            drop(stuck);
        }
        let answer = answer.map_err(|error| errors::reading(topic, &error))?;
        let mut committed = vec![0; answer.count()];
        for element in answer.elements_for_topic(&known.name) {
            element.error().map_err(|error| errors::reading(topic, &error))?;
            let slot = usize::try_from(element.partition()).ok().and_then(|partition| committed.get_mut(partition));
            if let Some(slot) = slot {
                *slot = committed_offset(element.offset());
            }
        }
        Ok(committed)
    }

    fn observer(&self, topic: &Topic, group_id: &str) -> Result<(Arc<BaseConsumer<Events>>, Arc<Failing>), LogError> {
        let mut observers = lock(&self.observers);
        if let Some(observer) = observers.get_mut(group_id) {
            observer.used_at = Instant::now();
            return Ok((observer.client.clone(), observer.unanswered.clone()));
        }
        let failed = |source| LogError::Read { topic: topic.clone(), source };
        let config = self.settings.observer(group_id);
        let config = config.map_err(|error| failed(errors::problem(crate::telemetry::chain(&error))))?;
        let client = BaseConsumer::from_config_and_context(&config, self.question_events.clone());
        let client = Arc::new(client.map_err(|error| failed(errors::backend(&error)))?);
        let longest_unused =
            observers.iter().min_by_key(|(_, observer)| observer.used_at).map(|(group, _)| group.clone());
        let unused =
            longest_unused.filter(|_| observers.len() >= OBSERVERS_MAX).and_then(|group| observers.remove(&group));
        let unanswered = Arc::new(Failing::new());
        let observer = Observer { client: client.clone(), used_at: Instant::now(), unanswered: unanswered.clone() };
        observers.insert(group_id.to_owned(), observer);
        drop(observers);
        // Ending a client takes a while.
        drop(unused);
        Ok((client, unanswered))
    }

    /// Ends observers that nobody needs any more.
    fn let_observers_go(&self) {
        let is_idle = |observer: &mut Observer| observer.used_at.elapsed() >= OBSERVER_IDLE_MAX;
        let idle: Vec<_> = lock(&self.observers).extract_if(.., |_, observer| is_idle(observer)).collect();
        drop(idle);
    }

    /// Lets the clients for questions say what they have to say, for as long as given at most.
    pub(super) fn serve_questions(&self, time: Duration) {
        match self.cluster() {
            Some(cluster) => cluster.serve(time),
            None => thread::sleep(time),
        }
        self.let_observers_go();
        let observers: Vec<_> = lock(&self.observers).values().map(|observer| observer.client.clone()).collect();
        for observer in observers {
            drop(observer.poll(Duration::ZERO));
        }
    }

    /// Lets everything but the producer move to clients with new credentials.
    pub(super) fn replace_consumers(&self, cluster: Cluster) {
        let mut slot = self.cluster.write().unwrap_or_else(PoisonError::into_inner);
        let old = if self.is_closed() { None } else { slot.replace(Arc::new(cluster)) };
        drop(slot);
        drop(old);
        let old = std::mem::take(&mut *lock(&self.observers));
        drop(old);
        self.unanswered.forget();
        self.generation.fetch_add(1, Ordering::AcqRel);
        self.hub.replace();
    }

    /// Ends everything. Blocks until what was sent is acknowledged or given up and members have left their groups, for
    /// seconds at most.
    pub(super) fn stop(&self) {
        self.closed.send_replace(true);
        self.producer.close();
        self.hub.close();
        let deadline = Instant::now() + LEAVE_TIMEOUT;
        let threads = std::mem::take(&mut *lock(&self.threads));
        while Instant::now() < deadline && threads.iter().any(|thread| !thread.is_finished()) {
            thread::sleep(LEAVE_PAUSE);
        }
        let cluster = self.cluster.write().unwrap_or_else(PoisonError::into_inner).take();
        drop(cluster);
        let observers = std::mem::take(&mut *lock(&self.observers));
        drop(observers);
    }

    /// Tells everybody that it ends, without waiting for anything.
    pub(super) fn begin_stop(&self) -> bool {
        !self.closed.send_replace(true)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("identity", &self.identity)
            .field("settings", &self.settings)
            .field("observers", &lock(&self.observers).len())
            .finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! The client that all readers of a process share: each partition has a queue of its own in it, so that a reader that
//! does not read holds up nobody else, and a process with a hundred lanes has one set of connections.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use rdkafka::{
    Offset, TopicPartitionList,
    config::FromClientConfigAndContext as _,
    consumer::{BaseConsumer, Consumer as _, base_consumer::PartitionQueue},
};
use tokio::sync::Notify;
use tracing::warn;

use super::{
    errors,
    events::Events,
    failing::Failing,
    settings::Settings,
    topics::{KnownTopic, partition_number},
};
use crate::log::{BackendError, LogError};

/// A client holds a partition once, so several readers of one partition at a time need as many clients. More than this
/// wait for one another.
const CLIENTS_MAX: usize = 8;

/// How long a client's thread waits for events at once: also how soon what readers left is let go.
const POLL: Duration = Duration::from_millis(100);

/// How long a client may take to learn of a topic.
const METADATA_TIMEOUT: Duration = Duration::from_secs(2);

/// The shared clients of all readers.
pub(super) struct Hub {
    settings: Settings,
    events: Events,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    clients: Vec<Arc<HubClient>>,
    is_closed: bool,
}

type PartitionKey = (String, u32);

/// One client with the thread that serves it.
struct HubClient {
    /// Gone once the client has ended; then it was the thread that dropped it, which may block.
    consumer: Mutex<Option<Arc<BaseConsumer<Events>>>>,
    attached: Mutex<BTreeMap<PartitionKey, Arc<Notify>>>,
    /// What readers have left. Held for a moment only: readers are dropped in async code.
    left: Mutex<Vec<(PartitionKey, PartitionQueue<Events>)>>,
    /// Held while it is let go.
    letting_go: Mutex<()>,
    /// Of attempts to attach a reader.
    unanswered: Failing,
    is_retired: AtomicBool,
}

/// A partition's queue in one of the clients, as long as a reader holds it.
pub(super) struct Attachment {
    key: PartitionKey,
    queue: Option<PartitionQueue<Events>>,
    notify: Arc<Notify>,
    client: Arc<HubClient>,
}

impl Hub {
    pub(super) fn new(settings: Settings, events: Events) -> Self {
        Self { settings, events, inner: Mutex::default() }
    }

    /// Blocks until a client fetches the partition from this offset on; `None` if all that may be are busy with it.
    pub(super) fn attach(
        &self,
        topic: &KnownTopic,
        partition: u32,
        offset: u64,
    ) -> Result<Option<Attachment>, LogError> {
        let read = |source: BackendError| LogError::Read { topic: topic.topic.clone(), source };
        let key = (topic.name.clone(), partition);
        let mut inner = lock(&self.inner);
        if inner.is_closed {
            return Err(LogError::Closed);
        }
        let free = inner.clients.iter().find(|client| client.is_free_for(&key)).cloned();
        let client = match free {
            Some(client) => client,
            None if inner.clients.len() >= CLIENTS_MAX => return Ok(None),
            None => {
                let client = HubClient::start(&self.settings, &self.events).map_err(read)?;
                inner.clients.push(client.clone());
                client
            }
        };
        // Attaching one after the other keeps two readers from taking the same place.
        let attached = client.attach(key, offset);
        client.unanswered.note(attached.is_err());
        if client.unanswered.is_stuck() {
            warn!("readers got no answers for a while; a new client takes over");
            self.exchange_client(&mut inner, &client);
        }
        drop(inner);
        attached.map(Some).map_err(|error| errors::reading(&topic.topic, &error))
    }

    /// Lets all readers of an attachment's client move to a new one: it does not fetch what is there.
    pub(super) fn exchange(&self, attachment: &Attachment) {
        self.exchange_client(&mut lock(&self.inner), &attachment.client);
    }

    fn exchange_client(&self, inner: &mut Inner, client: &Arc<HubClient>) {
        let before = inner.clients.len();
        inner.clients.retain(|other| !Arc::ptr_eq(other, client));
        if inner.clients.len() < before {
            client.retire();
            self.events.metrics().clients_replaced.inc();
        }
    }

    /// Lets readers move to new clients: credentials have changed.
    pub(super) fn replace(&self) {
        let old = std::mem::take(&mut lock(&self.inner).clients);
        for client in old {
            client.retire();
            self.events.metrics().clients_replaced.inc();
        }
    }

    /// Ends all clients.
    pub(super) fn close(&self) {
        lock(&self.inner).is_closed = true;
        self.replace();
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").finish_non_exhaustive()
    }
}

impl HubClient {
    fn start(settings: &Settings, events: &Events) -> Result<Arc<Self>, BackendError> {
        let config = settings.reader().map_err(|error| errors::problem(crate::telemetry::chain(&error)))?;
        let consumer =
            BaseConsumer::from_config_and_context(&config, events.clone()).map_err(|error| errors::backend(&error))?;
        let client = Arc::new(Self {
            consumer: Mutex::new(Some(Arc::new(consumer))),
            attached: Mutex::default(),
            left: Mutex::default(),
            letting_go: Mutex::default(),
            unanswered: Failing::new(),
            is_retired: AtomicBool::new(false),
        });
        let serving = client.clone();
        thread::Builder::new()
            .name("kafka-reader".to_owned())
            .spawn(move || serving.serve())
            .map_err(|source| errors::problem(source.to_string()))?;
        Ok(client)
    }

    /// Serves the client's events until it is retired and the last reader has left.
    fn serve(&self) {
        let Some(consumer) = lock(&self.consumer).clone() else { return };
        while !(self.is_retired.load(Ordering::Acquire) && lock(&self.attached).is_empty()) {
            if let Some(Ok(message)) = consumer.poll(POLL) {
                use rdkafka::Message as _;
                // A reader notices the gap and attaches again.
                warn!(
                    topic = message.topic(),
                    partition = message.partition(),
                    "a record came past its reader's queue"
                );
            }
            self.let_go();
        }
        *lock(&self.consumer) = None;
    }

    fn is_free_for(&self, key: &PartitionKey) -> bool {
        self.let_go();
        !self.is_retired.load(Ordering::Acquire) && !lock(&self.attached).contains_key(key)
    }

    fn attach(self: &Arc<Self>, key: PartitionKey, offset: u64) -> Result<Attachment, rdkafka::error::KafkaError> {
        let Some(consumer) = lock(&self.consumer).clone() else {
            return Err(rdkafka::error::KafkaError::Canceled);
        };
        let (name, partition) = &key;
        // Fetching begins at once where the client knows the partition's leader, else with its next refresh.
        consumer.fetch_metadata(Some(name), METADATA_TIMEOUT)?;
        // Its queue is split off before anything is fetched, so that nothing comes past it.
        let mut queue = consumer
            .split_partition_queue(name, partition_number(*partition))
            .ok_or(rdkafka::error::KafkaError::Canceled)?;
        let notify = Arc::new(Notify::new());
        let waking = notify.clone();
        queue.set_nonempty_callback(move || waking.notify_one());
        let mut list = TopicPartitionList::new();
        let first = Offset::Offset(i64::try_from(offset).unwrap_or(i64::MAX));
        list.add_partition_offset(name, partition_number(*partition), first)?;
        consumer.incremental_assign(&list)?;
        lock(&self.attached).insert(key.clone(), notify.clone());
        Ok(Attachment { key, queue: Some(queue), notify, client: self.clone() })
    }

    /// Stops fetching what readers have left.
    fn let_go(&self) {
        // Held to the end: whoever comes next may attach the same partition again.
        let _letting_go = lock(&self.letting_go);
        let left = std::mem::take(&mut *lock(&self.left));
        if left.is_empty() {
            return;
        }
        let Some(consumer) = lock(&self.consumer).clone() else { return };
        for ((name, partition), queue) in left {
            let mut list = TopicPartitionList::new();
            list.add_partition(&name, partition_number(partition));
            if let Err(error) = consumer.incremental_unassign(&list) {
                warn!(topic = name, partition, %error, "a partition could not be let go");
            }
            drop(queue);
            lock(&self.attached).remove(&(name, partition));
        }
    }

    fn retire(&self) {
        self.is_retired.store(true, Ordering::Release);
        for notify in lock(&self.attached).values() {
            notify.notify_one();
        }
    }
}

impl Attachment {
    pub(super) fn queue(&self) -> &PartitionQueue<Events> {
        self.queue.as_ref().expect("the queue is taken only when the attachment is dropped")
    }

    /// Waits until there may be something in the queue.
    pub(super) async fn changed(&self) {
        self.notify.notified().await;
    }

    /// Whether its client is to end: a new one is there.
    pub(super) fn is_retired(&self) -> bool {
        self.client.is_retired.load(Ordering::Acquire)
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        // Letting go blocks, and readers are dropped in async code.
        if let Some(queue) = self.queue.take() {
            lock(&self.client.left).push((self.key.clone(), queue));
        }
    }
}

impl fmt::Debug for Attachment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attachment").field("key", &self.key).finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

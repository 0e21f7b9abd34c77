//! The producer of a process: one client at a time, exchanged for a new, warm one when it fails for good or when its
//! credentials change.

use std::{
    fmt, io,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rdkafka::{
    config::FromClientConfigAndContext as _,
    error::KafkaError,
    producer::{BaseProducer, BaseRecord, Producer as _},
};
use tokio::{sync::oneshot, task};
use tracing::{info, warn};

use super::{
    backlog::{QUEUE_BYTES_MAX, QUEUE_RECORDS_MAX, Reservation},
    delivery::{BatchWaiting, Delivery, DeliveryContext, DeliveryState, Waiting},
    errors::{self, KafkaOpenError, Kind},
    events::Events,
    settings::MESSAGE_TIMEOUT,
    topics::{KnownTopic, partition_number},
};
use crate::log::{AppendError, AppendTo, Appended, RECORD_BYTES_MAX};

/// How long the poll thread waits for events at once; only bounds how soon it notices that it is to end.
const POLL: Duration = Duration::from_millis(100);

/// A record's time-out and a little: then everything that was sent is either acknowledged or given up.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(MESSAGE_TIMEOUT.as_secs() + 1);

/// Getting a number takes half a second to a second; brokers that have not given one by now will not.
pub(super) const WARM_TIMEOUT: Duration = Duration::from_secs(8);

/// Between two looks at a producer that warms up.
const WARM_PAUSE: Duration = Duration::from_millis(5);

/// A partition that our metadata shows and the producer's does not will be there after its next refresh.
const LEARN_TIMEOUT: Duration = Duration::from_secs(3);

/// Between two such attempts.
const LEARN_PAUSE: Duration = Duration::from_millis(50);

/// Other tasks get a turn after so many records of a batch.
const RECORDS_A_TURN: usize = 512;

/// The producer of a process.
pub(super) struct Producer {
    slot: RwLock<Option<Client>>,
    state: Arc<DeliveryState>,
    events: Events,
}

/// One client of the library with the thread that serves it.
struct Client {
    producer: Arc<BaseProducer<DeliveryContext>>,
    ending: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Producer {
    /// Begins to make the first client. It is warm once [`Self::wait_warm`] says so.
    pub(super) fn start(state: Arc<DeliveryState>, events: Events) -> Result<Self, KafkaOpenError> {
        let first = Client::start(&state, &events)?;
        Ok(Self { slot: RwLock::new(Some(first)), state, events })
    }

    /// Blocks until the brokers have given the producer its number.
    pub(super) fn wait_warm(&self) -> Result<(), KafkaOpenError> {
        let slot = self.slot.read().unwrap_or_else(PoisonError::into_inner);
        slot.as_ref().map_or(Ok(()), |client| client.wait_warm(&self.events))
    }

    pub(super) fn state(&self) -> &DeliveryState {
        &self.state
    }

    /// Whether the client has failed for good.
    pub(super) fn has_failed(&self) -> bool {
        let slot = self.slot.read().unwrap_or_else(PoisonError::into_inner);
        slot.as_ref().is_some_and(|client| client.producer.context().has_failed.load(Ordering::Acquire))
    }

    /// Blocks until a new client is warm, then lets it take over from the old one, which is flushed in the background.
    /// `false` if the old one stays.
    pub(super) fn replace(&self, reason: &str) -> bool {
        if self.has_failed() {
            self.state.producer_failed();
        }
        let next = match Client::start(&self.state, &self.events) {
            Ok(next) => next,
            Err(error) => {
                warn!(
                    error = crate::telemetry::chain(&error),
                    reason, "no new producer can be made; the old one stays"
                );
                return false;
            }
        };
        // One that is not warm yet is still better than one that has failed; one that works is kept.
        if let Err(error) = next.wait_warm(&self.events)
            && !self.has_failed()
        {
            warn!(
                error = crate::telemetry::chain(&error),
                reason, "the new producer does not get ready; the old one stays"
            );
            next.retire();
            return false;
        }
        let mut slot = self.slot.write().unwrap_or_else(PoisonError::into_inner);
        if slot.is_none() {
            // The log was closed meanwhile.
            drop(slot);
            next.retire();
            return true;
        }
        let old = slot.replace(next);
        drop(slot);
        self.events.metrics().clients_replaced.inc();
        info!(reason, "a new producer has taken over");
        if let Some(old) = old {
            old.retire();
        }
        true
    }

    /// Refuses further appends, and blocks until what was sent is acknowledged or given up.
    pub(super) fn close(&self) {
        let client = self.slot.write().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(client) = client {
            let thread = client.retire();
            if thread.join().is_err() {
                tracing::error!("the producer's thread panicked");
            }
        }
    }

    /// See [`crate::log::Log::append`].
    pub(super) async fn append(&self, topic: &KnownTopic, to: AppendTo, value: &[u8]) -> Result<Appended, AppendError> {
        check_size(value)?;
        let room = self.reserve(1, value.len())?;
        let partition = match to {
            AppendTo::Any => None,
            AppendTo::Partition(partition) => Some(partition),
        };
        let (done, appended) = oneshot::channel();
        let delivery = Box::new(Delivery { waiting: Waiting::One(done), queued_at: Instant::now(), room });
        self.send(topic, partition, value, delivery).await?;
        appended.await.map_err(|_| AppendError::Closed)?
    }

    /// See [`crate::log::Log::append_batch`].
    pub(super) async fn append_batch(
        &self,
        topic: &KnownTopic,
        records: &[(u32, Vec<u8>)],
    ) -> Result<Vec<Appended>, AppendError> {
        let mut bytes = 0_usize;
        for (_, value) in records {
            check_size(value)?;
            bytes = bytes.saturating_add(value.len());
        }
        if bytes > QUEUE_BYTES_MAX || records.len() > QUEUE_RECORDS_MAX {
            return Err(AppendError::TooLarge { bytes, bytes_max: QUEUE_BYTES_MAX });
        }
        let mut room = self.reserve(records.len(), bytes)?;
        let (batch, outcome) = BatchWaiting::new(records.len());
        let queued_at = Instant::now();
        for (index, (partition, value)) in records.iter().enumerate() {
            let waiting = Waiting::Part { batch: batch.clone(), index };
            let delivery = Box::new(Delivery { waiting, queued_at, room: room.split(value.len()) });
            self.send(topic, Some(*partition), value, delivery).await?;
            if index % RECORDS_A_TURN == RECORDS_A_TURN - 1 {
                task::yield_now().await;
            }
        }
        outcome.await.map_err(|_| AppendError::Closed)?
    }

    fn reserve(&self, records: usize, bytes: usize) -> Result<Reservation, AppendError> {
        self.state.backlog.reserve(records, bytes).ok_or_else(|| {
            self.events.metrics().overloaded.inc();
            AppendError::Overloaded
        })
    }

    /// Hands a record to the client; waits only where the client has yet to learn of a new topic or partition.
    async fn send(
        &self,
        topic: &KnownTopic,
        partition: Option<u32>,
        value: &[u8],
        mut delivery: Box<Delivery>,
    ) -> Result<(), AppendError> {
        let deadline = Instant::now() + LEARN_TIMEOUT;
        loop {
            let error;
            (error, delivery) = match self.try_send(topic, partition, value, delivery) {
                Ok(()) => return Ok(()),
                Err(Some(refused)) => refused,
                Err(None) => return Err(AppendError::Closed),
            };
            if errors::kind(&error) != Kind::Unknown || Instant::now() >= deadline {
                let number = partition.map_or(-1, partition_number);
                return Err(self.state.refused(&error, &topic.name, number, value.len(), &self.events));
            }
            tokio::time::sleep(LEARN_PAUSE).await;
        }
    }

    /// `Err(None)` means that there is no client any more.
    fn try_send(
        &self,
        topic: &KnownTopic,
        partition: Option<u32>,
        value: &[u8],
        delivery: Box<Delivery>,
    ) -> Result<(), Option<(KafkaError, Box<Delivery>)>> {
        let slot = self.slot.read().unwrap_or_else(PoisonError::into_inner);
        let Some(client) = slot.as_ref() else { return Err(None) };
        let mut record = BaseRecord::<(), [u8], Box<Delivery>>::with_opaque_to(&topic.name, delivery).payload(value);
        record.partition = partition.map(partition_number);
        client.producer.send(record).map_err(|(error, record)| Some((error, record.delivery_opaque)))
    }
}

impl fmt::Debug for Producer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer").field("state", &self.state).finish_non_exhaustive()
    }
}

impl Client {
    fn start(state: &Arc<DeliveryState>, events: &Events) -> Result<Self, KafkaOpenError> {
        let settings = state.settings.producer()?;
        let context = DeliveryContext::new(events.clone(), state.clone());
        let producer = BaseProducer::from_config_and_context(&settings, context)
            .map_err(|error| KafkaOpenError::Client { problem: errors::words(&error) })?;
        let producer = Arc::new(producer);
        let ending = Arc::new(AtomicBool::new(false));
        let thread =
            poll_thread(producer.clone(), ending.clone()).map_err(|source| KafkaOpenError::Thread { source })?;
        Ok(Self { producer, ending, thread })
    }

    fn wait_warm(&self, events: &Events) -> Result<(), KafkaOpenError> {
        let began = Instant::now();
        let context = self.producer.context();
        while !context.is_warm.load(Ordering::Acquire) {
            if context.has_failed.load(Ordering::Acquire) || began.elapsed() >= WARM_TIMEOUT {
                return Err(KafkaOpenError::Producer { waited: began.elapsed(), cause: events.cause_words() });
            }
            thread::sleep(WARM_PAUSE);
        }
        Ok(())
    }

    /// Lets the client end once everything it holds is acknowledged or given up.
    fn retire(self) -> JoinHandle<()> {
        self.ending.store(true, Ordering::Release);
        self.thread
    }
}

/// Serves a producer's events until it is to end and has nothing left, then drops it.
fn poll_thread(producer: Arc<BaseProducer<DeliveryContext>>, ending: Arc<AtomicBool>) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name("kafka-producer".to_owned()).spawn(move || {
        let mut ending_since = None;
        loop {
            producer.poll(POLL);
            if ending.load(Ordering::Acquire) {
                let since = *ending_since.get_or_insert_with(Instant::now);
                if producer.in_flight_count() == 0 || since.elapsed() >= FLUSH_TIMEOUT {
                    return;
                }
            }
        }
    })
}

const fn check_size(value: &[u8]) -> Result<(), AppendError> {
    if value.len() > RECORD_BYTES_MAX {
        return Err(AppendError::TooLarge { bytes: value.len(), bytes_max: RECORD_BYTES_MAX });
    }
    Ok(())
}

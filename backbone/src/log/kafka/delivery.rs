//! From a record handed to the client library to its acknowledgement.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use pnyx_core::{id::Place, time::TimestampMs};
use prometheus_client::metrics::gauge::Gauge;
use rdkafka::{
    ClientContext, Message as _, Timestamp,
    config::RDKafkaLogLevel,
    error::KafkaError,
    message::BorrowedMessage,
    producer::{DeliveryResult, ProducerContext},
    types::RDKafkaErrorCode,
};
use tokio::sync::oneshot;

use super::{
    backlog::{Backlog, Reservation},
    errors::{self, Kind},
    events::Events,
    failing::Failing,
    flights::Seat,
    metrics::KafkaMetrics,
    settings::Settings,
    topics::Topics,
};
use crate::{
    clock,
    log::{AppendError, Appended},
};

/// Append times may be this far ahead of our clock before it is worth a word: more than clocks in a data centre differ.
const CLOCK_AHEAD_MIN: Duration = Duration::from_secs(10);

/// A new producer that fails for good so often in a row, without an acknowledgement between, will not be mended by yet
/// another one.
const FATAL_IN_ROW_MAX: u32 = 3;

/// What all producers of a process share, one after the other.
#[derive(Debug)]
pub(super) struct DeliveryState {
    pub(super) backlog: Arc<Backlog>,
    pub(super) topics: Arc<Topics>,
    pub(super) settings: Settings,
    allowed: AtomicBool,
    fatal_in_row: AtomicU32,
    newest_ms: AtomicU64,
    /// Of records that the brokers did not acknowledge in time.
    pub(super) unacknowledged: Failing,
}

/// One record on its way, and who waits for it.
#[derive(Debug)]
pub(super) enum Delivery {
    /// One caller for one record.
    One(OneWaiting),
    /// A caller of many.
    Part {
        /// The whole.
        batch: Arc<BatchWaiting>,
        /// The record's position in it.
        index: usize,
    },
}

/// A caller that waits for one record.
#[derive(Debug)]
pub(super) struct OneWaiting {
    pub(super) done: oneshot::Sender<Result<Appended, AppendError>>,
    /// When the caller came.
    pub(super) queued_at: Instant,
    /// Held until the record's fate is known.
    pub(super) room: Reservation,
    /// As above.
    pub(super) seat: Seat,
}

/// A caller that waits for many records. What is counted and reserved is so once for all of them.
#[derive(Debug)]
pub(super) struct BatchWaiting {
    queued_at: Instant,
    inner: Mutex<BatchInner>,
}

type BatchOutcome = Result<Vec<Appended>, AppendError>;

#[derive(Debug)]
struct BatchInner {
    appended: Vec<Option<Appended>>,
    /// How many of them have no place yet.
    missing: usize,
    /// How many are on their way.
    undelivered: usize,
    done: Option<oneshot::Sender<BatchOutcome>>,
    /// Held until the fate of all is known, or of the last of those that were sent.
    room: Option<Reservation>,
    /// As above: its partitions are acknowledged one by one.
    seat: Option<Seat>,
}

impl BatchWaiting {
    pub(super) fn new(
        records: usize,
        queued_at: Instant,
        room: Reservation,
        seat: Seat,
    ) -> (Arc<Self>, oneshot::Receiver<BatchOutcome>) {
        let (done, outcome) = oneshot::channel();
        let inner = BatchInner {
            appended: vec![None; records],
            missing: records,
            undelivered: records,
            done: Some(done),
            room: Some(room),
            seat: Some(seat),
        };
        (Arc::new(Self { queued_at, inner: Mutex::new(inner) }), outcome)
    }

    fn complete(&self, index: usize, outcome: Result<Appended, AppendError>, metrics: &KafkaMetrics) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.undelivered = inner.undelivered.saturating_sub(1);
        if inner.undelivered == 0 {
            // Before the caller hears of it: what it asks then no longer counts these records as waiting.
            inner.room = None;
            inner.seat = None;
        }
        match outcome {
            Ok(appended) => {
                if let Some(slot) = inner.appended.get_mut(index) {
                    *slot = Some(appended);
                }
                inner.missing = inner.missing.saturating_sub(1);
                if inner.missing > 0 {
                    return;
                }
                metrics.observe_append(self.queued_at.elapsed(), inner.appended.len());
                let all = std::mem::take(&mut inner.appended).into_iter().flatten().collect();
                if let Some(done) = inner.done.take() {
                    // Nobody listens any more if the caller has gone away; the records stay.
                    let _ = done.send(Ok(all));
                }
            }
            Err(error) => {
                // The first failure is the answer; what else becomes of the batch no longer matters.
                if let Some(done) = inner.done.take() {
                    let _ = done.send(Err(error));
                }
            }
        }
    }
}

impl Delivery {
    fn complete(self, outcome: Result<Appended, AppendError>, metrics: &KafkaMetrics) {
        match self {
            Self::One(OneWaiting { done, queued_at, room, seat }) => {
                if outcome.is_ok() {
                    metrics.observe_append(queued_at.elapsed(), 1);
                }
                // Those who wait for the next flight have less to do than the caller. As above: the room before the caller
                // hears of it, who takes nothing back by having gone away.
                drop(seat);
                drop(room);
                drop(done.send(outcome));
            }
            Self::Part { batch, index } => batch.complete(index, outcome, metrics),
        }
    }
}

impl DeliveryState {
    pub(super) const fn new(backlog: Arc<Backlog>, topics: Arc<Topics>, settings: Settings) -> Self {
        Self {
            backlog,
            topics,
            settings,
            allowed: AtomicBool::new(true),
            fatal_in_row: AtomicU32::new(0),
            newest_ms: AtomicU64::new(0),
            unacknowledged: Failing::new(),
        }
    }

    /// Whether the cluster lets this process append, as far as is known.
    pub(super) fn is_writable(&self) -> bool {
        self.allowed.load(Ordering::Relaxed) && self.fatal_in_row.load(Ordering::Relaxed) < FATAL_IN_ROW_MAX
    }

    /// Notes that a producer failed for good.
    pub(super) fn producer_failed(&self) {
        self.fatal_in_row.fetch_add(1, Ordering::Relaxed);
    }

    /// See [`crate::log::Log::clock_ahead`]. Keeps the gauge, too: whoever asks does so about every second, while records
    /// are acknowledged by the thousand.
    pub(super) fn clock_ahead(&self, gauge: &Gauge) -> Option<Duration> {
        let newest = TimestampMs(self.newest_ms.load(Ordering::Relaxed));
        let ahead = Duration::from_millis(newest.saturating_since_ms(clock::now()));
        gauge.set(i64::try_from(ahead.as_secs()).unwrap_or(i64::MAX));
        (ahead >= CLOCK_AHEAD_MIN).then_some(ahead)
    }

    fn acknowledged(&self, message: &BorrowedMessage<'_>) -> Result<Appended, AppendError> {
        let failed = |words: &str| AppendError::Failed { source: errors::problem(words) };
        let (Ok(partition), Ok(offset)) = (u32::try_from(message.partition()), u64::try_from(message.offset())) else {
            // The broker knew the record already but not where: it is in the log, and there is no receipt for it.
            return Err(failed("the brokers acknowledged the record without its offset"));
        };
        let Timestamp::LogAppendTime(appended_at) = message.timestamp() else {
            return Err(failed("the topic's records do not carry the log's append time"));
        };
        let appended_at = TimestampMs(u64::try_from(appended_at).unwrap_or(0));
        self.allowed.store(true, Ordering::Relaxed);
        self.fatal_in_row.store(0, Ordering::Relaxed);
        self.newest_ms.store(appended_at.0, Ordering::Relaxed);
        self.unacknowledged.forget();
        Ok(Appended { place: Place { partition, offset }, appended_at })
    }

    /// What the caller hears of a record that was not acknowledged.
    pub(super) fn refused(
        &self,
        error: &KafkaError,
        name: &str,
        partition: i32,
        bytes: usize,
        events: &Events,
    ) -> AppendError {
        let kind = errors::kind(error);
        events.metrics().append_failed(kind);
        match kind {
            Kind::QueueFull => AppendError::Overloaded,
            Kind::TooLarge => AppendError::TooLarge { bytes, bytes_max: crate::log::RECORD_BYTES_MAX },
            Kind::Unknown => match self.settings.topic_of(name) {
                Some(topic) if matches!(error.rdkafka_error_code(), Some(RDKafkaErrorCode::UnknownPartition)) => {
                    AppendError::UnknownPartition { topic, partition: u32::try_from(partition).unwrap_or(0) }
                }
                Some(topic) => {
                    self.topics.forget(&topic);
                    AppendError::UnknownTopic { topic }
                }
                None => AppendError::Failed { source: errors::backend(error) },
            },
            Kind::NotAllowed => {
                self.allowed.store(false, Ordering::Relaxed);
                AppendError::Failed { source: errors::backend(error) }
            }
            Kind::Transient | Kind::Fatal => {
                self.unacknowledged.note(true);
                let because = events.cause().map_or_else(String::new, |cause| format!("; {}", cause.words));
                AppendError::Failed { source: errors::problem(format!("{}{because}", errors::words(error))) }
            }
        }
    }
}

/// What one producer reports to.
pub(super) struct DeliveryContext {
    pub(super) events: Events,
    pub(super) state: Arc<DeliveryState>,
    /// The brokers have given it its number.
    pub(super) is_warm: AtomicBool,
    /// It is of no more use.
    pub(super) has_failed: AtomicBool,
}

impl DeliveryContext {
    pub(super) const fn new(events: Events, state: Arc<DeliveryState>) -> Self {
        Self { events, state, is_warm: AtomicBool::new(false), has_failed: AtomicBool::new(false) }
    }
}

impl ClientContext for DeliveryContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        if facility == "GETPID" && message.contains("Acquired PID") {
            self.is_warm.store(true, Ordering::Release);
        }
        self.events.on_log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if errors::kind(&error) == Kind::Fatal {
            self.has_failed.store(true, Ordering::Release);
        }
        self.events.on_error(&error, reason);
    }
}

impl ProducerContext for DeliveryContext {
    type DeliveryOpaque = Box<Delivery>;

    /// Runs on the producer's own thread. Wakes whoever waits and never blocks.
    fn delivery(&self, result: &DeliveryResult<'_>, delivery: Box<Delivery>) {
        let outcome = match result {
            Ok(message) => self.state.acknowledged(message),
            Err((error, message)) => Err(self.state.refused(
                error,
                message.topic(),
                message.partition(),
                message.payload_len(),
                &self.events,
            )),
        };
        delivery.complete(outcome, self.events.metrics());
    }
}

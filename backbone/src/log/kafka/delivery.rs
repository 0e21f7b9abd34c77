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
}

/// One record on its way.
#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) waiting: Waiting,
    pub(super) queued_at: Instant,
    /// Held until the record's fate is known, and given back before anybody hears of that.
    pub(super) room: Reservation,
}

/// Who waits for it.
#[derive(Debug)]
pub(super) enum Waiting {
    /// One caller for one record.
    One(oneshot::Sender<Result<Appended, AppendError>>),
    /// A caller of many.
    Part {
        /// The whole.
        batch: Arc<BatchWaiting>,
        /// The record's position in it.
        index: usize,
    },
}

/// A caller that waits for many records.
#[derive(Debug)]
pub(super) struct BatchWaiting {
    inner: Mutex<BatchInner>,
}

type BatchOutcome = Result<Vec<Appended>, AppendError>;

#[derive(Debug)]
struct BatchInner {
    appended: Vec<Option<Appended>>,
    missing: usize,
    done: Option<oneshot::Sender<BatchOutcome>>,
}

impl BatchWaiting {
    pub(super) fn new(records: usize) -> (Arc<Self>, oneshot::Receiver<BatchOutcome>) {
        let (done, outcome) = oneshot::channel();
        let inner = BatchInner { appended: vec![None; records], missing: records, done: Some(done) };
        (Arc::new(Self { inner: Mutex::new(inner) }), outcome)
    }

    fn complete(&self, index: usize, outcome: Result<Appended, AppendError>) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        match outcome {
            Ok(appended) => {
                if let Some(slot) = inner.appended.get_mut(index) {
                    *slot = Some(appended);
                }
                inner.missing = inner.missing.saturating_sub(1);
                if inner.missing > 0 {
                    return;
                }
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

impl Waiting {
    pub(super) fn complete(self, outcome: Result<Appended, AppendError>) {
        match self {
            // As above: a caller that has gone away takes nothing back.
            Self::One(done) => drop(done.send(outcome)),
            Self::Part { batch, index } => batch.complete(index, outcome),
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
        let Delivery { waiting, queued_at, room } = *delivery;
        let outcome = match result {
            Ok(message) => {
                self.events.metrics().observe_append(queued_at.elapsed());
                self.state.acknowledged(message)
            }
            Err((error, message)) => Err(self.state.refused(
                error,
                message.topic(),
                message.partition(),
                message.payload_len(),
                &self.events,
            )),
        };
        drop(room);
        waiting.complete(outcome);
    }
}

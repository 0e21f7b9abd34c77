//! What the clients of the cluster say about themselves: counted, kept as the cause of what fails, and logged at a
//! bounded rate.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use rdkafka::{
    ClientContext, config::RDKafkaLogLevel, consumer::ConsumerContext, error::KafkaError, types::RDKafkaErrorCode,
};
use tracing::{debug, warn};

use super::metrics::KafkaMetrics;

/// A client whose brokers are away says so many times a second; one line in this time is enough for people.
const WARNING_INTERVAL: Duration = Duration::from_secs(10);

/// What the library calls a connection that failed.
const CONNECTION_FAILED: &str = "FAIL";

/// What stands behind a failure. Later ones say more: a wrong password also shows as a lost connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum CauseKind {
    /// No broker is there.
    Brokers,
    /// No connection.
    Connection,
    /// No such host.
    Name,
    /// TLS.
    Tls,
    /// User or password.
    Credentials,
}

/// The most telling thing a client has said since it was last asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cause {
    pub(super) kind: CauseKind,
    pub(super) words: String,
}

/// Collects what clients of one kind say. Cheap to clone.
#[derive(Clone)]
pub(super) struct Events {
    inner: Arc<Inner>,
}

struct Inner {
    client: &'static str,
    metrics: KafkaMetrics,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    cause: Option<Cause>,
    warned_at: Option<Instant>,
    unwarned: u64,
}

impl Events {
    pub(super) fn new(client: &'static str, metrics: KafkaMetrics) -> Self {
        Self { inner: Arc::new(Inner { client, metrics, state: Mutex::default() }) }
    }

    /// The most telling cause so far.
    pub(super) fn cause(&self) -> Option<Cause> {
        self.lock().cause.clone()
    }

    /// Its words, or that there are none.
    pub(super) fn cause_words(&self) -> String {
        self.cause().map_or_else(|| "the client gives no cause".to_owned(), |cause| cause.words)
    }

    /// Forgets causes: what comes now is about what comes now.
    pub(super) fn forget(&self) {
        self.lock().cause = None;
    }

    pub(super) fn metrics(&self) -> &KafkaMetrics {
        &self.inner.metrics
    }

    pub(super) fn on_log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        if facility == CONNECTION_FAILED {
            // Some are told here alone, such as that the broker wanted TLS.
            self.note(CauseKind::Connection, message);
        }
        match level {
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical | RDKafkaLogLevel::Error => {
                self.warn(message);
            }
            RDKafkaLogLevel::Warning | RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info | RDKafkaLogLevel::Debug => {
                debug!(client = self.inner.client, facility, "{message}");
            }
        }
    }

    pub(super) fn on_error(&self, error: &KafkaError, reason: &str) {
        self.inner.metrics.client_error(self.inner.client);
        let kind = match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SaslAuthenticationFailed) => {
                CauseKind::Credentials
            }
            Some(RDKafkaErrorCode::SSL) => CauseKind::Tls,
            Some(RDKafkaErrorCode::Resolve) => CauseKind::Name,
            // "1/1 brokers are down" says less than what was said before.
            Some(RDKafkaErrorCode::AllBrokersDown) => CauseKind::Brokers,
            _ => CauseKind::Connection,
        };
        self.note(kind, reason);
        self.warn(reason);
    }

    fn note(&self, kind: CauseKind, words: &str) {
        let mut state = self.lock();
        if state.cause.as_ref().is_none_or(|known| kind >= known.kind) {
            state.cause = Some(Cause { kind, words: words.to_owned() });
        }
    }

    fn warn(&self, words: &str) {
        let client = self.inner.client;
        let mut state = self.lock();
        if state.warned_at.is_some_and(|at| at.elapsed() < WARNING_INTERVAL) {
            state.unwarned = state.unwarned.saturating_add(1);
            drop(state);
            debug!(client, "{words}");
            return;
        }
        state.warned_at = Some(Instant::now());
        let unlogged = std::mem::take(&mut state.unwarned);
        drop(state);
        warn!(client, unlogged, "kafka client: {words}");
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").field("client", &self.inner.client).finish_non_exhaustive()
    }
}

impl ClientContext for Events {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.on_log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.on_error(&error, reason);
    }
}

/// For consumers that belong to no group in earnest.
impl ConsumerContext for Events {}

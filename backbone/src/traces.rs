//! Traces: what became of a ballot and when, from the edge to the tally, told to an OpenTelemetry collector.
//!
//! A ballot's trace is found by its digest: the trace's id is the digest's first 16 bytes, and the ids of its spans follow
//! from the rest of the digest and from where its record lies. So no step hands anything to the next, the log's records
//! carry nothing for it, and whoever knows a digest can ask for its trace. Whether a ballot is traced follows from its
//! digest too, so that all processes trace the same ones.
//!
//! One for a process, as log lines are: a step is told from wherever it is taken. Until [`start`] is called, and in every
//! process that is not asked to trace, telling costs one look whether it was.

mod collector;
mod config;
mod otlp;
mod sender;
mod span;

pub use config::{Endpoint, EndpointError, HeadersError, SampleRatio, TracesConfig};
pub use span::Step;

use std::{
    sync::{Mutex, OnceLock, PoisonError},
    time::{Duration, SystemTime},
};

use pnyx_core::{
    id::{Digest, Place},
    verdict::{Ruling, Verdict},
};
use thiserror::Error;
use tokio::{sync::mpsc, task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use self::{
    collector::Collector,
    sender::{Sender, TracesMetrics},
    span::Span,
};
use crate::telemetry::Metrics;

/// Spans that wait to be sent: some seconds of thousands of ballots, and at about 150 bytes each little beside what a
/// process needs anyway. More are dropped and counted, nobody ever waits.
const QUEUE_SPANS_MAX: usize = 16 * 1024;

/// How long [`close`] waits for the last spans: they are few, and within it a supervisor's patience is left for the log.
const CLOSE_WAIT_MAX: Duration = Duration::from_secs(2);

static TRACES: OnceLock<Traces> = OnceLock::new();

/// Why traces cannot be sent.
#[derive(Debug, Error)]
pub enum TracesError {
    /// The headers for the collector.
    #[error("headers for the trace collector")]
    Headers(#[source] HeadersError),
    /// No HTTP client.
    #[error("HTTP client for the trace collector")]
    Client(#[source] reqwest::Error),
    /// Traces of this process go elsewhere already.
    #[error("traces were started twice")]
    Started,
}

/// Where spans of this process go.
#[derive(Debug)]
struct Traces {
    sample: SampleRatio,
    spans: mpsc::Sender<Span>,
    metrics: TracesMetrics,
    closing: CancellationToken,
    task: Mutex<Option<JoinHandle<()>>>,
}

/// Sends the spans of this process, which the collector sees as service `pnyx-<name>`. Once a process, in its runtime. That
/// the collector does not answer is no error here or later: it is logged and counted.
pub async fn start(config: TracesConfig, name: &str, metrics: &Metrics) -> Result<(), TracesError> {
    info!(collector = %config.endpoint, "traces are sent");
    let traces = Traces::start(config, name, metrics).await?;
    TRACES.set(traces).map_err(|_| TracesError::Started)
}

/// Whether any ballot is traced.
pub fn is_on() -> bool {
    TRACES.get().is_some()
}

/// Tells of a step that was taken just now and took `elapsed`, if the ballot is one of those that are traced. `record` is
/// where the ballot's record lies. Never waits.
pub fn note(digest: Digest, record: Place, step: Step, elapsed: Duration) {
    if let Some(traces) = TRACES.get() {
        traces.note(digest, record, step, elapsed);
    }
}

/// Sends what is queued, for [`CLOSE_WAIT_MAX`] at most. What is told afterwards is dropped.
pub async fn close() {
    if let Some(traces) = TRACES.get() {
        traces.close().await;
    }
}

/// What is said of a verdict wherever a ballot is followed: its digest, where the record could be read that far, and the
/// ruling's name.
pub fn of_verdict(verdict: &Verdict) -> (Option<Digest>, &'static str) {
    match &verdict.ruling {
        Ruling::Counts(ballot) => (Some(ballot.digest), "counts"),
        Ruling::Rejected(rejected) => (rejected.digest, rejected.rejection.name()),
    }
}

impl Traces {
    async fn start(config: TracesConfig, name: &str, metrics: &Metrics) -> Result<Self, TracesError> {
        let TracesConfig { endpoint, sample, headers_file } = config;
        let collector = Collector::new(endpoint, headers_file).map_err(TracesError::Client)?;
        collector.headers().await.map_err(TracesError::Headers)?;
        let (spans, queue) = mpsc::channel(QUEUE_SPANS_MAX);
        let metrics = metrics.register(TracesMetrics::register);
        let closing = CancellationToken::new();
        let sender = Sender::new(format!("pnyx-{name}"), collector, metrics.clone(), closing.clone());
        let task = Mutex::new(Some(tokio::spawn(sender.run(queue))));
        Ok(Self { sample, spans, metrics, closing, task })
    }

    fn note(&self, digest: Digest, record: Place, step: Step, elapsed: Duration) {
        if !self.sample.takes(digest) {
            return;
        }
        let ended = SystemTime::now();
        let began = ended.checked_sub(elapsed).unwrap_or(ended);
        if self.spans.try_send(Span { digest, record, step, began, ended }).is_err() {
            self.metrics.dropped.inc();
        }
    }

    async fn close(&self) {
        self.closing.cancel();
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut task) = task else { return };
        if timeout(CLOSE_WAIT_MAX, &mut task).await.is_err() {
            task.abort();
            warn!("the collector of traces did not take the last ones in time, they are lost");
        }
    }
}

#[cfg(test)]
mod tests;

//! Sends queued spans in batches, in a task that nobody waits for before the process ends.

use std::time::Duration;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{
    collector::{Collector, ExportError},
    otlp,
    span::Span,
};
use crate::telemetry;

/// Most spans of one request: about 300 KB.
const BATCH_SPANS_MAX: usize = 1024;

/// How long spans wait for others to share a request with: nobody watches a trace sooner.
const LINGER: Duration = Duration::from_millis(200);

/// First pause after a request that failed.
const PAUSE_MIN: Duration = Duration::from_millis(500);

/// Longest pause: a collector that is back is used before anybody has looked why nothing comes.
const PAUSE_MAX: Duration = Duration::from_secs(15);

/// How often a collector that fails is mentioned in the log.
const WARN_INTERVAL: Duration = Duration::from_secs(60);

/// What became of spans.
#[derive(Debug, Clone)]
pub(super) struct TracesMetrics {
    /// The collector took them.
    pub(super) sent: Counter,
    /// The queue was full.
    pub(super) dropped: Counter,
    /// The collector refused them, or did not answer before the process ended.
    pub(super) refused: Counter,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: &'static str,
}

impl TracesMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let spans = Family::<OutcomeLabels, Counter>::default();
        registry.register(
            "traces_spans",
            "Spans of ballots, by what became of them: sent, dropped (queue full), refused (by the collector)",
            spans.clone(),
        );
        let counter = |outcome| spans.get_or_create_owned(&OutcomeLabels { outcome });
        Self { sent: counter("sent"), dropped: counter("dropped"), refused: counter("refused") }
    }
}

/// Sends spans of a service.
pub(super) struct Sender {
    service: String,
    collector: Collector,
    metrics: TracesMetrics,
    closing: CancellationToken,
    /// When a failure was last mentioned.
    warned_at: Option<Instant>,
    /// It was mentioned, and nothing was taken since.
    is_failing: bool,
}

impl Sender {
    pub(super) fn new(
        service: String,
        collector: Collector,
        metrics: TracesMetrics,
        closing: CancellationToken,
    ) -> Self {
        Self { service, collector, metrics, closing, warned_at: None, is_failing: false }
    }

    /// Until it is closing and the queue is empty.
    pub(super) async fn run(mut self, mut queue: mpsc::Receiver<Span>) {
        let mut batch = Vec::with_capacity(BATCH_SPANS_MAX);
        loop {
            tokio::select! {
                // Nothing comes only from a queue that is closed and empty.
                received = queue.recv_many(&mut batch, BATCH_SPANS_MAX) => {
                    if received == 0 {
                        return;
                    }
                }
                () = self.closing.cancelled(), if !queue.is_closed() => {
                    queue.close();
                    continue;
                }
            }
            if batch.len() < BATCH_SPANS_MAX {
                self.pause(LINGER).await;
                while batch.len() < BATCH_SPANS_MAX
                    && let Ok(span) = queue.try_recv()
                {
                    batch.push(span);
                }
            }
            self.deliver(&batch).await;
            batch.clear();
        }
    }

    /// Until the collector has it, refuses it for good, or the process ends; meanwhile the queue takes what comes.
    async fn deliver(&mut self, batch: &[Span]) {
        let spans = batch.len() as u64;
        let body = otlp::encode(&self.service, batch);
        let mut pause = PAUSE_MIN;
        loop {
            let problem = match self.collector.post(body.clone()).await {
                Ok(()) => {
                    self.metrics.sent.inc_by(spans);
                    if std::mem::take(&mut self.is_failing) {
                        info!(collector = %self.collector.endpoint, "traces are sent again");
                    }
                    return;
                }
                Err(problem) => problem,
            };
            self.warn(&problem);
            if let ExportError::Refused { rejected, .. } = problem {
                let rejected = rejected.min(spans);
                self.metrics.refused.inc_by(rejected);
                self.metrics.sent.inc_by(spans - rejected);
                return;
            }
            if !problem.is_transient() || self.closing.is_cancelled() {
                self.metrics.refused.inc_by(spans);
                return;
            }
            self.pause(pause).await;
            pause = pause.saturating_mul(2).min(PAUSE_MAX);
        }
    }

    async fn pause(&self, pause: Duration) {
        tokio::select! {
            () = self.closing.cancelled() => {}
            () = sleep(pause) => {}
        }
    }

    fn warn(&mut self, problem: &ExportError) {
        if self.warned_at.is_none_or(|warned_at| warned_at.elapsed() >= WARN_INTERVAL) {
            self.warned_at = Some(Instant::now());
            self.is_failing = true;
            let dropped = self.metrics.dropped.get();
            warn!(
                collector = %self.collector.endpoint, error = telemetry::chain(problem), dropped,
                "traces cannot be sent; ballots are not concerned"
            );
        }
    }
}

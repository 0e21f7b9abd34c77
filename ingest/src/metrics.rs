//! What the edge counts: requests by outcome, how long they took, how many are in flight.

use std::time::Duration;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};

use crate::answer::Refused;

/// The outcome of a ballot that was acknowledged.
const ACCEPTED: &str = "accepted";

/// The outcome of a request whose client went away before the answer.
const ABANDONED: &str = "abandoned";

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

#[derive(Debug, Clone)]
pub(crate) struct IngestMetrics {
    requests: Family<OutcomeLabel, Counter>,
    request_seconds: Histogram,
    in_flight: Gauge,
    pub(crate) receipts_per_signature: Histogram,
}

/// Counts one request, whatever becomes of it.
#[derive(Debug)]
pub(crate) struct RequestInFlight {
    metrics: IngestMetrics,
    started: std::time::Instant,
    outcome: &'static str,
}

impl IngestMetrics {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            requests: Family::default(),
            request_seconds: Histogram::new(exponential_buckets(0.000_1, 2.0, 16)),
            in_flight: Gauge::default(),
            receipts_per_signature: Histogram::new(exponential_buckets(1.0, 2.0, 9)),
        };
        // Alarms look at increases: every outcome is there from the start, at zero.
        for outcome in Refused::outcomes().chain([ACCEPTED, ABANDONED]) {
            drop(metrics.requests.get_or_create(&OutcomeLabel { outcome }));
        }
        let Self { requests, request_seconds, in_flight, receipts_per_signature } = &metrics;
        registry.register("ingest_requests", "Ballots posted, by outcome", requests.clone());
        registry.register_with_unit(
            "ingest_request",
            "Time from the head of a posted ballot to its answer",
            Unit::Seconds,
            request_seconds.clone(),
        );
        registry.register("ingest_requests_in_flight", "Posted ballots that wait for their answer", in_flight.clone());
        registry.register(
            "ingest_receipts_per_signature",
            "Receipts that share one signature",
            receipts_per_signature.clone(),
        );
        metrics
    }

    pub(crate) fn begin(&self) -> RequestInFlight {
        self.in_flight.inc();
        RequestInFlight { metrics: self.clone(), started: std::time::Instant::now(), outcome: ABANDONED }
    }
}

impl RequestInFlight {
    pub(crate) const fn set_accepted(&mut self) {
        self.outcome = ACCEPTED;
    }

    pub(crate) const fn set_refused(&mut self, refused: &Refused) {
        self.outcome = refused.outcome();
    }
}

impl Drop for RequestInFlight {
    fn drop(&mut self) {
        let Self { metrics, started, outcome } = self;
        let took: Duration = started.elapsed();
        metrics.in_flight.dec();
        metrics.requests.get_or_create(&OutcomeLabel { outcome }).inc();
        metrics.request_seconds.observe(took.as_secs_f64());
    }
}

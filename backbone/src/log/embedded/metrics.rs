//! What the embedded log counts.

use std::time::Duration;

use prometheus_client::{
    metrics::{
        counter::Counter,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};

/// The log's metrics.
#[derive(Debug, Clone)]
pub(super) struct LogMetrics {
    write_seconds: Histogram,
    records: Counter,
    /// Appends refused because the queue was full.
    pub(super) overloaded: Counter,
    /// Writes that failed.
    pub(super) failed_writes: Counter,
}

impl LogMetrics {
    pub(super) fn new() -> Self {
        Self {
            write_seconds: Histogram::new(exponential_buckets(0.000_05, 2.0, 16)),
            records: Counter::default(),
            overloaded: Counter::default(),
            failed_writes: Counter::default(),
        }
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "log_write_seconds",
            "Time of one write of the log, its sync included",
            self.write_seconds.clone(),
        );
        registry.register("log_records", "Records appended to the log", self.records.clone());
        registry.register(
            "log_overloaded",
            "Appends refused because the log's queue was full",
            self.overloaded.clone(),
        );
        registry.register(
            "log_failed_writes",
            "Writes of the log that failed: the process must be started again",
            self.failed_writes.clone(),
        );
    }

    pub(super) fn observe_write(&self, records: usize, took: Duration) {
        if records > 0 {
            self.write_seconds.observe(took.as_secs_f64());
            self.records.inc_by(records as u64);
        }
    }
}

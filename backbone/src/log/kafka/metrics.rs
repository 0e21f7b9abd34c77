//! What the log on Kafka counts.

use std::time::Duration;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};

use super::errors::Kind;

/// The log's metrics. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct KafkaMetrics {
    append_seconds: Histogram,
    records: Counter,
    /// Appends refused because the queue was full.
    pub(super) overloaded: Counter,
    failed_appends: Family<KindLabel, Counter>,
    /// Records that wait for their acknowledgement.
    pub(super) queued_records: Gauge,
    /// Their bytes.
    pub(super) queued_bytes: Gauge,
    client_errors: Family<ClientLabel, Counter>,
    rebalances: Family<GroupLabel, Counter>,
    /// Clients made anew.
    pub(super) clients_replaced: Counter,
    /// How far the newest append time is ahead of the clock.
    pub(super) clock_ahead_seconds: Gauge,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabel {
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ClientLabel {
    client: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct GroupLabel {
    group: String,
}

const fn kind_label(kind: Kind) -> KindLabel {
    let kind = match kind {
        Kind::Transient => "transient",
        Kind::Unknown => "unknown_topic",
        Kind::NotAllowed => "not_allowed",
        Kind::TooLarge => "too_large",
        Kind::QueueFull => "queue_full",
        Kind::Fatal => "fatal",
    };
    KindLabel { kind }
}

impl KafkaMetrics {
    pub(super) fn new() -> Self {
        let metrics = Self {
            append_seconds: Histogram::new(exponential_buckets(0.000_1, 2.0, 17)),
            records: Counter::default(),
            overloaded: Counter::default(),
            failed_appends: Family::default(),
            queued_records: Gauge::default(),
            queued_bytes: Gauge::default(),
            client_errors: Family::default(),
            rebalances: Family::default(),
            clients_replaced: Counter::default(),
            clock_ahead_seconds: Gauge::default(),
        };
        // Alarms begin at 0 instead of being absent.
        for kind in [Kind::Transient, Kind::Unknown, Kind::NotAllowed, Kind::TooLarge, Kind::QueueFull, Kind::Fatal] {
            drop(metrics.failed_appends.get_or_create(&kind_label(kind)));
        }
        metrics
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "log_append_seconds",
            "Time from an append, of one record or of a batch, to its acknowledgement by the brokers",
            self.append_seconds.clone(),
        );
        registry.register("log_records", "Records appended to the log", self.records.clone());
        registry.register(
            "log_overloaded",
            "Appends refused because the log's queue was full",
            self.overloaded.clone(),
        );
        registry.register(
            "log_failed_appends",
            "Records that the brokers did not acknowledge, by kind of error",
            self.failed_appends.clone(),
        );
        registry.register(
            "log_queue_records",
            "Records that wait for their acknowledgement",
            self.queued_records.clone(),
        );
        registry.register(
            "log_queue_bytes",
            "Bytes of the records that wait for their acknowledgement",
            self.queued_bytes.clone(),
        );
        registry.register(
            "log_client_errors",
            "Errors that a client of the cluster reported, lost connections above all; it goes on by itself",
            self.client_errors.clone(),
        );
        registry.register(
            "log_rebalances",
            "Changes of the partitions that a consumer group assigns to this process",
            self.rebalances.clone(),
        );
        registry.register(
            "log_clients_replaced",
            "Clients of the cluster made anew: after a fatal error, with changed credentials, or because the old ones got no answers or no records any more",
            self.clients_replaced.clone(),
        );
        registry.register(
            "log_clock_ahead_seconds",
            "How far the log's newest append time is ahead of the clock",
            self.clock_ahead_seconds.clone(),
        );
    }

    /// One append of so many records.
    pub(super) fn observe_append(&self, took: Duration, records: usize) {
        self.append_seconds.observe(took.as_secs_f64());
        self.records.inc_by(u64::try_from(records).unwrap_or(u64::MAX));
    }

    pub(super) fn append_failed(&self, kind: Kind) {
        self.failed_appends.get_or_create(&kind_label(kind)).inc();
    }

    pub(super) fn client_error(&self, client: &'static str) {
        self.client_errors.get_or_create(&ClientLabel { client }).inc();
    }

    pub(super) fn rebalanced(&self, group: &str) {
        self.rebalances.get_or_create(&GroupLabel { group: group.to_owned() }).inc();
    }
}

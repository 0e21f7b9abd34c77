//! What the verifier counts.

use std::{sync::atomic::AtomicU64, time::Duration};

use pnyx_backbone::clock;
use pnyx_core::{
    rejection::Rejection,
    time::TimestampMs,
    verdict::{Ruling, Verdict},
};
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

use crate::lag::Lag;

/// The label of records that count.
const COUNTS: &str = "counts";

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RulingLabel {
    ruling: &'static str,
}

#[derive(Debug, Clone)]
pub(crate) struct VerifierMetrics {
    records: Family<RulingLabel, Counter>,
    batch_seconds: Histogram,
    verdict_age_seconds: Histogram,
    pub(crate) waits: Counter,
    pub(crate) proposals: Gauge,
    pub(crate) power: PowerMetrics,
    lag_records: Gauge,
    oldest_age_seconds: Gauge<f64, AtomicU64>,
    lag_measured_at: Gauge,
}

/// What waits for chains.
#[derive(Debug, Clone)]
pub(crate) struct PowerMetrics {
    /// Proposals whose snapshot is not decided yet.
    pub(crate) unpinned: Gauge,
    waiting: Gauge,
    failures: Counter,
}

/// Ballots that wait for their power.
pub(crate) struct PowerWaiting {
    gauge: Gauge,
    failures: Counter,
    ballots: i64,
}

impl PowerWaiting {
    /// A chain did not answer.
    pub(crate) fn failed(&self) {
        self.failures.inc();
    }
}

impl Drop for PowerWaiting {
    fn drop(&mut self) {
        self.gauge.dec_by(self.ballots);
    }
}

impl VerifierMetrics {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            records: Family::default(),
            batch_seconds: Histogram::new(exponential_buckets(0.000_25, 2.0, 14)),
            verdict_age_seconds: Histogram::new(exponential_buckets(0.001, 2.0, 18)),
            waits: Counter::default(),
            proposals: Gauge::default(),
            power: PowerMetrics::register(registry),
            lag_records: Gauge::default(),
            oldest_age_seconds: Gauge::default(),
            lag_measured_at: Gauge::default(),
        };
        // Alarms look at increases: every ruling is there from the start, at zero.
        for ruling in Rejection::ALL.map(Rejection::name).into_iter().chain([COUNTS]) {
            drop(metrics.records.get_or_create(&RulingLabel { ruling }));
        }
        let Self {
            records,
            batch_seconds,
            verdict_age_seconds,
            waits,
            proposals,
            power: _,
            lag_records,
            oldest_age_seconds,
            lag_measured_at,
        } = &metrics;
        registry.register("verifier_records", "Records whose verdict is durable, by ruling", records.clone());
        registry.register_with_unit(
            "verifier_batch",
            "Time from reading a batch to its committed verdicts",
            Unit::Seconds,
            batch_seconds.clone(),
        );
        registry.register_with_unit(
            "verifier_verdict_age",
            "Time from a record's append to its durable verdict, the oldest record of each batch",
            Unit::Seconds,
            verdict_age_seconds.clone(),
        );
        registry.register(
            "verifier_waits",
            "Times a shard waited because the log failed or was overloaded",
            waits.clone(),
        );
        registry.register("verifier_proposals", "Proposals that have shards", proposals.clone());
        registry.register("verifier_lag_records", "Records without a committed verdict", lag_records.clone());
        registry.register_with_unit(
            "verifier_oldest_age",
            "Age of the oldest record without a committed verdict, 0 when there is none",
            Unit::Seconds,
            oldest_age_seconds.clone(),
        );
        registry.register_with_unit(
            "verifier_lag_measured_timestamp",
            "When lag and age were last measured, as Unix time: if it stands still they are not known",
            Unit::Seconds,
            lag_measured_at.clone(),
        );
        metrics
    }

    pub(crate) fn observe_batch(&self, verdicts: &[Verdict], took: Duration, now: TimestampMs) {
        for verdict in verdicts {
            let ruling = match &verdict.ruling {
                Ruling::Counts(_) => COUNTS,
                Ruling::Rejected(rejected) => rejected.rejection.name(),
            };
            self.records.get_or_create(&RulingLabel { ruling }).inc();
        }
        self.batch_seconds.observe(took.as_secs_f64());
        if let Some(oldest) = verdicts.first() {
            self.verdict_age_seconds.observe(seconds(now.saturating_since_ms(oldest.appended_at)));
        }
    }

    pub(crate) fn set_lag(&self, lag: Lag) {
        self.lag_records.set(i64::try_from(lag.records).unwrap_or(i64::MAX));
        self.oldest_age_seconds.set(seconds(lag.oldest_age_ms));
        self.lag_measured_at.set(i64::try_from(clock::now().0 / 1_000).unwrap_or(i64::MAX));
    }
}

impl PowerMetrics {
    fn register(registry: &mut Registry) -> Self {
        let metrics = Self { unpinned: Gauge::default(), waiting: Gauge::default(), failures: Counter::default() };
        let Self { unpinned, waiting, failures } = &metrics;
        registry.register(
            "verifier_unpinned_proposals",
            "Proposals whose ballots wait in the log because their chains' blocks are not decided or not configured here",
            unpinned.clone(),
        );
        registry.register(
            "verifier_power_waiting_ballots",
            "Ballots in hand whose signature is good and whose power a chain has yet to say",
            waiting.clone(),
        );
        registry.register(
            "verifier_power_failures",
            "Times a batch waited because a chain did not answer",
            failures.clone(),
        );
        metrics
    }

    /// So many ballots wait for their power until what is returned is dropped.
    pub(crate) fn wait(&self, ballots: usize) -> PowerWaiting {
        let ballots = i64::try_from(ballots).unwrap_or(i64::MAX);
        self.waiting.inc_by(ballots);
        PowerWaiting { gauge: self.waiting.clone(), failures: self.failures.clone(), ballots }
    }
}

fn seconds(milliseconds: u64) -> f64 {
    Duration::from_millis(milliseconds).as_secs_f64()
}

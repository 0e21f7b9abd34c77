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

use crate::{
    lag::{Lag, Waiting},
    shard::Stage,
};

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
    pub(crate) signatures: SignatureMetrics,
    lag: WaitingMetrics,
    lag_measured_at: Gauge,
}

/// What waits for its power.
#[derive(Debug, Clone)]
pub(crate) struct PowerMetrics {
    /// Proposals whose snapshot is not decided yet.
    pub(crate) unpinned: Gauge,
    pub(crate) waits: ChainWaits,
}

/// What waits for contracts.
#[derive(Debug, Clone)]
pub(crate) struct SignatureMetrics {
    pub(crate) waits: ChainWaits,
    deferred: Counter,
    put_back: Counter,
    lag: WaitingMetrics,
}

/// What is not committed of a kind of topic.
#[derive(Debug, Clone, Default)]
struct WaitingMetrics {
    records: Gauge,
    oldest_age_seconds: Gauge<f64, AtomicU64>,
}

/// Ballots in hand that wait for a chain, and how often it did not answer.
#[derive(Debug, Clone, Default)]
pub(crate) struct ChainWaits {
    waiting: Gauge,
    failures: Counter,
}

/// Ballots that wait for a chain until this is dropped.
pub(crate) struct WaitsForChain {
    waits: ChainWaits,
    ballots: i64,
}

impl ChainWaits {
    /// So many ballots wait until what is returned is dropped.
    pub(crate) fn wait(&self, ballots: usize) -> WaitsForChain {
        let ballots = i64::try_from(ballots).unwrap_or(i64::MAX);
        self.waiting.inc_by(ballots);
        WaitsForChain { waits: self.clone(), ballots }
    }
}

impl WaitsForChain {
    /// A chain did not answer.
    pub(crate) fn failed(&self) {
        self.waits.failures.inc();
    }
}

impl Drop for WaitsForChain {
    fn drop(&mut self) {
        self.waits.waiting.dec_by(self.ballots);
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
            signatures: SignatureMetrics::register(registry),
            lag: WaitingMetrics::default(),
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
            signatures: _,
            lag,
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
        registry.register(
            "verifier_lag_records",
            "Records without a committed verdict that are not deferred",
            lag.records.clone(),
        );
        registry.register_with_unit(
            "verifier_oldest_age",
            "Age of the oldest of them, 0 when there is none",
            Unit::Seconds,
            lag.oldest_age_seconds.clone(),
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
        if let Some(oldest) = verdicts.iter().map(|verdict| verdict.appended_at).min() {
            self.verdict_age_seconds.observe(seconds(now.saturating_since_ms(oldest)));
        }
    }

    pub(crate) fn set_lag(&self, lag: Lag) {
        let Lag { ballots, deferred } = lag;
        self.lag.set(ballots);
        self.signatures.lag.set(deferred);
        self.lag_measured_at.set(i64::try_from(clock::now().0 / 1_000).unwrap_or(i64::MAX));
    }
}

impl WaitingMetrics {
    fn set(&self, waiting: Waiting) {
        self.records.set(i64::try_from(waiting.records).unwrap_or(i64::MAX));
        self.oldest_age_seconds.set(seconds(waiting.oldest_age_ms));
    }
}

impl PowerMetrics {
    fn register(registry: &mut Registry) -> Self {
        let metrics = Self { unpinned: Gauge::default(), waits: ChainWaits::default() };
        let Self { unpinned, waits } = &metrics;
        registry.register(
            "verifier_unpinned_proposals",
            "Proposals whose ballots wait in the log because their chains' blocks are not decided or not configured here",
            unpinned.clone(),
        );
        registry.register(
            "verifier_power_waiting_ballots",
            "Ballots in hand whose voter's power a chain has yet to say",
            waits.waiting.clone(),
        );
        registry.register(
            "verifier_power_failures",
            "Times a batch waited because a chain did not say powers",
            waits.failures.clone(),
        );
        metrics
    }
}

impl SignatureMetrics {
    fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            waits: ChainWaits::default(),
            deferred: Counter::default(),
            put_back: Counter::default(),
            lag: WaitingMetrics::default(),
        };
        let Self { waits, deferred, put_back, lag } = &metrics;
        registry.register(
            "verifier_signature_waiting_ballots",
            "Ballots in hand whose voter's contract has yet to be heard",
            waits.waiting.clone(),
        );
        registry.register(
            "verifier_signature_failures",
            "Times a batch waited because a chain did not say what contracts sign",
            waits.failures.clone(),
        );
        registry.register(
            "verifier_deferred",
            "Records that were deferred to their voter's contract",
            deferred.clone(),
        );
        registry.register(
            "verifier_deferred_put_back",
            "Records that were put back behind others because their voter's contract was not heard in time",
            put_back.clone(),
        );
        registry.register(
            "verifier_deferred_lag_records",
            "Deferred records without a committed verdict",
            lag.records.clone(),
        );
        registry.register_with_unit(
            "verifier_deferred_oldest_age",
            "Age of the oldest of them since it was accepted, 0 when there is none",
            Unit::Seconds,
            lag.oldest_age_seconds.clone(),
        );
        metrics
    }

    /// So many records of a batch were appended to the deferred topic.
    pub(crate) fn observe_deferred(&self, stage: &Stage, records: usize) {
        let counter = match stage {
            Stage::Ballots => &self.deferred,
            Stage::Deferred(_) => &self.put_back,
        };
        counter.inc_by(records as u64);
    }
}

fn seconds(milliseconds: u64) -> f64 {
    Duration::from_millis(milliseconds).as_secs_f64()
}

//! The tally's metrics.

use std::{sync::atomic::AtomicU64, time::Duration};

use pnyx_backbone::clock;
use pnyx_core::chain::ChainId;
use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

/// Handles of the metrics; clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct TallyMetrics {
    /// Lanes whose owner runs in this process.
    pub(crate) lanes_owned: Gauge,
    /// Lanes of others that stood still and are owned here as well.
    pub(crate) lanes_adopted: Counter,
    /// Lanes taken up or written anew, by what was gone on from.
    restored: Family<RestoredLabels, Counter>,
    /// Verdicts read and applied to the store.
    pub(crate) verdicts: Counter,
    /// Batches that the store refused.
    pub(crate) fenced: Counter,
    /// Verdicts that cannot be one of their lane.
    pub(crate) poison: Counter,
    /// Store calls that failed.
    pub(crate) store_failures: Counter,
    /// Log calls that failed.
    pub(crate) log_failures: Counter,
    /// Verdicts in the log that are not in the store.
    lag: Gauge,
    /// Age of the oldest of them.
    oldest: Gauge<f64, AtomicU64>,
    /// When a batch was last applied.
    last_applied: Gauge<f64, AtomicU64>,
    /// Answers that were older than they should be.
    pub(crate) stale_answers: Counter,
    /// Searches through verdicts that were not made.
    pub(crate) searches_refused: Counter,
    /// Readers of event streams.
    pub(crate) event_readers: Gauge,
    /// Readers of event streams that were refused.
    pub(crate) event_readers_refused: Counter,
    /// Whether a chain that a proposal in progress reads answers.
    chain_answering: Family<ChainLabels, Gauge>,
}

/// What a lane's owner went on from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(crate) enum RestoredFrom {
    /// What the store held.
    Checkpoint,
    /// What the owner held, after the store had lost it.
    Memory,
    /// The verdicts from offset 0.
    Log,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ChainLabels {
    chain: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RestoredLabels {
    from: RestoredFrom,
}

impl TallyMetrics {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        for from in [RestoredFrom::Checkpoint, RestoredFrom::Memory, RestoredFrom::Log] {
            // Made now, so that each starts at 0.
            drop(metrics.restored.get_or_create(&RestoredLabels { from }));
        }
        let registry = registry.sub_registry_with_prefix("tally");
        metrics.register_lanes(registry);
        metrics.register_readers(registry);
        metrics
    }

    fn register_lanes(&self, registry: &mut Registry) {
        registry.register(
            "lanes_owned",
            "Lanes whose verdicts this process applies; summed over the processes, the lanes of all proposals, and those adopted",
            self.lanes_owned.clone(),
        );
        registry.register(
            "lanes_adopted",
            "Lanes that stood still elsewhere although something waited in them, and are owned here as well: incidents",
            self.lanes_adopted.clone(),
        );
        registry.register(
            "lanes_restored",
            "Lanes taken up by a new owner or written anew, by what was gone on from: Checkpoint (what the store held), \
             Memory (what the owner held after the store had lost it), Log (all verdicts from the first)",
            self.restored.clone(),
        );
        registry.register("verdicts_applied", "Verdicts applied to the store", self.verdicts.clone());
        registry.register(
            "batches_fenced",
            "Batches the store refused because the lane stood elsewhere: another owner, or lost data",
            self.fenced.clone(),
        );
        registry.register(
            "verdicts_poison",
            "Verdicts that cannot be read or cannot belong to their lane, skipped: incidents",
            self.poison.clone(),
        );
        registry.register(
            "store_failures",
            "Calls of lane owners to the store that failed and were repeated",
            self.store_failures.clone(),
        );
        registry.register(
            "log_failures",
            "Calls of lane owners to the log that failed and were repeated",
            self.log_failures.clone(),
        );
        registry.register(
            "lag_verdicts",
            "Verdicts of owned lanes that are in the log but not in the store yet",
            self.lag.clone(),
        );
        registry.register(
            "oldest_unapplied_seconds",
            "Age of the oldest verdict of owned lanes that is in the log but not in the store, 0 if there is none",
            self.oldest.clone(),
        );
        registry.register(
            "last_applied_timestamp_seconds",
            "When a batch was last applied, in seconds since the epoch; subtract it from time() for its age",
            self.last_applied.clone(),
        );
    }

    fn register_readers(&self, registry: &mut Registry) {
        registry.register(
            "stale_answers",
            "Tallies served although they were more than 2 s old, because log or store did not answer",
            self.stale_answers.clone(),
        );
        registry.register(
            "searches_refused",
            "Searches for rejected records that were not made because too many ran",
            self.searches_refused.clone(),
        );
        registry.register("event_readers", "Connected readers of event streams", self.event_readers.clone());
        registry.register(
            "event_readers_refused",
            "Readers of event streams answered 503 because as many as allowed were connected",
            self.event_readers_refused.clone(),
        );
        registry.register(
            "chain_answering",
            "1 while as many endpoints of a chain as must agree answer, 0 otherwise; only chains that a proposal without a \
             result reads",
            self.chain_answering.clone(),
        );
    }

    pub(crate) fn note_restored(&self, from: RestoredFrom) {
        self.restored.get_or_create(&RestoredLabels { from }).inc();
    }

    pub(crate) fn note_applied(&self, verdicts: u64) {
        self.verdicts.inc_by(verdicts);
        self.last_applied.set(Duration::from_millis(clock::now().0).as_secs_f64());
    }

    pub(crate) fn note_chain(&self, chain: ChainId, is_answering: bool) {
        self.chain_answering.get_or_create(&ChainLabels { chain: chain.get() }).set(i64::from(is_answering));
    }

    pub(crate) fn forget_chain(&self, chain: ChainId) {
        self.chain_answering.remove(&ChainLabels { chain: chain.get() });
    }

    pub(crate) fn note_lag(&self, verdicts: u64, oldest: Duration) {
        self.lag.set(i64::try_from(verdicts).unwrap_or(i64::MAX));
        self.oldest.set(oldest.as_secs_f64());
    }
}

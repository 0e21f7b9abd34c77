//! The tally's metrics.

use pnyx_backbone::clock;
use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge},
    registry::Registry,
};

/// Handles of the metrics; clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct TallyMetrics {
    /// Verdicts read and applied to the store.
    pub(crate) verdicts: Counter,
    /// Batches that the store refused.
    pub(crate) fenced: Counter,
    /// Lanes written anew as a whole.
    pub(crate) rebuilds: Counter,
    /// Verdicts that cannot be one of their lane.
    pub(crate) poison: Counter,
    /// Store calls that failed.
    pub(crate) store_failures: Counter,
    /// Verdicts in the log that are not in the store.
    pub(crate) lag: Gauge,
    /// When a batch was last applied.
    pub(crate) last_applied: Gauge,
    /// Readers of event streams.
    pub(crate) event_readers: Gauge,
    /// Readers of event streams that were refused.
    pub(crate) event_readers_refused: Counter,
}

impl TallyMetrics {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let registry = registry.sub_registry_with_prefix("tally");
        registry.register("verdicts_applied", "Verdicts applied to the store", metrics.verdicts.clone());
        registry.register(
            "batches_fenced",
            "Batches the store refused because the lane stood elsewhere: another owner, or lost data",
            metrics.fenced.clone(),
        );
        registry.register(
            "lanes_rebuilt",
            "Lanes counted again from the log and replaced as a whole in the store",
            metrics.rebuilds.clone(),
        );
        registry.register(
            "verdicts_poison",
            "Verdicts that cannot be read or cannot belong to their lane, skipped: incidents",
            metrics.poison.clone(),
        );
        registry.register(
            "store_failures",
            "Calls to the store that failed and were repeated",
            metrics.store_failures.clone(),
        );
        registry.register("lag_verdicts", "Verdicts in the log that are not in the store yet", metrics.lag.clone());
        registry.register(
            "last_applied_timestamp_seconds",
            "When a batch was last applied, in seconds since the epoch; subtract it from time() for its age",
            metrics.last_applied.clone(),
        );
        registry.register("event_readers", "Connected readers of event streams", metrics.event_readers.clone());
        registry.register(
            "event_readers_refused",
            "Readers of event streams answered 503 because as many as allowed were connected",
            metrics.event_readers_refused.clone(),
        );
        metrics
    }

    pub(crate) fn note_applied(&self, verdicts: u64) {
        self.verdicts.inc_by(verdicts);
        self.last_applied.set(i64::try_from(clock::now().0 / 1000).expect("seconds since 1970 fit in 63 bits"));
    }
}

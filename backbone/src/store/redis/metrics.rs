//! What the store in Redis counts.

use prometheus_client::{metrics::counter::Counter, registry::Registry};

/// The store's metrics. Clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct RedisMetrics {
    /// Calls that found no connection, lost it, or waited too long.
    pub(super) failed_calls: Counter,
    /// Connections that replaced a lost one.
    pub(super) reconnections: Counter,
    /// Entries that could not be read.
    pub(super) damaged: Counter,
}

impl RedisMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "store_failed_calls",
            "Calls to Redis that found no connection, lost it, or had no answer in time",
            self.failed_calls.clone(),
        );
        registry.register(
            "store_reconnections",
            "Connections to Redis that replaced a lost one",
            self.reconnections.clone(),
        );
        registry.register(
            "store_damaged_entries",
            "Entries in Redis that were not what was written there and were left out of an answer",
            self.damaged.clone(),
        );
    }
}

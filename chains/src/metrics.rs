//! What reading chains counts: requests by endpoint and outcome, look-ups, caches. Endpoints go by their names.

use pnyx_core::signature_check::SignatureRuling;
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

use crate::failure::OUTCOMES;

/// The metrics of all chains. Clones share them.
#[derive(Debug, Clone)]
pub struct ChainsMetrics {
    requests: Family<RequestLabels, Counter>,
    request_seconds: Family<EndpointLabels, Histogram>,
    in_flight: Family<EndpointLabels, Gauge>,
    serving: Family<EndpointLabels, Gauge>,
    contradictions: Family<EndpointLabels, Counter>,
    finalized_block: Family<ChainLabels, Gauge>,
    stopped: Family<ChainLabels, Gauge>,
    differing: Family<ChainLabels, Counter>,
    hedged: Family<ChainLabels, Counter>,
    look_ups: BatchFamilies,
    checks: BatchFamilies,
    signatures: Family<RulingLabels, Counter>,
    pub(crate) cache: CacheMetrics,
    pub(crate) codes: CodeMetrics,
}

/// What caches of power count together.
#[derive(Debug, Clone, Default)]
pub(crate) struct CacheMetrics {
    pub(crate) hits: Counter,
    pub(crate) misses: Counter,
    pub(crate) joined: Counter,
    pub(crate) bytes: Gauge,
}

/// What caches of accounts with and without code count together.
#[derive(Debug, Clone, Default)]
pub(crate) struct CodeMetrics {
    pub(crate) hits: Counter,
    pub(crate) misses: Counter,
    pub(crate) bytes: Gauge,
}

/// What one chain counts.
#[derive(Debug, Clone)]
pub(crate) struct ChainMetrics {
    pub(crate) finalized_block: Gauge,
    pub(crate) stopped: Gauge,
    pub(crate) differing: Counter,
    pub(crate) hedged: Counter,
    pub(crate) look_ups: BatchMetrics,
    pub(crate) checks: BatchMetrics,
    labels: ChainLabels,
    signatures: Family<RulingLabels, Counter>,
}

/// What one chain counts of look-ups, or of calls that check signatures.
#[derive(Debug, Clone)]
pub(crate) struct BatchMetrics {
    pub(crate) per_call: Histogram,
    pub(crate) repeated_alone: Counter,
    pub(crate) waiting: Gauge,
}

#[derive(Debug, Clone)]
struct BatchFamilies {
    per_call: Family<ChainLabels, Histogram>,
    repeated_alone: Family<ChainLabels, Counter>,
    waiting: Family<ChainLabels, Gauge>,
}

/// What one endpoint counts.
#[derive(Debug, Clone)]
pub(crate) struct EndpointMetrics {
    labels: EndpointLabels,
    requests: Family<RequestLabels, Counter>,
    pub(crate) request_seconds: Histogram,
    in_flight: Gauge,
    pub(crate) serving: Gauge,
    pub(crate) contradictions: Counter,
}

/// Raises a gauge for as long as it lives.
#[derive(Debug)]
pub(crate) struct Raised {
    gauge: Gauge,
    by: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ChainLabels {
    chain: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RulingLabels {
    chain: u64,
    ruling: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EndpointLabels {
    chain: u64,
    endpoint: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    chain: u64,
    endpoint: String,
    outcome: &'static str,
}

impl ChainsMetrics {
    /// Metrics that nobody scrapes.
    pub fn unregistered() -> Self {
        Self {
            requests: Family::default(),
            request_seconds: Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.001, 2.0, 15))),
            in_flight: Family::default(),
            serving: Family::default(),
            contradictions: Family::default(),
            finalized_block: Family::default(),
            stopped: Family::default(),
            differing: Family::default(),
            hedged: Family::default(),
            look_ups: BatchFamilies::default(),
            checks: BatchFamilies::default(),
            signatures: Family::default(),
            cache: CacheMetrics::default(),
            codes: CodeMetrics::default(),
        }
    }

    /// Metrics of this process; once a registry.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::unregistered();
        metrics.register_endpoints(registry);
        metrics.register_chains(registry);
        metrics.register_look_ups(registry);
        metrics.register_signatures(registry);
        metrics
    }

    pub(crate) fn chain(&self, chain: u64) -> ChainMetrics {
        let labels = ChainLabels { chain };
        for ruling in SignatureRuling::ALL {
            drop(self.signatures.get_or_create(&RulingLabels { chain, ruling: ruling.name() }));
        }
        ChainMetrics {
            finalized_block: self.finalized_block.get_or_create_owned(&labels),
            stopped: self.stopped.get_or_create_owned(&labels),
            differing: self.differing.get_or_create_owned(&labels),
            hedged: self.hedged.get_or_create_owned(&labels),
            look_ups: self.look_ups.get(&labels),
            checks: self.checks.get(&labels),
            signatures: self.signatures.clone(),
            labels,
        }
    }

    pub(crate) fn endpoint(&self, chain: u64, endpoint: &str) -> EndpointMetrics {
        let labels = EndpointLabels { chain, endpoint: endpoint.to_owned() };
        let metrics = EndpointMetrics {
            requests: self.requests.clone(),
            request_seconds: self.request_seconds.get_or_create_owned(&labels),
            in_flight: self.in_flight.get_or_create_owned(&labels),
            serving: self.serving.get_or_create_owned(&labels),
            contradictions: self.contradictions.get_or_create_owned(&labels),
            labels,
        };
        // Alarms look at increases: every outcome is there from the start, at zero.
        for outcome in OUTCOMES {
            drop(metrics.requests.get_or_create(&metrics.request_labels(outcome)));
        }
        metrics
    }

    fn register_endpoints(&self, registry: &mut Registry) {
        registry.register("chain_requests", "Requests to a chain's endpoint, by outcome", self.requests.clone());
        registry.register_with_unit(
            "chain_request",
            "Time from a request to an endpoint to its whole answer",
            Unit::Seconds,
            self.request_seconds.clone(),
        );
        registry.register(
            "chain_requests_in_flight",
            "Requests that wait for an endpoint's answer",
            self.in_flight.clone(),
        );
        registry.register(
            "chain_endpoint_serving",
            "1 while an endpoint is asked, 0 before its first answer and while it is left alone after failures",
            self.serving.clone(),
        );
        registry.register(
            "chain_contradictions",
            "Times that an endpoint contradicted those that agree and was left out",
            self.contradictions.clone(),
        );
    }

    fn register_chains(&self, registry: &mut Registry) {
        registry.register(
            "chain_finalized_block",
            "Highest finalized block that an endpoint told of",
            self.finalized_block.clone(),
        );
        registry.register(
            "chain_stopped",
            "1 while endpoints contradict each other and too few agree, so that nothing is read from the chain",
            self.stopped.clone(),
        );
        registry.register(
            "chain_signer_contradictions",
            "Times that endpoints contradicted each other about what a voter's contract says and too few agreed, so that ballots \
             wait that it signs",
            self.differing.clone(),
        );
        registry.register(
            "chain_hedged_requests",
            "Questions put to one more endpoint because an answer was late",
            self.hedged.clone(),
        );
    }

    fn register_look_ups(&self, registry: &mut Registry) {
        let BatchFamilies { per_call, repeated_alone, waiting } = self.look_ups.clone();
        registry.register("chain_look_ups_per_call", "Look-ups that one call answered", per_call);
        registry.register(
            "chain_look_ups_repeated_alone",
            "Look-ups that failed in a batch and were repeated alone",
            repeated_alone,
        );
        registry.register("chain_look_ups_waiting", "Look-ups that wait for their answer", waiting);
        let CacheMetrics { hits, misses, joined, bytes } = &self.cache;
        registry.register("chain_power_cache_hits", "Voters whose power was cached", hits.clone());
        registry.register("chain_power_cache_misses", "Voters whose power had to be looked up", misses.clone());
        registry.register("chain_power_cache_joined", "Voters whose power was being looked up already", joined.clone());
        registry.register_with_unit("chain_power_cache", "Memory of cached power", Unit::Bytes, bytes.clone());
    }

    fn register_signatures(&self, registry: &mut Registry) {
        let BatchFamilies { per_call, repeated_alone, waiting } = self.checks.clone();
        registry.register(
            "chain_signature_calls_per_call",
            "Calls of contracts that check signatures which one call answered",
            per_call,
        );
        registry.register(
            "chain_signature_calls_repeated_alone",
            "Calls of contracts that check signatures which needed much gas and were repeated alone",
            repeated_alone,
        );
        registry.register(
            "chain_signature_calls_waiting",
            "Calls of contracts that check signatures which wait for their answer",
            waiting,
        );
        registry.register(
            "chain_signatures",
            "Signatures that a chain was asked about, by what it says of them",
            self.signatures.clone(),
        );
        let CodeMetrics { hits, misses, bytes } = &self.codes;
        registry.register(
            "chain_code_cache_hits",
            "Accounts of which it was cached whether they have code",
            hits.clone(),
        );
        registry.register("chain_code_cache_misses", "Accounts whose code had to be looked up", misses.clone());
        registry.register_with_unit(
            "chain_code_cache",
            "Memory of which accounts have code",
            Unit::Bytes,
            bytes.clone(),
        );
    }
}

impl BatchFamilies {
    fn get(&self, labels: &ChainLabels) -> BatchMetrics {
        BatchMetrics {
            per_call: self.per_call.get_or_create_owned(labels),
            repeated_alone: self.repeated_alone.get_or_create_owned(labels),
            waiting: self.waiting.get_or_create_owned(labels),
        }
    }
}

impl Default for BatchFamilies {
    fn default() -> Self {
        Self {
            per_call: Family::new_with_constructor(|| Histogram::new(exponential_buckets(1.0, 2.0, 12))),
            repeated_alone: Family::default(),
            waiting: Family::default(),
        }
    }
}

impl ChainMetrics {
    /// Counts what the chain said of a signature.
    pub(crate) fn count_ruling(&self, ruling: SignatureRuling) {
        self.signatures.get_or_create(&RulingLabels { chain: self.labels.chain, ruling: ruling.name() }).inc();
    }
}

impl EndpointMetrics {
    pub(crate) fn count(&self, outcome: &'static str) {
        self.requests.get_or_create(&self.request_labels(outcome)).inc();
    }

    /// Counts a request as in flight until the guard is dropped.
    pub(crate) fn begin(&self) -> Raised {
        Raised::by(&self.in_flight, 1)
    }

    fn request_labels(&self, outcome: &'static str) -> RequestLabels {
        let EndpointLabels { chain, endpoint } = &self.labels;
        RequestLabels { chain: *chain, endpoint: endpoint.clone(), outcome }
    }
}

/// A number as gauges have it.
pub(crate) fn as_gauge(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

impl Raised {
    pub(crate) fn by(gauge: &Gauge, by: usize) -> Self {
        let by = as_gauge(by);
        gauge.inc_by(by);
        Self { gauge: gauge.clone(), by }
    }
}

impl Drop for Raised {
    fn drop(&mut self) {
        self.gauge.dec_by(self.by);
    }
}

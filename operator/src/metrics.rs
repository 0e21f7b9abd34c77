//! What the operator counts.

mod scaling;

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

pub(crate) use scaling::ScalingMetrics;

use crate::kinds::{ChildKind, Primary};

/// A kind of write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    /// An object was made or brought to what it should be.
    Applied,
    /// Replicas were changed.
    Scaled,
    /// An object was removed.
    Deleted,
    /// A status was written.
    Status,
    /// What a deletion waits for was said.
    Finalizers,
    /// An Event was made.
    Created,
}

impl Verb {
    /// One word.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Applied => "apply",
            Self::Scaled => "scale",
            Self::Deleted => "delete",
            Self::Status => "status",
            Self::Finalizers => "finalizers",
            Self::Created => "create",
        }
    }
}

/// How a look at a resource ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Looked {
    /// All is as the plan says.
    Done,
    /// The resource is refused; its condition says why.
    Refused,
    /// Something could not be written; it is tried again.
    Failed,
}

impl Looked {
    const ALL: [Self; 3] = [Self::Done, Self::Refused, Self::Failed];

    const fn label(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LookLabels {
    resource: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WriteLabels {
    kind: &'static str,
    verb: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabel {
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResourceLabel {
    resource: &'static str,
}

/// What the operator counts.
#[derive(Debug, Clone)]
pub struct OperatorMetrics {
    looks: Family<LookLabels, Counter>,
    look_seconds: Histogram,
    writes: Family<WriteLabels, Counter>,
    resources: Family<ResourceLabel, Gauge>,
    unreadable: Family<ResourceLabel, Gauge>,
    /// Resources that wait for a worker.
    pub(crate) waiting: Gauge,
    /// 1 while this process leads.
    pub(crate) leads: Gauge,
    /// What watches count.
    pub(crate) watches: WatchMetrics,
    /// What was decided about scaling.
    pub(crate) scaling: ScalingMetrics,
}

/// What watches count.
#[derive(Debug, Clone, Default)]
pub struct WatchMetrics {
    failures: Family<KindLabel, Counter>,
}

impl WatchMetrics {
    /// A watch has to begin again.
    pub(crate) fn failed(&self, kind: &'static str) {
        self.failures.get_or_create(&KindLabel { kind }).inc();
    }
}

impl OperatorMetrics {
    /// Registers all of them.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            looks: Family::default(),
            look_seconds: Histogram::new(exponential_buckets(0.001, 2.0, 16)),
            writes: Family::default(),
            resources: Family::default(),
            unreadable: Family::default(),
            waiting: Gauge::default(),
            leads: Gauge::default(),
            watches: WatchMetrics::default(),
            scaling: ScalingMetrics::default(),
        };
        metrics.start_at_zero();
        let Self { looks, look_seconds, writes, resources, unreadable, waiting, leads, watches, scaling } = &metrics;
        registry.register("operator_looks", "Times a resource was looked at, by how that ended", looks.clone());
        registry.register_with_unit(
            "operator_look",
            "Time that one look at a resource took, writes included",
            Unit::Seconds,
            look_seconds.clone(),
        );
        registry.register("operator_writes", "Writes to the Kubernetes API, by kind and verb", writes.clone());
        registry.register("operator_resources", "Resources that the operator knows", resources.clone());
        registry.register(
            "operator_unreadable_resources",
            "Resources that this version of the operator cannot read; it leaves them alone",
            unreadable.clone(),
        );
        registry.register("operator_waiting_resources", "Resources that wait for a worker", waiting.clone());
        registry.register("operator_leads", "1 while this process holds the lease and writes", leads.clone());
        registry.register(
            "operator_watch_failures",
            "Times a watch of the Kubernetes API had to begin again, by kind",
            watches.failures.clone(),
        );
        scaling.register(registry);
        metrics
    }

    /// Alarms look at increases: everything is there from the start.
    fn start_at_zero(&self) {
        for primary in Primary::ALL {
            let resource = primary.label();
            for outcome in Looked::ALL.map(Looked::label) {
                drop(self.looks.get_or_create(&LookLabels { resource, outcome }));
            }
            drop(self.resources.get_or_create(&ResourceLabel { resource }));
            drop(self.unreadable.get_or_create(&ResourceLabel { resource }));
            drop(self.watches.failures.get_or_create(&KindLabel { kind: primary.kind() }));
        }
        for kind in ChildKind::ALL {
            drop(self.watches.failures.get_or_create(&KindLabel { kind: kind.kind() }));
        }
    }

    /// A look at a resource ended.
    pub(crate) fn looked(&self, primary: Primary, outcome: Looked, took: std::time::Duration) {
        let labels = LookLabels { resource: primary.label(), outcome: outcome.label() };
        self.looks.get_or_create(&labels).inc();
        self.look_seconds.observe(took.as_secs_f64());
    }

    /// Something was written.
    pub(crate) fn wrote(&self, kind: &'static str, verb: Verb) {
        self.writes.get_or_create(&WriteLabels { kind, verb: verb.label() }).inc();
    }

    /// So many resources are known, and so many of them cannot be read.
    pub(crate) fn set_resources(&self, primary: Primary, known: usize, unreadable: usize) {
        let count = |number| i64::try_from(number).unwrap_or(i64::MAX);
        let label = ResourceLabel { resource: primary.label() };
        self.resources.get_or_create(&label).set(count(known));
        self.unreadable.get_or_create(&label).set(count(unreadable));
    }
}

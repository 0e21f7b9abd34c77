//! The last decision about each proposal's scaling, as numbers. Names and labels are an API: alerts and dashboards ask for them.

use std::sync::atomic::AtomicU64;

use pnyx_core::scaling::{Candidate, Limit, PartitionsLimit, Plan, Rate};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{family::Family, gauge::Gauge},
    registry::{Registry, Unit},
};

use crate::kinds::ObjectKey;

/// Which proposal.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ProposalLabels {
    namespace: String,
    proposal: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CandidateLabels {
    namespace: String,
    proposal: String,
    candidate: &'static str,
}

/// `of` is what the limit bound: shards or partitions.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LimitLabels {
    namespace: String,
    proposal: String,
    of: &'static str,
    limit: &'static str,
}

type Numbers<L> = Family<L, Gauge<f64, AtomicU64>>;

/// A proposal has its series from its first decision until it is gone: at most one for each number and candidate, and two for
/// limits. What is not known has none, and is not 0.
#[derive(Debug, Clone, Default)]
pub(crate) struct ScalingMetrics {
    decided: Numbers<ProposalLabels>,
    desired: Numbers<ProposalLabels>,
    ready: Numbers<ProposalLabels>,
    partitions: Numbers<ProposalLabels>,
    sample_age: Numbers<ProposalLabels>,
    arrivals: Numbers<ProposalLabels>,
    backlog: Numbers<ProposalLabels>,
    fullest: Numbers<ProposalLabels>,
    rate_per_shard: Numbers<ProposalLabels>,
    candidates: Numbers<CandidateLabels>,
    limits: Numbers<LimitLabels>,
}

impl ScalingMetrics {
    /// Registers all of them.
    pub(super) fn register(&self, registry: &mut Registry) {
        let Self {
            decided,
            desired,
            ready,
            partitions,
            sample_age,
            arrivals,
            backlog,
            fullest,
            rate_per_shard,
            candidates,
            limits,
        } = self.clone();
        registry.register_with_unit(
            "operator_scaling_decided_timestamp",
            "When a proposal's scaling was last decided, whether or not anything changed",
            Unit::Seconds,
            decided,
        );
        registry.register("operator_scaling_shards_desired", "Verifier shards that a proposal should have", desired);
        registry.register("operator_scaling_shards_ready", "Verifier shards of a proposal that work", ready);
        registry.register(
            "operator_scaling_partitions",
            "Partitions that the ballots topic of a proposal should have",
            partitions,
        );
        registry.register_with_unit(
            "operator_scaling_sample_age",
            "Age of the sample of the log that was decided by",
            Unit::Seconds,
            sample_age,
        );
        registry.register("operator_scaling_arrivals_per_second", "Ballots of a proposal that arrive", arrivals);
        registry.register("operator_scaling_backlog_ballots", "Ballots of a proposal without a verdict", backlog);
        registry.register(
            "operator_scaling_fullest_partition_ballots",
            "Most of these ballots in one partition, which one shard reads",
            fullest,
        );
        registry.register(
            "operator_scaling_shard_ballots_per_second",
            "What one shard of a proposal is reckoned to verify",
            rate_per_shard,
        );
        registry.register(
            "operator_scaling_candidate_shards",
            "Shards that one consideration alone asks for",
            candidates,
        );
        registry.register("operator_scaling_limit", "1 for the limit that decided shards or partitions", limits);
    }

    /// What was decided for a proposal.
    pub(crate) fn decided(&self, key: &ObjectKey, plan: &Plan) {
        self.say(key, Some(plan));
    }

    /// A proposal is gone, and its series with it.
    pub(crate) fn forget(&self, key: &ObjectKey) {
        self.say(key, None);
    }

    fn say(&self, key: &ObjectKey, plan: Option<&Plan>) {
        let inputs = plan.map(|plan| plan.inputs);
        let numbers = [
            (&self.decided, plan.map(|plan| seconds(plan.at.0))),
            (&self.desired, plan.map(|plan| f64::from(plan.shards.to))),
            (&self.ready, inputs.map(|inputs| f64::from(inputs.ready))),
            (&self.partitions, plan.map(|plan| f64::from(plan.partitions.to))),
            (&self.sample_age, inputs.and_then(|inputs| inputs.data.age_ms()).map(seconds)),
            (&self.arrivals, inputs.and_then(|inputs| inputs.arrival).map(per_second)),
            (&self.backlog, inputs.and_then(|inputs| inputs.backlog).map(number)),
            (&self.fullest, inputs.and_then(|inputs| inputs.fullest_backlog).map(number)),
            (&self.rate_per_shard, inputs.map(|inputs| per_second(inputs.rate_per_shard.rate()))),
        ];
        let labels = proposal(key);
        for (family, value) in numbers {
            set(family, &labels, value);
        }
        for &candidate in Candidate::ALL {
            let asked = plan.and_then(|plan| plan.candidates.known().find(|(known, _)| *known == candidate));
            let labels = candidate_labels(key, candidate);
            set(&self.candidates, &labels, asked.map(|(_, shards)| f64::from(shards)));
        }
        for &limit in Limit::ALL {
            let is_bound = plan.is_some_and(|plan| plan.shards.limit == limit);
            set(&self.limits, &limit_labels(key, "shards", limit.name()), is_bound.then_some(1.0));
        }
        for &limit in PartitionsLimit::ALL {
            let is_bound = plan.is_some_and(|plan| plan.partitions.limit == limit);
            set(&self.limits, &limit_labels(key, "partitions", limit.name()), is_bound.then_some(1.0));
        }
    }
}

/// Takes the series away where there is no value.
fn set<L: Clone + Eq + std::hash::Hash>(family: &Numbers<L>, labels: &L, value: Option<f64>) {
    match value {
        Some(value) => {
            family.get_or_create(labels).set(value);
        }
        None => {
            family.remove(labels);
        }
    }
}

fn proposal(key: &ObjectKey) -> ProposalLabels {
    ProposalLabels { namespace: key.namespace.clone(), proposal: key.name.clone() }
}

fn candidate_labels(key: &ObjectKey, candidate: Candidate) -> CandidateLabels {
    let ProposalLabels { namespace, proposal } = proposal(key);
    CandidateLabels { namespace, proposal, candidate: candidate.name() }
}

fn limit_labels(key: &ObjectKey, of: &'static str, limit: &'static str) -> LimitLabels {
    let ProposalLabels { namespace, proposal } = proposal(key);
    LimitLabels { namespace, proposal, of, limit }
}

fn per_second(rate: Rate) -> f64 {
    number(rate.milli()) / 1_000.0
}

fn seconds(time_ms: u64) -> f64 {
    number(time_ms) / 1_000.0
}

/// Exact below 2^53, and near enough above.
fn number(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests;

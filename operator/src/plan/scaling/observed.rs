//! From what is there to what the planner asks for. What could not be had stays unknown.

use pnyx_core::{
    scaling::{Observed, ReplicasOwner, Shards},
    time::TimestampMs,
};

use super::{ProposalHistory, ScalingFacts};
use crate::{
    build::Component,
    observe::LiveChildren,
    plan::{ownership, workload},
};

/// All that is known of a proposal.
pub(super) fn observed(facts: &ScalingFacts<'_>, history: &ProposalHistory, now: TimestampMs) -> Observed {
    let ScalingFacts { children, topics, before, .. } = facts;
    // A broker that does not answer is no topic that is not there.
    let told = before.and_then(|before| u32::try_from(before.partitions.to).ok());
    Observed {
        sample: topics.sample.clone(),
        rate_per_shard: history.measured(),
        shards: shards(children),
        owner: owner(children),
        partitions: topics.partitions.filter(|count| *count > 0).or(told).unwrap_or(0),
        rebalancing_since: history.rebalancing_since(),
        watching_since: topics.watching_since.unwrap_or(now),
        has_cut: topics.has_cut,
        is_drained: topics.is_drained,
    }
}

/// The shards there are; none where nothing was made for them yet.
pub(super) fn shards(children: &LiveChildren) -> Shards {
    let number = |number: i64| u32::try_from(number).unwrap_or(0);
    let replicas = workload::replicas(children, Component::Verifier.word());
    replicas.map_or_else(Shards::default, |replicas| Shards {
        desired: number(replicas.desired),
        ready: number(replicas.ready),
    })
}

fn owner(children: &LiveChildren) -> ReplicasOwner {
    let deployment = workload::deployment(children, Component::Verifier.word());
    match deployment.and_then(ownership::foreign_replicas_owner) {
        Some(_) => ReplicasOwner::Other,
        None => ReplicasOwner::Operator,
    }
}

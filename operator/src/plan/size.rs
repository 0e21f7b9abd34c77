//! How many pods there shall be, for as long as nothing is known of what arrives: the size that is there is held, and
//! raised to what the window alone asks for. Nothing is ever given back here, because that takes fresh data.

use pnyx_core::time::TimestampMs;

use super::workload;
use crate::{
    build::{Component, PlatformSize, ProposalSize},
    observe::LiveChildren,
    validate::ValidatedProposal,
};

/// A platform's: what there is, brought into its bounds where it is built.
pub fn platform_size(children: &LiveChildren) -> PlatformSize {
    let held = |component: Component| desired(children, component);
    PlatformSize { ingest: held(Component::Ingest), tally: held(Component::Tally) }
}

/// A proposal's: at least the warm shards from the lead before the opening on, what somebody else chose if that is more,
/// and what there is.
pub fn proposal_size(validated: &ValidatedProposal, children: &LiveChildren, now: TimestampMs) -> ProposalSize {
    let scaling = validated.resource().spec.scaling.clone().unwrap_or_default();
    let warm_from = validated.proposal().window().opens_at().0.saturating_sub(validated.lead_ms());
    let warm = scaling.warm_shards.unwrap_or_else(|| scaling.min_shards.max(1));
    let floor = if now.0 >= warm_from { warm } else { scaling.min_shards };
    let held = i64::from(desired(children, Component::Verifier));
    let limited = validated.limits().max_shards.map_or(scaling.max_shards, |most| most.min(scaling.max_shards));
    let shards = floor.max(scaling.shards.unwrap_or(0)).min(limited).max(held);
    ProposalSize { shards: i32::try_from(shards).unwrap_or(i32::MAX), ..ProposalSize::default() }
}

fn desired(children: &LiveChildren, component: Component) -> i32 {
    let replicas = workload::replicas(children, component.word());
    replicas.map_or(0, |replicas| i32::try_from(replicas.desired).unwrap_or(i32::MAX))
}

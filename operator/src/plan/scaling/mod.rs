//! How many shards and partitions a proposal has, and how many instances its platform: what is there goes through
//! `core::scaling`, and comes back as numbers for those who build and as words for those who read.
//!
//! All of it is pure. What was seen before is a [`ProposalHistory`], which is told of each look ([`ProposalHistory::see`]) and
//! of each plan once that was carried out ([`ProposalHistory::applied`]).

mod history;
mod observed;
mod platform;
mod said;
mod status;

pub use history::{Histories, ProposalHistory};
pub use platform::{PlatformHistory, PlatformScaling, platform_scaling};
pub use status::remembered_of;

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use pnyx_core::{
    scaling::{self, Plan},
    time::TimestampMs,
};
use pnyx_crds::ScalingStatus;

use super::{Note, NoteKind};
use crate::{
    observe::{LiveChildren, TopicsSeen},
    status::Said,
    validate::ValidatedProposal,
};

/// No look is planned sooner than this.
const LOOK_AGAIN_MIN: Duration = Duration::from_millis(100);

/// Why people are told of a change of shards.
const SHARDS_CHANGED: &str = "ShardsChanged";

/// Why people are told of a change of partitions.
const PARTITIONS_GROWN: &str = "PartitionsGrown";

/// What a proposal's scaling is planned from.
#[derive(Debug, Clone, Copy)]
pub struct ScalingFacts<'a> {
    /// What is asked for.
    pub validated: &'a ValidatedProposal,
    /// What there is.
    pub children: &'a LiveChildren,
    /// What the log shows.
    pub topics: &'a TopicsSeen,
    /// What status says of the last decision.
    pub before: Option<&'a ScalingStatus>,
    /// What status says of the proposal.
    pub conditions: &'a [Condition],
}

/// What was decided for a proposal.
#[derive(Debug, Clone, PartialEq)]
pub struct ProposalScaling {
    /// The decision, for [`ProposalHistory::applied`].
    pub plan: Plan,
    /// How many shards to build. Where another scaler owns them, as many as there are.
    pub shards: i32,
    /// How many partitions the ballots topic shall have, if that is more than it has.
    pub partitions: Option<u32>,
    /// What status says of it: the same as before where nothing changed that is worth a write.
    pub status: ScalingStatus,
    /// The learnt lead, where it is longer than the spec's.
    pub learnt_lead: Option<String>,
    /// `Prewarmed`, `CaughtUp` and `ScalingDataFresh`.
    pub conditions: Vec<(&'static str, Said)>,
    /// What people are told, if the choice changes.
    pub note: Option<Note>,
    /// After what time to look again.
    pub again: Duration,
}

/// Decides for a proposal. Its history has seen the same facts.
pub fn proposal_scaling(facts: &ScalingFacts<'_>, history: &ProposalHistory, now: TimestampMs) -> ProposalScaling {
    let spec = facts.validated.scaling();
    let window = facts.validated.proposal().window();
    let observed = observed::observed(facts, history, now);
    let plan = scaling::plan(spec, &window, &observed, history.core(), now);
    let grown = plan.partitions.to > plan.partitions.from && facts.topics.partitions == Some(plan.partitions.from);
    let again = Duration::from_millis(plan.look_again_at.saturating_since_ms(now)).max(LOOK_AGAIN_MIN);
    ProposalScaling {
        shards: i32::try_from(plan.shards.to).unwrap_or(i32::MAX),
        partitions: grown.then_some(plan.partitions.to),
        status: status::said(&plan, history.core().remembered(), facts.before),
        learnt_lead: status::learnt_lead(spec, plan.inputs.lead_ms),
        conditions: said::conditions(&plan, facts.conditions),
        note: note(&plan, grown),
        again,
        plan,
    }
}

fn note(plan: &Plan, is_grown: bool) -> Option<Note> {
    let reason = match (plan.shards.to == plan.shards.from, is_grown) {
        (false, _) => SHARDS_CHANGED,
        // That the topic is made is no growth.
        (true, true) if plan.partitions.from > 0 => PARTITIONS_GROWN,
        (true, _) => return None,
    };
    Some(Note { kind: NoteKind::Normal, reason, action: "Scale", message: plan.to_string() })
}

#[cfg(test)]
mod tests;

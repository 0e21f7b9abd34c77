//! What is to be done, as data: a plan is made by pure functions, printed by `pnyx explain`, and carried out by `apply`,
//! which chooses nothing.

mod child;
mod children;
mod definition;
mod deletion;
mod effect;
pub(crate) mod field_manager;
mod finalizer;
mod jobs;
mod ownership;
mod platform;
mod proposal;
mod rollout;
mod scaling;
mod trial;
mod workload;

pub use child::{APPLIED_ANNOTATION, Child, ChildError, MANAGED_BY, MANAGED_BY_LABEL, OWNER_LABEL, Owner};
pub use children::{ReplicasOwner, children_effects};
pub use deletion::{DELETION_LIMIT, Deletion, deletion};
pub use effect::{Effect, Note, NoteKind};
pub use finalizer::FINALIZER;
pub(crate) use finalizer::{is_held, release};
pub use jobs::{JobsWanted, jobs_wanted};
pub use platform::platform;
pub use proposal::proposal;
pub use rollout::ROLLOUT_ANNOTATION;
pub use scaling::{
    Histories, PlatformHistory, PlatformScaling, ProposalHistory, ProposalScaling, ScalingFacts, platform_scaling,
    proposal_scaling, remembered_of,
};
pub use trial::is_tried_first;
pub use workload::COMPONENT_LABEL;

use std::time::Duration;

use crate::status::Conditions;

/// What is to be done for one resource, and what will be said of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan<S> {
    /// What is to be done, in this order.
    pub effects: Vec<Effect>,
    /// What its conditions say if all of it succeeds.
    pub conditions: Conditions,
    /// The rest of its status.
    pub status: S,
    /// After what time to look again, even if nothing changes.
    pub again: Option<Duration>,
}

//! What a platform and a proposal are made of in Kubernetes: pure functions from what was validated to objects, one file a
//! child. Nothing here asks, waits or decides; how many replicas there are and which Jobs are wanted comes from the plan.
//!
//! Order: accounts and files before policies, so that no pod waits for them; policies before pods, so that none runs
//! without its policy; budgets before pods as well, because a drain may begin at any moment. Whoever removes goes
//! backwards. `apply` keeps this order by kind, and so do the lists here.
//!
//! Owner references, the owner's labels and the hash of what was applied are added by [`Child::of`], the same for all.

mod component;
mod names;
mod part;
mod size;

mod archives;
mod container;
mod deployment;
mod files;
mod placement;
mod pod;
mod secrets;

mod account;
mod configuration;
mod disruption;
mod ingest;
mod network;
mod recount;
mod service;
mod tally;
mod trial;
mod verifier;

pub use component::Component;
pub use names::NAME_BYTES_MAX;
pub use part::PROPOSAL_LABEL;
pub use pod::CONFIGURATION_ANNOTATION;
pub use size::{PlatformSize, ProposalSize};

use pnyx_crds::GovernanceProposalSpec;

use self::part::Part;
use crate::{
    kinds::ObjectKey,
    plan::{Child, ChildError, Owner},
    validate::{ValidatedPlatform, ValidatedProposal},
};

/// Where the tally of a platform is asked, from within its cluster.
pub fn tally_address(platform: &ObjectKey) -> String {
    let service = names::child_name(&platform.name, Component::Tally.word());
    format!("http://{service}.{}.svc", platform.namespace)
}

/// All children of a platform.
///
/// # Errors
/// If an object cannot be written as JSON, which none of these can be the reason of.
pub fn platform(owner: &Owner, platform: &ValidatedPlatform, size: PlatformSize) -> Result<Vec<Child>, ChildError> {
    let parts = platform.parts();
    let (edge, tally) = (Part::of_platform(Component::Ingest, parts), Part::of_platform(Component::Tally, parts));
    let mut children = vec![Child::of(owner, &configuration::config_map(parts))?];
    for part in [&edge, &tally] {
        children.push(Child::of(owner, &account::service_account(part))?);
        children.push(Child::of(owner, &network::policy(part))?);
        children.push(Child::of(owner, &service::service(part))?);
        children.push(Child::of(owner, &disruption::budget(part))?);
    }
    children.push(Child::of(owner, &ingest::ingest(&edge, size.ingest))?);
    children.push(Child::of(owner, &tally::tally(&tally, size.tally))?);
    Ok(in_order(children))
}

/// All children of a proposal.
///
/// # Errors
/// As [`platform`].
pub fn proposal(owner: &Owner, proposal: &ValidatedProposal, size: ProposalSize) -> Result<Vec<Child>, ChildError> {
    let id = proposal.proposal().id();
    let of = |component| Part::of_proposal(component, proposal);
    let (verifier, pin, recount) = (of(Component::Verifier), of(Component::Pin), of(Component::Recount));
    let mut children = vec![Child::of(owner, &verifier::verifier(&verifier, id, size.shards))?];
    // Of one alone a budget would only say that it may go.
    if size.shards > 1 {
        children.push(Child::of(owner, &disruption::budget(&verifier))?);
    }
    if size.pins {
        children.push(Child::of(owner, &recount::pin(&pin, id))?);
    }
    if size.recounts {
        children.push(Child::of(owner, &recount::recount(&recount, id))?);
    }
    for (part, _) in [(&verifier, true), (&pin, size.pins), (&recount, size.recounts)].iter().filter(|(_, runs)| *runs)
    {
        children.push(Child::of(owner, &account::service_account(part))?);
        children.push(Child::of(owner, &network::policy(part))?);
    }
    Ok(in_order(children))
}

/// What a proposal has before its definition stands in the log: the trial of its strategies, and nothing else.
///
/// # Errors
/// As [`platform`].
pub fn trial(
    owner: &Owner,
    proposal: &ValidatedProposal,
    spec: &GovernanceProposalSpec,
) -> Result<Vec<Child>, ChildError> {
    let (part, id) = (Part::of_proposal(Component::Trial, proposal), proposal.proposal().id());
    Ok(in_order(vec![
        Child::of(owner, &account::service_account(&part))?,
        Child::of(owner, &trial::config_map(&part, id, &owner.key().object, spec))?,
        Child::of(owner, &network::policy(&part))?,
        Child::of(owner, &trial::trial(&part, id))?,
    ]))
}

/// By kind, and by name within it.
fn in_order(mut children: Vec<Child>) -> Vec<Child> {
    children.sort_by_key(|child| (child.kind(), child.key().clone()));
    children
}

/// The first digits of a hash.
fn hex(hash: &[u8], digits: usize) -> String {
    hash.iter()
        .flat_map(|byte| [byte >> 4, byte & 0xf])
        .map(|digit| char::from_digit(digit.into(), 16).unwrap_or('0'))
        .take(digits)
        .collect()
}

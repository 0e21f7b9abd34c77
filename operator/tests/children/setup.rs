//! Children of three platforms and their proposals: one of each that says the least, one that says everything, one that
//! keeps archives in a claim.

use std::sync::Arc;

use jiff::Timestamp;
use pnyx_core::{
    decisions::{Decision, DecisionBook},
    proposal::Definition,
};
use pnyx_crds::{GovernancePlatform, GovernanceProposal, resolve};
use pnyx_operator::{
    Key, ObjectKey, Primary,
    build::{self, PlatformSize, ProposalSize},
    observe::{PlatformSeen, ProposalObserved, Seen},
    plan::{Child, Owner},
    validate::{self, OwnImage},
};

/// Who says how much, and what they have.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) platform: &'static str,
    pub(crate) proposal: &'static str,
    pub(crate) children: Vec<Child>,
}

/// All of them, validated and built as the operator does it.
pub(crate) fn cases() -> [Case; 3] {
    let minimal = case(
        "minimal",
        include_str!("minimal/platform.yaml"),
        include_str!("minimal/proposal.yaml"),
        PlatformSize::default(),
        ProposalSize { shards: 1, ..ProposalSize::default() },
    );
    let full = case(
        "full",
        include_str!("full/platform.yaml"),
        include_str!("full/proposal.yaml"),
        PlatformSize { ingest: 5, tally: 100 },
        ProposalSize { shards: 8, pins: true, recounts: true },
    );
    let claim = case(
        "claim",
        include_str!("claim/platform.yaml"),
        include_str!("claim/proposal.yaml"),
        PlatformSize::default(),
        ProposalSize { recounts: true, ..ProposalSize::default() },
    );
    [minimal, full, claim]
}

fn case(
    name: &'static str,
    platform: &'static str,
    proposal: &'static str,
    platform_size: PlatformSize,
    proposal_size: ProposalSize,
) -> Case {
    let own: OwnImage = "registry.example/pnyx:0.1.0".parse().expect("an image");
    let resource: GovernancePlatform = serde_saphyr::from_str(platform).expect("a platform");
    let owner = owner(Primary::Platform, &resource.metadata, "8e6f3a52-0d3c-4c1f-9b9f-000000000001");
    let validated = validate::platform(resource.clone(), &own, None).expect("it can be run");
    let mut children = build::platform(&owner, &validated, platform_size).expect("objects");
    let (generation, conditions, is_deleted, domain) = (None, Vec::new(), false, resource.spec.domain.clone());
    let running = PlatformSeen::Found(Box::new(Seen { owner, resource, generation, conditions, is_deleted }));
    let resource: GovernanceProposal = serde_saphyr::from_str(proposal).expect("a proposal");
    let owner = owner_of_proposal(&resource);
    let (others, book) = (Vec::new(), Some(Arc::new(book(&resource, &domain))));
    let seen = Seen { owner: owner.clone(), resource, generation: None, conditions: Vec::new(), is_deleted: false };
    let observed = ProposalObserved {
        seen,
        children: Vec::new(),
        platform: running,
        others,
        before: Box::default(),
        book,
        standing: None,
    };
    let validated = validate::proposal(&observed, &own, Timestamp::UNIX_EPOCH).expect("it can be voted on");
    children.extend(build::proposal(&owner, &validated, proposal_size).expect("objects"));
    // What comes before is shown beside what comes then.
    if !validated.proposal().parts().snapshots.is_empty() {
        let spec = &observed.seen.resource.spec;
        children.extend(build::trial(&owner, &validated, spec).expect("objects"));
    }
    Case { name, platform, proposal, children }
}

/// A log in which the proposal stands.
fn book(resource: &GovernanceProposal, domain: &str) -> DecisionBook {
    let proposal = resolve(resource, domain, None).expect("a proposal of the core");
    let definition = Definition::new(proposal, 4, 1).expect("within bounds");
    let mut book = DecisionBook::default();
    book.record(0, Decision::Definition(Box::new(definition)));
    book
}

fn owner_of_proposal(resource: &GovernanceProposal) -> Owner {
    owner(Primary::Proposal, &resource.metadata, "8e6f3a52-0d3c-4c1f-9b9f-000000000002")
}

fn owner(primary: Primary, metadata: &kube::core::ObjectMeta, uid: &str) -> Owner {
    let namespace = metadata.namespace.clone().expect("it has a namespace");
    let object = ObjectKey::new(namespace, metadata.name.clone().expect("it has a name"));
    Owner::new(Key { primary, object }, uid)
}

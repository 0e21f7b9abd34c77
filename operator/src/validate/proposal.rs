//! Whether a proposal can be voted on, on the platform that it names.

use std::collections::BTreeSet;

use jiff::Timestamp;
use pnyx_core::{
    proposal::{Proposal, ProposalError, Strategy},
    scaling::ScalingSpec,
    time::WindowPosition,
};
use pnyx_crds::{
    GovernancePlatform, GovernanceProposal, SpaceLimits,
    conditions::{platform as types, proposal::ACCEPTED, reasons},
    resolve, resolve_scaling,
};

use super::{OwnImage, Refusal, ValidatedPlatform, duration};
use crate::{
    clock::since_epoch,
    observe::{PlatformSeen, ProposalBrief, ProposalObserved, Seen},
};

/// Shortest and longest retention, in seconds, as the schema has them.
const RETENTION_S: (u64, u64) = (24 * 3_600, 99_999 * 3_600 + 99_999 * 60 + 999_999);

/// A proposal that can be voted on.
#[derive(Debug, Clone, PartialEq)]
pub struct ValidatedProposal {
    proposal: Proposal,
    platform: ValidatedPlatform,
    scaling: ScalingSpec,
    is_defined: bool,
    retention_s: Option<u64>,
}

impl ValidatedProposal {
    /// What voters are asked.
    pub fn proposal(&self) -> &Proposal {
        &self.proposal
    }

    /// Who runs it.
    pub fn platform(&self) -> &ValidatedPlatform {
        &self.platform
    }

    /// How it is scaled, within what its space may take.
    pub const fn scaling(&self) -> &ScalingSpec {
        &self.scaling
    }

    /// How long after its archive was stored its topics are kept, in seconds; without it, as long as the resource.
    pub const fn retention_s(&self) -> Option<u64> {
        self.retention_s
    }

    /// Whether what voters sign stands in the log. Before that nothing runs for it.
    pub const fn is_defined(&self) -> bool {
        self.is_defined
    }
}

/// Checks a proposal. One that stands in the log stays accepted, whatever others do: it is spared the questions whose
/// answers change with time. `own` is the image that runs where the platform names none.
///
/// # Errors
/// What is wrong with it or its platform.
pub fn proposal(observed: &ProposalObserved, own: &OwnImage, now: Timestamp) -> Result<ValidatedProposal, Refusal> {
    let resource = &observed.seen.resource;
    let name = &resource.spec.platform_ref.name;
    let platform = match &observed.platform {
        PlatformSeen::Missing => {
            let message = format!("there is no GovernancePlatform {name} in this namespace");
            return Err(Refusal::new(reasons::PLATFORM_NOT_FOUND, message));
        }
        PlatformSeen::Unreadable => {
            let message = format!("GovernancePlatform {name} cannot be read by this version of the operator");
            return Err(Refusal::new(reasons::PLATFORM_NOT_READY, message));
        }
        PlatformSeen::Found(platform) => platform,
    };
    let domain = &platform.resource.spec.domain;
    let proposal = resolve(resource, domain, None).map_err(|problems| invalid(&problems))?;
    let limits = limits_of(&platform.resource, &resource.spec.space);
    let scaling = scaling(resource, limits).map_err(|problems| invalid(&problems))?;
    check_chains(&proposal, &platform.resource)?;
    let retention_s = retention_s(resource.spec.retention.as_deref())?;
    let is_defined = is_defined(&proposal, observed);
    if !is_defined {
        check_platform(platform)?;
        check_window(&proposal, now)?;
        check_space(&proposal, limits, &observed.others)?;
    }
    let platform = ValidatedPlatform::read(platform.resource.clone(), own).map_err(|refusal| {
        let message = format!("GovernancePlatform {name} cannot be run: {}", refusal.message);
        Refusal::new(reasons::PLATFORM_NOT_READY, message)
    })?;
    if !is_defined {
        check_archive(retention_s, &platform)?;
    }
    Ok(ValidatedProposal { proposal, platform, scaling, is_defined, retention_s })
}

fn invalid(problems: &[ProposalError]) -> Refusal {
    let words: Vec<_> = problems.iter().map(ToString::to_string).collect();
    Refusal::new(reasons::INVALID, words.join("; "))
}

/// As the resource says, but with no more shards than its space may take. Partitions are no shards and stay as they are said.
fn scaling(resource: &GovernanceProposal, limits: &SpaceLimits) -> Result<ScalingSpec, Vec<ProposalError>> {
    let mut limited = resource.clone();
    if let Some(most) = limits.max_shards {
        let scaling = limited.spec.scaling.get_or_insert_default();
        scaling.max_shards = scaling.max_shards.min(most);
        scaling.min_shards = scaling.min_shards.min(most);
        scaling.warm_shards = scaling.warm_shards.map(|warm| warm.min(most));
        scaling.shards = scaling.shards.map(|shards| shards.min(most));
    }
    resolve_scaling(&limited)
}

/// As the log says. While it cannot be read, what it said before holds: a definition that stood stands for ever, and what
/// it binds could not change since, because the API server refuses that of what is accepted.
fn is_defined(proposal: &Proposal, observed: &ProposalObserved) -> bool {
    match &observed.book {
        Some(book) => book.get(proposal.id()).is_some(),
        None => {
            let mut conditions = observed.seen.conditions.iter();
            conditions.any(|condition| condition.type_ == ACCEPTED && condition.status == "True")
        }
    }
}

/// A space with limits of its own has none of the default ones.
fn limits_of<'a>(platform: &'a GovernancePlatform, space: &str) -> &'a SpaceLimits {
    let limits = &platform.spec.limits;
    let own = limits.spaces.iter().find(|limits| limits.space == space);
    own.map_or(&limits.default, |own| &own.limits)
}

/// What a platform could not do anything with is not begun on it.
fn check_platform(platform: &Seen<GovernancePlatform>) -> Result<(), Refusal> {
    let mut conditions = platform.conditions.iter();
    if conditions.any(|condition| condition.type_ == types::ACCEPTED && condition.status == "True") {
        return Ok(());
    }
    let name = &platform.owner.key().object.name;
    let message = format!("GovernancePlatform {name} is not accepted: its own condition Accepted says why");
    Err(Refusal::new(reasons::PLATFORM_NOT_READY, message))
}

fn check_chains(proposal: &Proposal, platform: &GovernancePlatform) -> Result<(), Refusal> {
    let configured: BTreeSet<&str> = platform.spec.chains.iter().map(|chain| chain.chain_id.as_str()).collect();
    let read = proposal.chains().map(|chain| chain.to_string());
    let missing: Vec<_> = read.filter(|chain| !configured.contains(chain.as_str())).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let message = format!(
        "the proposal reads chain {}, which GovernancePlatform {} does not have in spec.chains",
        missing.join(" and "),
        platform.metadata.name.as_deref().unwrap_or_default()
    );
    Err(Refusal::new(reasons::CHAIN_NOT_CONFIGURED, message))
}

fn check_window(proposal: &Proposal, now: Timestamp) -> Result<(), Refusal> {
    match proposal.window().position(since_epoch(now)) {
        WindowPosition::Before | WindowPosition::Inside => return Ok(()),
        WindowPosition::After => {}
    }
    let message = "the window was over before the proposal was accepted: nobody could vote";
    Err(Refusal::new(reasons::WINDOW_OVER, message))
}

/// What is listed and what is open, against what the space may take.
fn check_space(proposal: &Proposal, limits: &SpaceLimits, others: &[ProposalBrief]) -> Result<(), Refusal> {
    let space = &proposal.parts().space;
    let open = others.iter().filter(|other| other.space == *space && other.is_accepted && !other.has_result).count();
    if let Some(most) = limits.max_open_proposals
        && i64::try_from(open).unwrap_or(i64::MAX) >= most
    {
        let message = format!(
            "space {space} has {open} proposals without a result, and limits.maxOpenProposals is {most}: this one waits"
        );
        return Err(Refusal::new(reasons::LIMIT_EXCEEDED, message));
    }
    let listed = listed_voters(proposal);
    match limits.max_voters {
        Some(most) if i64::try_from(listed).unwrap_or(i64::MAX) > most => {
            let message = format!("its lists name {listed} addresses, and limits.maxVoters of space {space} is {most}");
            Err(Refusal::new(reasons::LIMIT_EXCEEDED, message))
        }
        Some(_) | None => Ok(()),
    }
}

fn retention_s(text: Option<&str>) -> Result<Option<u64>, Refusal> {
    let read = text.map(|text| duration::seconds_within(text, RETENTION_S.0, RETENTION_S.1)).transpose();
    read.map_err(|problem| Refusal::new(reasons::INVALID, format!("spec.retention: {problem}")))
}

/// Topics go only where something else is left to count again from.
fn check_archive(retention_s: Option<u64>, platform: &ValidatedPlatform) -> Result<(), Refusal> {
    if retention_s.is_none() || platform.parts().archive.is_outside_log() {
        return Ok(());
    }
    let message = format!(
        "spec.retention: topics are removed only once the archive is kept elsewhere, and GovernancePlatform {} makes \
         archives from the log; name a claim or a bucket in its spec.archive, or leave retention out",
        platform.parts().name
    );
    Err(Refusal::new(reasons::ARCHIVE_NOT_CONFIGURED, message))
}

/// Addresses that all lists name together.
fn listed_voters(proposal: &Proposal) -> usize {
    let listed = proposal.parts().strategies.iter().map(|strategy| match strategy {
        Strategy::Whitelist(voters) => voters.len(),
        Strategy::WhitelistWeighted(powers) => powers.len(),
        Strategy::Ticket(_) | Strategy::OnChain(_) | Strategy::Multichain(_) => 0,
    });
    listed.sum()
}

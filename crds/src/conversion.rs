//! From a resource to a proposal: syntax is read here, the rules are checked by the core, all problems have a path.

mod chains;
mod decimal;
mod duration;
mod scaling;
mod scaling_status;
mod signers;
mod snapshots;
mod strategies;
mod time;

pub use scaling::resolve_scaling;
pub use scaling_status::{remembered, remembered_status, scaling_status};

use pnyx_core::{
    proposal::{self, Fraction, Proposal, ProposalError, ProposalParts, Quorum, Voting},
    time::Window,
};

use crate::{Abstentions, GovernanceProposal, QuorumKind, QuorumSpec, VotingSpec, VotingSystem, WindowSpec};

/// The proposal that `resource` describes on the platform with the domain `platform`.
///
/// With `window` the proposal takes that window instead of its own, which must still be well-formed.
///
/// # Errors
/// All problems found, in the order of the resource's fields; never an empty list. The core's rules are checked only
/// once everything can be read.
pub fn resolve(
    resource: &GovernanceProposal,
    platform: &str,
    window: Option<Window>,
) -> Result<Proposal, Vec<ProposalError>> {
    let mut problems = Problems::default();
    let name = problems.name(resource.metadata.name.as_deref());
    let spec = &resource.spec;
    let voting = problems.voting(&spec.voting);
    let own_window = problems.window(&spec.window);
    let clock_skew_s = problems.keep("spec.window.clockSkewSeconds", read_clock_skew(spec.window.clock_skew_seconds));
    let strategies = strategies::read(&spec.power.strategies, &mut problems);
    let snapshots = snapshots::read(&spec.power.snapshot, &mut problems);
    let stated_signers = signers::read(spec.signers.as_ref(), &mut problems);
    // No part of the proposal, but whoever reads the resource should hear of every mistake in it.
    let scaling = scaling::read(spec.scaling.as_ref(), &mut problems);
    let (
        Some(name),
        Some(voting),
        Some(own_window),
        Some(clock_skew_s),
        Some(strategies),
        Some(snapshots),
        Some(stated_signers),
        Some(_),
    ) = (name, voting, own_window, clock_skew_s, strategies, snapshots, stated_signers, scaling)
    else {
        return Err(problems.0);
    };
    let window = window.unwrap_or(own_window);
    let signers = stated_signers.or_default(&strategies);
    let Some(snapshots) = snapshots.of_chains(&strategies, signers, window.opens_at(), &mut problems) else {
        return Err(problems.0);
    };
    Proposal::new(ProposalParts {
        platform: platform.to_owned(),
        namespace: resource.metadata.namespace.clone().unwrap_or_else(|| "default".to_owned()),
        name,
        space: spec.space.clone(),
        title: spec.title.clone(),
        body: spec.body.clone(),
        discussion: spec.discussion.clone(),
        author: spec.author.clone(),
        choices: spec.choices.clone(),
        voting,
        window,
        strategies,
        snapshots,
        signers,
        clock_skew_s,
    })
}

/// What was found wrong so far.
#[derive(Default)]
struct Problems(Vec<ProposalError>);

impl Problems {
    fn add(&mut self, path: impl Into<String>, problem: impl Into<String>) {
        self.0.push(ProposalError { path: path.into(), problem: problem.into() });
    }

    /// The value, or nothing after noting its problem at `path`.
    fn keep<T>(&mut self, path: impl Into<String>, value: Result<T, String>) -> Option<T> {
        value.map_err(|problem| self.add(path, problem)).ok()
    }

    fn name(&mut self, name: Option<&str>) -> Option<String> {
        let name = name.ok_or_else(|| "is required".to_owned()).and_then(|name| {
            // The API server asks the same of every name (RFC 1123 subdomain); files must not be more lenient.
            let is_label = |label: &str| {
                !label.is_empty()
                    && !label.starts_with('-')
                    && !label.ends_with('-')
                    && label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
            };
            let valid = name.split('.').all(is_label);
            valid.then(|| name.to_owned()).ok_or_else(|| {
                "must be lower-case letters, digits, '-' and '.', with a letter or digit at both ends of each part"
                    .to_owned()
            })
        });
        self.keep("metadata.name", name)
    }

    fn voting(&mut self, spec: &VotingSpec) -> Option<Voting> {
        let quorum = match &spec.quorum {
            None => Some(None),
            Some(quorum) => self.keep("spec.voting.quorum.power", read_quorum(quorum)).map(Some),
        };
        let approval_threshold = match &spec.approval_threshold {
            None => Some(None),
            Some(text) => self.keep("spec.voting.approvalThreshold", read_fraction(text)).map(Some),
        };
        Some(Voting {
            system: spec.system.into(),
            quorum: quorum?,
            approval_threshold: approval_threshold?,
            abstentions: spec.abstentions.into(),
        })
    }

    fn window(&mut self, spec: &WindowSpec) -> Option<Window> {
        let opens_at = self.keep("spec.window.opensAt", time::read(&spec.opens_at));
        let closes_at = self.keep("spec.window.closesAt", time::read(&spec.closes_at));
        let window = Window::new(opens_at?, closes_at?).map_err(|error| format!("{error} ({})", spec.opens_at));
        self.keep("spec.window.closesAt", window)
    }
}

fn read_quorum(spec: &QuorumSpec) -> Result<Quorum, String> {
    let power = decimal::power(&spec.power)?;
    Ok(match spec.kind {
        QuorumKind::Participation => Quorum::Participation(power),
        QuorumKind::Rejection => Quorum::Rejection(power),
    })
}

fn read_fraction(text: &str) -> Result<Fraction, String> {
    decimal::millionths(text).and_then(Fraction::from_millionths).ok_or_else(|| {
        format!("must be a decimal fraction above 0 and at most 1 with up to 6 fractional digits, not \"{text}\"")
    })
}

fn read_clock_skew(seconds: i64) -> Result<u64, String> {
    u64::try_from(seconds).map_err(|_| "must not be negative".to_owned())
}

impl From<VotingSystem> for proposal::VotingSystem {
    fn from(system: VotingSystem) -> Self {
        match system {
            VotingSystem::Basic => Self::Basic,
            VotingSystem::SingleChoice => Self::SingleChoice,
            VotingSystem::Approval => Self::Approval,
            VotingSystem::Weighted => Self::Weighted,
            VotingSystem::Quadratic => Self::Quadratic,
            VotingSystem::RankedChoice => Self::RankedChoice,
            VotingSystem::Copeland => Self::Copeland,
        }
    }
}

impl From<Abstentions> for proposal::Abstentions {
    fn from(abstentions: Abstentions) -> Self {
        match abstentions {
            Abstentions::Quorum => Self::Quorum,
            Abstentions::QuorumAndThreshold => Self::QuorumAndThreshold,
            Abstentions::Neither => Self::Neither,
        }
    }
}

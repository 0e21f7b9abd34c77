//! Whether a proposal can be voted on, on the platform that it names.

use pnyx_core::proposal::Proposal;
use pnyx_crds::{GovernanceProposal, conditions::reasons, resolve};

use super::{Refusal, ValidatedPlatform};

/// A proposal that can be voted on.
#[derive(Debug, Clone, PartialEq)]
pub struct ValidatedProposal {
    resource: GovernanceProposal,
    proposal: Proposal,
    platform: ValidatedPlatform,
}

impl ValidatedProposal {
    /// As it stands in the API.
    pub fn resource(&self) -> &GovernanceProposal {
        &self.resource
    }

    /// What voters are asked.
    pub fn proposal(&self) -> &Proposal {
        &self.proposal
    }

    /// Who runs it.
    pub fn platform(&self) -> &ValidatedPlatform {
        &self.platform
    }
}

/// Checks a proposal.
///
/// # Errors
/// What is wrong with it.
pub fn proposal(resource: GovernanceProposal, platform: ValidatedPlatform) -> Result<ValidatedProposal, Refusal> {
    let proposal = resolve(&resource, &platform.parts().domain, None).map_err(|problems| {
        let words: Vec<_> = problems.iter().map(ToString::to_string).collect();
        Refusal::new(reasons::INVALID, words.join("; "))
    })?;
    Ok(ValidatedProposal { resource, proposal, platform })
}

//! The source of what contracts say of signatures: the signers' chain of one proposal, or a record of what it said.

use std::{collections::BTreeMap, sync::Arc};

use pnyx_chains::{CODE_CACHE_BYTES_DEFAULT, ChainError, ChainSignatures, Chains};
use pnyx_core::{
    chain::{Pin, Pins},
    id::{RecordHash, Voter},
    proposal::Proposal,
    signature_check::SignatureRuling,
};
use thiserror::Error;

use crate::{
    claim::Claim,
    source::{Caching, SourceError},
};

/// What the signers' chain said before, by record.
pub type RecordedRulings = BTreeMap<RecordHash, (Voter, SignatureRuling)>;

/// Who says what a voter's contract makes of a signature. Cheap to clone; clones share what they cache.
#[derive(Debug, Clone)]
pub enum ContractSigners {
    /// The chain at its pin.
    Chain(ChainSignatures),
    /// A record of what it said there.
    Recorded {
        /// Where it was asked.
        pin: Pin,
        /// What it said.
        rulings: Arc<RecordedRulings>,
    },
}

/// Why a source has no answer at present. It delays verdicts and never decides one.
#[derive(Debug, Error)]
pub enum RulingsUnavailable {
    /// The chain did not answer.
    #[error("the signers' chain has no answer")]
    Chain(#[from] ChainError),
    /// Nothing is recorded on this record, or of another account.
    #[error("no contract's ruling is recorded on record {record} of account {voter}")]
    NotRecorded {
        /// The record.
        record: RecordHash,
        /// Whose contract is to judge it.
        voter: Voter,
    },
}

impl RulingsUnavailable {
    /// Whether other questions might have been answered.
    pub fn may_be_the_question(&self) -> bool {
        match self {
            Self::Chain(error) => error.may_be_the_question(),
            Self::NotRecorded { .. } => true,
        }
    }
}

impl ContractSigners {
    /// The signers' chain of a proposal; `None` where only keys sign.
    ///
    /// # Errors
    /// The pins are not decided, or there is no endpoint of that chain.
    pub fn of(
        proposal: &Proposal,
        pins: Option<&Arc<Pins>>,
        chains: &Chains,
        caching: Caching,
    ) -> Result<Option<Self>, SourceError> {
        let Some(signers) = proposal.signers() else { return Ok(None) };
        let signatures = ChainSignatures::new(chains, signers, pins.ok_or(SourceError::NotPinned)?)?;
        Ok(Some(Self::Chain(match caching {
            Caching::Shared => signatures.cached(chains, CODE_CACHE_BYTES_DEFAULT),
            Caching::Bypassed => signatures,
        })))
    }

    /// What was recorded of a proposal at `pins`; `None` where only keys sign, or nothing is pinned.
    pub fn recorded(proposal: &Proposal, pins: &Pins, rulings: RecordedRulings) -> Option<Self> {
        let pin = *pins.get(proposal.signers()?)?;
        Some(Self::Recorded { pin, rulings: Arc::new(rulings) })
    }

    /// Where contracts are asked.
    pub const fn pin(&self) -> &Pin {
        match self {
            Self::Chain(signatures) => signatures.pin(),
            Self::Recorded { pin, rulings: _ } => pin,
        }
    }

    /// What each claim's contract says of its signature, in the same order. Only accounts with power are asked about.
    ///
    /// # Errors
    /// Only for the whole: whoever needs it asks again later.
    pub async fn rulings(&self, claims: &[&Claim]) -> Result<Vec<SignatureRuling>, RulingsUnavailable> {
        match self {
            Self::Chain(signatures) => {
                let questions: Vec<_> = claims.iter().map(|claim| claim.question()).collect();
                Ok(signatures.rulings(&questions).await?)
            }
            Self::Recorded { pin: _, rulings } => claims.iter().map(|claim| recorded(rulings, claim)).collect(),
        }
    }
}

fn recorded(rulings: &RecordedRulings, claim: &Claim) -> Result<SignatureRuling, RulingsUnavailable> {
    let (record, voter) = (claim.record(), claim.claimed_voter());
    let of_voter = rulings.get(&record).filter(|(of, _)| *of == voter);
    of_voter.map(|(_, ruling)| *ruling).ok_or(RulingsUnavailable::NotRecorded { record, voter })
}

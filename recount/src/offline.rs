//! Counting a proposal again on request, with nothing but the log open.

use std::{num::NonZeroUsize, sync::Arc};

use pnyx_backbone::{clock, log::Log, proposals::Proposals};
use pnyx_core::{id::ProposalId, result::PublishedResult};
use pnyx_verification::Sources;
use thiserror::Error;

use crate::{
    cut::read_cut,
    evidence::{EvidenceError, recorded_sources},
    recounting::{Progress, ReadError, RecountError, Recounted, recount},
};

/// Why there is nothing to compare.
#[derive(Debug, Error)]
pub enum CompareError {
    /// No such proposal.
    #[error("there is no proposal {proposal} in this log")]
    UnknownProposal {
        /// The id asked for.
        proposal: ProposalId,
    },
    /// The records could not be read.
    #[error("the records could not be read back")]
    Read(#[from] ReadError),
    /// Nobody has decided yet at which blocks power is read.
    #[error("the snapshot of proposal {proposal} is not pinned yet, so its ballots have no power")]
    NotPinned {
        /// The proposal.
        proposal: ProposalId,
    },
    /// The verdicts do not say what the chains said.
    #[error("what the chains said could not be read from the log")]
    Evidence(#[from] EvidenceError),
    /// The recount came to nothing.
    #[error("the recount came to nothing")]
    Recount(#[from] RecountError),
}

/// A recount beside what was published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparison {
    /// The proposal's title.
    pub title: String,
    /// Texts of its choices.
    pub choices: Vec<String>,
    /// Whether the cut is the decided one; else the log was counted to its end, and more may come.
    pub cut_is_decided: bool,
    /// What the records come to.
    pub recounted: Recounted,
    /// What was published, if anything.
    pub published: Option<Arc<PublishedResult>>,
}

impl Comparison {
    /// Whether the recount equals the published result; `None` where nothing is published.
    pub fn agrees(&self) -> Option<bool> {
        let published = self.published.as_ref()?;
        Some(published.core == self.recounted.core && published.provenance == self.recounted.provenance)
    }
}

/// Counts the proposal's raw records again, up to its cut or, where none is decided, up to the end of the log.
pub async fn compare(
    log: &Log,
    proposals: &Proposals,
    proposal: ProposalId,
    threads: NonZeroUsize,
    progress: impl Fn(Progress) + Send + 'static,
) -> Result<Comparison, CompareError> {
    let book = proposals.book();
    let decisions = book.get(proposal).ok_or(CompareError::UnknownProposal { proposal })?;
    let (cut, cut_is_decided) = match &decisions.cut {
        Some(cut) => (cut.as_ref().clone(), true),
        None => (read_cut(log, proposal, clock::now()).await?, false),
    };
    // What chains said as the verdicts have it: nothing but the log is open here.
    let sources = match &decisions.pins {
        Some(pins) => recorded_sources(log, decisions.definition.proposal(), Arc::clone(pins), Some(&cut)).await?,
        None if decisions.waits_for_pins() => return Err(CompareError::NotPinned { proposal }),
        None => Sources::listed(decisions.definition.proposal()),
    };
    let recounted = recount(log, &decisions.definition, &cut, &sources, threads, progress).await?;
    let parts = decisions.definition.proposal().parts();
    Ok(Comparison {
        title: parts.title.clone(),
        choices: parts.choices.clone(),
        cut_is_decided,
        recounted,
        published: decisions.result.clone(),
    })
}

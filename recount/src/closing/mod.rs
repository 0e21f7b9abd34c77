//! Closing proposals: one task each, from the opening of the window to the published result.
//!
//! A task keeps nothing that it could not find again: its phase follows from the clock and the decisions in the book,
//! so a process that is killed anywhere goes on where the log says. Whatever it decides it writes first and then acts
//! on what stands in the book, which may be another's.
//!
//! Any number of processes may do this at once, and one that was held up may go on at any later time: each looks into
//! the book before it decides, and what it decides too late is ignored by everybody alike.
//!
//! A recount that differs from the live tally publishes nothing. It logs an error with both values, records the
//! dispute, raises `pnyx_recount_disputes`, and tries again after [`crate::config::DISPUTE_RETRY_MS`]: a person has to
//! look.

mod life;
mod steps;
mod waiting;

use std::{collections::BTreeSet, sync::Arc};

use pnyx_backbone::{log::Log, proposals::Proposals, shutdown::Shutdown, store::Store};
use pnyx_chains::Chains;
use pnyx_core::{id::ProposalId, lifecycle::Phase, signing::SigningKey};
use thiserror::Error;
use tokio::{
    sync::{Semaphore, broadcast, watch},
    task::JoinSet,
};

use self::life::{Life, OnDispute};
use crate::{
    archive::Archives,
    config::Config,
    metrics::RecountMetrics,
    pinning::{self, Pinning},
    recounting::Progress,
    storing::StoringError,
};

/// Recounts under way at once of proposals that read power from chains, and as many of those where contracts may sign:
/// each keeps its voters in memory while a chain is slow. A chain that does not answer at all is noticed before.
const RECOUNTS_ON_CHAINS_MAX: usize = 4;

/// Whose turn it is. Signature checks of one recount use all its cores, so two at once would only take twice the
/// memory.
///
/// Where contracts may sign, claims are settled on a chain while signatures are checked: such a recount mostly waits,
/// and takes none of the turns of those that do not. The price is that up to [`RECOUNTS_ON_CHAINS_MAX`] of them share
/// the cores with each other and with the one whose turn it is, each with memory of its own.
#[derive(Debug)]
struct Turns {
    /// To check signatures where only keys sign.
    cores: Semaphore,
    /// To look up power on chains where only keys sign.
    chains: Semaphore,
    /// For a whole recount where contracts may sign.
    signers: Semaphore,
    /// To store an archive, which checks all signatures again.
    archives: Semaphore,
}

impl Default for Turns {
    fn default() -> Self {
        let [chains, signers] = [(); 2].map(|()| Semaphore::new(RECOUNTS_ON_CHAINS_MAX));
        Self { cores: Semaphore::new(1), chains, signers, archives: Semaphore::new(1) }
    }
}

/// A proposal came to another phase. After a start each proposal is announced once, in the phase it is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PhaseChange {
    /// The proposal.
    pub proposal: ProposalId,
    /// The phase it is in now.
    pub phase: Phase,
}

/// What the closing works with.
#[derive(Debug, Clone)]
pub struct Closing {
    /// Ground state.
    pub log: Log,
    /// The live tally.
    pub store: Store,
    /// Where power is looked up, past all caches, and snapshots are pinned.
    pub chains: Chains,
    /// What is decided.
    pub proposals: Proposals,
    /// Signs results.
    pub key: SigningKey,
    /// Remembers the ballots of a recount, so that the first archive need not count again; where this process serves
    /// any, or keeps them outside the log.
    pub archives: Option<Arc<Archives>>,
    /// Where numbers go.
    pub metrics: RecountMetrics,
    /// Where phase changes go; nobody has to listen.
    pub phases: broadcast::Sender<PhaseChange>,
    /// How far the recount under way is; nobody has to look.
    pub progress: watch::Sender<Progress>,
}

/// Why one proposal was not closed.
#[derive(Debug, Error)]
pub enum CloseError {
    /// No such proposal.
    #[error("there is no proposal {proposal} in this log")]
    UnknownProposal {
        /// The id asked for.
        proposal: ProposalId,
    },
    /// The process was asked to end; whatever was decided stands, and the next start goes on from there.
    #[error("interrupted before the proposal was closed")]
    Interrupted,
    /// The result stands, its archive is not kept where it should be.
    #[error("the result is published, but its archive is not stored")]
    Archive(#[from] StoringError),
}

/// Pins the snapshot of every proposal there is and every one that comes, and closes them, until shutdown.
pub async fn run(config: Config, closing: Closing, shutdown: Shutdown) {
    tokio::select! {
        () = close_all(config, &closing, &shutdown) => {}
        () = pinning::run(closing.pinning(config)) => {}
    }
}

async fn close_all(config: Config, closing: &Closing, shutdown: &Shutdown) {
    let mut book = closing.proposals.watch();
    let mut known = BTreeSet::new();
    let mut tasks = JoinSet::new();
    let turns = Arc::new(Turns::default());
    loop {
        let proposals: Vec<_> =
            book.borrow_and_update().proposals().iter().map(|(id, made)| (*id, made.clone())).collect();
        for (id, decisions) in proposals {
            if known.insert(id) {
                let mut life = Life::new(config, closing, &turns, id, &decisions);
                tasks.spawn(async move {
                    life.live(&decisions, OnDispute::TryAgain).await;
                    let keeping = life.keeping_archive();
                    tokio::join!(keeping, life.watch_beyond_cut());
                });
            }
        }
        tokio::select! {
            () = shutdown.requested() => break,
            changed = book.changed() => if changed.is_err() { break },
            Some(ended) = tasks.join_next() => {
                if let Err(error) = ended && error.is_panic() {
                    std::panic::resume_unwind(error.into_panic());
                }
            }
        }
    }
    // A task may be dropped anywhere: what it had written is in the log, and the next start goes on from there.
    tasks.shutdown().await;
}

/// Closes one proposal: waits for the end of its window, cuts, drains, recounts and publishes, as far as that is not
/// done yet; and stores the archive where that is kept outside the log. Returns the phase it ends in, final or disputed; one
/// that was disputed before is counted again.
pub async fn close_one(
    config: Config,
    closing: Closing,
    proposal: ProposalId,
    shutdown: Shutdown,
) -> Result<Phase, CloseError> {
    let book = closing.proposals.book();
    let decisions = book.get(proposal).ok_or(CloseError::UnknownProposal { proposal })?;
    let mut life = Life::new(config, &closing, &Arc::new(Turns::default()), proposal, decisions);
    tokio::select! {
        () = shutdown.requested() => Err(CloseError::Interrupted),
        phase = life.close(decisions) => phase,
        () = pinning::run(closing.pinning(config)) => Err(CloseError::Interrupted),
    }
}

/// Decides the blocks at which one proposal reads its chains, as soon as they are final.
///
/// # Errors
/// If there is no such proposal, or the shutdown was requested before.
pub async fn pin_one(
    config: Config,
    pinned: Pinned,
    proposal: ProposalId,
    shutdown: Shutdown,
) -> Result<(), CloseError> {
    let Pinned { chains, proposals, metrics } = pinned;
    tokio::select! {
        () = shutdown.requested() => Err(CloseError::Interrupted),
        pinned = pinning::pin_one(Pinning { proposals, chains, metrics, poll: config.pin_poll }, proposal) => pinned,
    }
}

/// What pinning one proposal works with: no store, and no key.
#[derive(Debug)]
pub struct Pinned {
    /// The chains.
    pub chains: Chains,
    /// What is decided.
    pub proposals: Proposals,
    /// What is counted.
    pub metrics: RecountMetrics,
}

impl Closing {
    fn pinning(&self, config: Config) -> Pinning {
        Pinning {
            proposals: self.proposals.clone(),
            chains: self.chains.clone(),
            metrics: self.metrics.clone(),
            poll: config.pin_poll,
        }
    }
}

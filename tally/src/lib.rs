//! The tally: folds verdicts lane by lane into the store, exactly once, and serves what is in it to readers.
//!
//! [`run`] starts the owners of the lanes that are this process's own; [`api::router`] is the read API over the same
//! store and log, which any process answers alike, whoever owns the lanes.

pub mod api;
mod backoff;
mod chain_watch;
mod ends;
mod lanes;
mod metrics;
mod powers;
mod recent;

use std::sync::Arc;

use pnyx_backbone::{
    disabled::DisabledProposals,
    drain,
    log::{Log, LogError},
    proposals::Proposals,
    shutdown::Shutdown,
    store::{Store, StoreError},
    telemetry::Metrics,
};
use pnyx_chains::Chains;
use pnyx_core::id::ProposalId;

use chain_watch::ChainWatch;
use ends::Ends;
use metrics::TallyMetrics;
use powers::Powers;

/// Most readers of event streams in one process unless configured otherwise: each costs a socket and a few kilobytes,
/// so that many stay well below usual limits of open files and 100 MB.
pub const EVENT_READERS_MAX_DEFAULT: usize = 10_000;

/// The group whose members share the lanes of all proposals.
pub const TALLY_GROUP: &str = "tally";

/// What a tally can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// Most readers of event streams at once; one more is answered 503.
    pub event_readers_max: usize,
}

/// A running tally. Clones share it.
#[derive(Debug, Clone)]
pub struct Tally {
    config: Config,
    log: Log,
    store: Store,
    proposals: Proposals,
    shutdown: Shutdown,
    metrics: TallyMetrics,
    /// Proposals whose lanes nobody here owns, because something is wrong with what belongs to them.
    disabled: DisabledProposals,
    ends: Ends,
    powers: Powers,
    chain_watch: ChainWatch,
}

impl Default for Config {
    fn default() -> Self {
        Self { event_readers_max: EVENT_READERS_MAX_DEFAULT }
    }
}

/// Joins the group of tallies and owns the lanes that it is assigned, of every proposal in the book now and later, until
/// the shutdown. Proposals are registered in the store whoever owns their lanes, so that this process can read them. Chains
/// are asked for readers alone, who want to know a voter's power, or why ballots wait. What is wrong with one proposal's topic or lanes disables that proposal; only what concerns the whole log ends the tasks.
pub fn run(
    config: Config,
    log: Log,
    store: Store,
    chains: Chains,
    proposals: Proposals,
    shutdown: &Shutdown,
    metrics: &Metrics,
) -> Tally {
    let tally = Tally::new(config, log, store, chains, proposals, shutdown, metrics);
    shutdown.spawn("tally registration", lanes::register(tally.clone()));
    shutdown.spawn("tally", lanes::follow(tally.clone()));
    shutdown.spawn("chain watch", tally.clone().watch_chains());
    tally
}

impl Tally {
    fn new(
        config: Config,
        log: Log,
        store: Store,
        chains: Chains,
        proposals: Proposals,
        shutdown: &Shutdown,
        metrics: &Metrics,
    ) -> Self {
        let disabled = DisabledProposals::default();
        metrics.register(|registry| disabled.register(registry, "tally_disabled_proposals"));
        let metrics = metrics.register(TallyMetrics::register);
        let ends = Ends::new(log.clone(), shutdown.clone());
        let chain_watch = ChainWatch::new(chains.clone(), metrics.clone());
        let powers = Powers::new(chains);
        Self { config, log, store, proposals, shutdown: shutdown.clone(), metrics, disabled, ends, powers, chain_watch }
    }

    async fn watch_chains(self) {
        tokio::select! {
            () = self.shutdown.requested() => {}
            () = self.chain_watch.run(self.log.clone(), self.ends.clone(), self.proposals.clone()) => {}
        }
    }

    /// Whether every lane is in the store up to `ends` (by lane) and, once the proposal's cut is known, holds nothing
    /// at or above the cut.
    ///
    /// # Errors
    /// If the store cannot say.
    pub async fn drained_to(&self, proposal: ProposalId, ends: &[u64]) -> Result<bool, StoreError> {
        let has_cut = self.proposals.book().get(proposal).is_some_and(|decisions| decisions.cut.is_some());
        drain::tally_reached(&self.store, self.log.identity(), proposal, ends, has_cut).await
    }
}

/// Why something could not be read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReadError {
    /// The log could not answer.
    #[error("the log cannot be read")]
    Log(#[from] LogError),
    /// The store could not answer.
    #[error("the store cannot be read")]
    Store(#[from] StoreError),
    /// Log or store did not answer in time.
    #[error("log or store do not answer")]
    Slow,
}

/// What is shared by reference between tasks.
type Shared<T> = Arc<std::sync::Mutex<T>>;

/// Locks what no holder leaves half changed, even one that panics.
fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

//! The tally: folds verdicts lane by lane into the store, exactly once, and serves what is in it to readers.
//!
//! [`run`] starts the owners of all lanes; [`api::router`] is the read API over the same store and log.

pub mod api;
mod lanes;
mod metrics;
mod phase;

use std::sync::Arc;

use pnyx_backbone::{
    log::{Log, LogError, Topic, VERIFIER_GROUP},
    proposals::Proposals,
    shutdown::Shutdown,
    store::{Store, StoreError},
    telemetry::Metrics,
};
use pnyx_core::{
    id::{Lane, ProposalId},
    result::Cut,
};

pub use phase::{Evidence, phase};

use metrics::TallyMetrics;

/// Most readers of event streams in one process unless configured otherwise: each costs a socket and a few kilobytes,
/// so that many stay well below usual limits of open files and 100 MB.
pub const EVENT_READERS_MAX_DEFAULT: usize = 10_000;

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
}

impl Default for Config {
    fn default() -> Self {
        Self { event_readers_max: EVENT_READERS_MAX_DEFAULT }
    }
}

/// Starts an owner for every lane of every proposal in the book, now and whenever one is added, until the shutdown.
pub fn run(
    config: Config,
    log: Log,
    store: Store,
    proposals: Proposals,
    shutdown: &Shutdown,
    metrics: &Metrics,
) -> Tally {
    let metrics = metrics.register(TallyMetrics::register);
    let tally = Tally { config, log, store, proposals, shutdown: shutdown.clone(), metrics };
    shutdown.spawn("tally", lanes::follow(tally.clone()));
    tally
}

impl Tally {
    /// Whether every lane is in the store up to `ends` (by lane) and, once the proposal's cut is known, holds nothing
    /// at or above the cut.
    ///
    /// # Errors
    /// If the store cannot say.
    pub async fn drained_to(&self, proposal: ProposalId, ends: &[u64]) -> Result<bool, StoreError> {
        let has_cut = self.proposals.book().get(proposal).is_some_and(|decisions| decisions.cut.is_some());
        let identity = self.log.identity();
        for (lane, end) in (0_u16..).zip(ends) {
            let position = self.store.lane_position(proposal, Lane(lane)).await?;
            let position = position.filter(|position| position.log == identity);
            let has_reached = position.map_or(0, |position| position.next_offset) >= *end;
            let is_below_cut = position.is_some_and(|position| position.below_cut);
            if !has_reached || (has_cut && !is_below_cut) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether the live tally holds all that lies below the cut: the verifiers' offsets reached it, the lanes' ends were
    /// read after that, and the lanes reached those.
    ///
    /// # Errors
    /// If log or store cannot say.
    pub async fn is_drained(&self, cut: &Cut) -> Result<bool, ReadError> {
        let committed = self.log.committed(&Topic::ballots(cut.proposal), VERIFIER_GROUP).await?;
        let is_verified = (0..).zip(&cut.partitions).all(|(partition, end)| {
            let partition: usize = partition;
            committed.get(partition).copied().unwrap_or(0) >= end.end_offset
        });
        if !is_verified {
            return Ok(false);
        }
        let ends = self.log.ends(&Topic::verdicts(cut.proposal)).await?;
        Ok(self.drained_to(cut.proposal, &ends).await?)
    }

    /// The end offset of each partition; of a topic that is not made yet, none.
    async fn ends(&self, topic: &Topic) -> Result<Vec<u64>, LogError> {
        match self.log.ends(topic).await {
            Err(LogError::UnknownTopic { .. }) => Ok(Vec::new()),
            answer => answer,
        }
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
}

/// What is shared by reference between tasks.
type Shared<T> = Arc<std::sync::Mutex<T>>;

/// Locks what no holder leaves half changed, even one that panics.
fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

//! The verifier: shards that read ballot records, write verdicts, and commit once the verdicts are durable.
//!
//! A shard keeps no state, so any number of them may share a proposal, come and go, and see records again: a repeated
//! verdict is the same verdict. Every proposal with a definition and without a result has its shards; what they write
//! after the cut says nothing, because only records below it count.

mod config;
mod lag;
mod metrics;
mod shard;

pub use config::VerifierConfig;
pub use shard::ShardError;

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroUsize,
    sync::Arc,
    time::Duration,
};

use pnyx_backbone::{log::Log, proposals::Proposals, shutdown::Shutdown, telemetry::Metrics};
use pnyx_core::{decisions::DecisionBook, id::ProposalId};
use thiserror::Error;
use tokio::{sync::Semaphore, task::JoinSet, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{metrics::VerifierMetrics, shard::Shard};

/// How often lag and age are measured: often enough for an alarm, seldom enough to cost nothing.
const LAG_INTERVAL: Duration = Duration::from_secs(1);

/// Why the verifier ended.
#[derive(Debug, Error)]
pub enum VerifierError {
    /// A shard could not go on.
    #[error("a shard of proposal {proposal} failed")]
    Shard {
        /// The shard's proposal.
        proposal: ProposalId,
        /// What happened to it.
        #[source]
        source: ShardError,
    },
    /// A shard panicked.
    #[error("a shard panicked")]
    Panic(#[source] tokio::task::JoinError),
}

/// Runs shards for every live proposal until the shutdown, then lets each finish and commit the batch in hand.
pub async fn run(
    config: VerifierConfig,
    log: Log,
    proposals: Proposals,
    shutdown: Shutdown,
    metrics: &Metrics,
) -> Result<(), VerifierError> {
    let verifier = Verifier {
        config,
        log,
        // Signature checks take whole cores: as many at once as there are, however many shards wait for one.
        cores: Arc::new(Semaphore::new(std::thread::available_parallelism().map_or(1, NonZeroUsize::get))),
        metrics: metrics.register(VerifierMetrics::register),
        live: BTreeMap::new(),
        shards: JoinSet::new(),
    };
    verifier.follow(proposals, shutdown).await
}

struct Verifier {
    config: VerifierConfig,
    log: Log,
    cores: Arc<Semaphore>,
    metrics: VerifierMetrics,
    /// Stops the shards of a proposal.
    live: BTreeMap<ProposalId, CancellationToken>,
    shards: JoinSet<(ProposalId, Result<(), ShardError>)>,
}

impl Verifier {
    async fn follow(mut self, proposals: Proposals, shutdown: Shutdown) -> Result<(), VerifierError> {
        let mut book = proposals.watch();
        let mut measure = tokio::time::interval(LAG_INTERVAL);
        measure.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let current = Arc::clone(&book.borrow_and_update());
            self.start_and_stop(&current);
            tokio::select! {
                () = shutdown.requested() => break,
                changed = book.changed() => {
                    if changed.is_err() {
                        break;
                    }
                }
                Some(ended) = self.shards.join_next() => note_end(ended)?,
                _ = measure.tick() => self.measure_lag().await,
            }
        }
        self.live.values().for_each(CancellationToken::cancel);
        while let Some(ended) = self.shards.join_next().await {
            note_end(ended)?;
        }
        Ok(())
    }

    /// Proposals that have a definition and no result are live; nothing that stands in the book is ever taken back.
    fn start_and_stop(&mut self, book: &DecisionBook) {
        let live = book.proposals().iter().filter(|(_, decisions)| decisions.result.is_none());
        let live: BTreeSet<_> = live.map(|(id, _)| *id).collect();
        self.live.retain(|id, stop| {
            let stays = live.contains(id);
            if !stays {
                info!(proposal = %id, "result recorded, shards stop");
                stop.cancel();
            }
            stays
        });
        for id in live {
            if let Some(decisions) = book.get(id).filter(|_| !self.live.contains_key(&id)) {
                let stop = CancellationToken::new();
                let shard =
                    Shard::new(&self.config, &self.log, &decisions.definition, &self.cores, &self.metrics, &stop);
                for _ in 0..self.config.shards.get() {
                    let shard = shard.clone();
                    self.shards.spawn(async move { (id, shard.run().await) });
                }
                info!(proposal = %id, shards = self.config.shards, "shards started");
                self.live.insert(id, stop);
            }
        }
        self.metrics.proposals.set(i64::try_from(self.live.len()).unwrap_or(i64::MAX));
    }

    async fn measure_lag(&self) {
        match lag::measure(&self.log, self.live.keys().copied()).await {
            Ok(lag) => self.metrics.set_lag(lag),
            // The gauges keep what they said.
            Err(error) => warn!(%error, "lag could not be measured"),
        }
    }
}

type Ended = Result<(ProposalId, Result<(), ShardError>), tokio::task::JoinError>;

fn note_end(ended: Ended) -> Result<(), VerifierError> {
    let (proposal, result) = ended.map_err(VerifierError::Panic)?;
    result.map_err(|source| VerifierError::Shard { proposal, source })
}

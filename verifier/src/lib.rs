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
    convert::Infallible,
    num::NonZeroUsize,
    sync::Arc,
    time::Duration,
};

use pnyx_backbone::{
    log::Log,
    proposals::Proposals,
    shutdown::Shutdown,
    telemetry::{self, Metrics},
};
use pnyx_core::{decisions::DecisionBook, id::ProposalId};
use thiserror::Error;
use tokio::{
    sync::{Semaphore, watch},
    task::JoinSet,
    time::MissedTickBehavior,
};
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
    let metrics = metrics.register(VerifierMetrics::register);
    let measuring = measure_lag(log.clone(), proposals.watch(), metrics.clone());
    let verifier = Verifier {
        config,
        log,
        // Signature checks take whole cores: as many at once as there are, however many shards wait for one.
        cores: Arc::new(Semaphore::new(std::thread::available_parallelism().map_or(1, NonZeroUsize::get))),
        metrics,
        live: BTreeMap::new(),
        shards: JoinSet::new(),
    };
    // Beside the shards, because a log that is out of reach keeps the question waiting.
    tokio::select! {
        ended = verifier.follow(proposals, shutdown) => ended,
        never = measuring => match never {},
    }
}

/// Measures what waits for a verdict, for as long as it is asked to.
async fn measure_lag(log: Log, book: watch::Receiver<Arc<DecisionBook>>, metrics: VerifierMetrics) -> Infallible {
    let mut interval = tokio::time::interval(LAG_INTERVAL);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        let current = Arc::clone(&book.borrow());
        match lag::measure(&log, live(&current)).await {
            Ok(lag) => metrics.set_lag(lag),
            // The gauges keep what they said, and the time of it.
            Err(error) => warn!(error = telemetry::chain(&error), "lag could not be measured"),
        }
    }
}

/// Proposals that have a definition and no result; nothing that stands in the book is ever taken back.
fn live(book: &DecisionBook) -> impl Iterator<Item = ProposalId> {
    book.proposals().iter().filter(|(_, decisions)| decisions.result.is_none()).map(|(id, _)| *id)
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
            }
        }
        self.live.values().for_each(CancellationToken::cancel);
        while let Some(ended) = self.shards.join_next().await {
            note_end(ended)?;
        }
        Ok(())
    }

    fn start_and_stop(&mut self, book: &DecisionBook) {
        let live: BTreeSet<_> = live(book).collect();
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
}

type Ended = Result<(ProposalId, Result<(), ShardError>), tokio::task::JoinError>;

fn note_end(ended: Ended) -> Result<(), VerifierError> {
    let (proposal, result) = ended.map_err(VerifierError::Panic)?;
    result.map_err(|source| VerifierError::Shard { proposal, source })
}

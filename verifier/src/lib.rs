//! The verifier: shards that read ballot records, write verdicts, and commit once the verdicts are durable.
//!
//! Shards keep no state, so any number of them may share a proposal, come and go, and see records again: a repeated
//! verdict is the same verdict. Where contracts may sign, records that no key signed are deferred: appended to a topic
//! of their own, whose shards ask the contracts, so that contract wallets never hold back plain ones. Every proposal
//! with a definition and without a result has its shards, or one proposal alone where a process is for that; what they
//! write after the cut says nothing, because only records below it count. What is wrong with one proposal's topics
//! disables that proposal, which is looked at again after a while; only what concerns the whole log ends the verifier.

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
    disabled::DisabledProposals,
    log::Log,
    proposals::Proposals,
    shutdown::Shutdown,
    telemetry::{self, Metrics},
};
use pnyx_chains::Chains;
use pnyx_core::{
    decisions::{DecisionBook, ProposalDecisions},
    id::ProposalId,
};
use pnyx_verification::{Caching, ContractSigners, PowerSource, SourceError};
use thiserror::Error;
use tokio::{
    sync::{Semaphore, watch},
    task::{JoinError, JoinSet},
    time::MissedTickBehavior,
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    metrics::VerifierMetrics,
    shard::{QUESTIONS_MAX, Shards},
};

/// How often lag and age are measured: often enough for an alarm, seldom enough to cost nothing.
const LAG_INTERVAL: Duration = Duration::from_secs(1);

/// Proposals whose topics are looked at at once: a process that starts with hundreds has them soon, and asks the brokers
/// no more than a few questions at a time.
const LOOKS_MAX: usize = 8;

/// Why the verifier ended.
#[derive(Debug, Error)]
pub enum VerifierError {
    /// The log can no longer be used.
    #[error("the shards of proposal {proposal} failed")]
    Shard {
        /// The proposal of those who noticed.
        proposal: ProposalId,
        /// What happened to them.
        #[source]
        source: ShardError,
    },
    /// A shard panicked.
    #[error("a shard panicked")]
    Panic(#[source] JoinError),
}

/// Runs shards for every live proposal until the shutdown, then lets each finish and commit the batch in hand.
pub async fn run(
    config: VerifierConfig,
    log: Log,
    chains: Chains,
    proposals: Proposals,
    shutdown: Shutdown,
    metrics: &Metrics,
) -> Result<(), VerifierError> {
    let disabled = DisabledProposals::default();
    metrics.register(|registry| disabled.register(registry, "verifier_disabled_proposals"));
    let metrics = metrics.register(VerifierMetrics::register);
    let measuring = measure_lag(config.only, log.clone(), proposals.watch(), disabled.clone(), metrics.clone());
    let verifying = Verifying {
        config,
        log,
        chains,
        disabled,
        looks: Arc::new(Semaphore::new(LOOKS_MAX)),
        // Signature checks take whole cores: as many at once as there are, however many shards wait for one.
        cores: Arc::new(Semaphore::new(std::thread::available_parallelism().map_or(1, NonZeroUsize::get))),
        questions: Arc::new(Semaphore::new(QUESTIONS_MAX)),
        metrics,
    };
    let verifier = Verifier { verifying, live: BTreeMap::new(), shards: JoinSet::new(), waiting: BTreeMap::new() };
    // Beside the shards, because a log that is out of reach keeps the question waiting.
    tokio::select! {
        ended = verifier.follow(proposals, shutdown) => ended,
        never = measuring => match never {},
    }
}

/// Measures what waits for a verdict, for as long as it is asked to.
async fn measure_lag(
    only: Option<ProposalId>,
    log: Log,
    book: watch::Receiver<Arc<DecisionBook>>,
    disabled: DisabledProposals,
    metrics: VerifierMetrics,
) -> Infallible {
    let mut interval = tokio::time::interval(LAG_INTERVAL);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        let current = Arc::clone(&book.borrow());
        let enabled = live(&current, only).filter(|proposal| !disabled.is_disabled(*proposal));
        let has_deferred = |id| current.get(id).is_some_and(|made| made.definition.proposal().signers().is_some());
        let enabled = enabled.map(|id| (id, has_deferred(id)));
        match lag::measure(&log, enabled).await {
            Ok(lag) => metrics.set_lag(lag),
            // The gauges keep what they said, and the time of it.
            Err(error) => warn!(error = telemetry::chain(&error), "lag could not be measured"),
        }
    }
}

/// Proposals that have a definition and no result; nothing that stands in the book is ever taken back.
fn live(book: &DecisionBook, only: Option<ProposalId>) -> impl Iterator<Item = ProposalId> {
    let unfinished = book.proposals().iter().filter(|(_, decisions)| decisions.result.is_none()).map(|(id, _)| *id);
    unfinished.filter(move |id| only.is_none_or(|only| only == *id))
}

/// What the shards of all proposals share.
struct Verifying {
    config: VerifierConfig,
    log: Log,
    chains: Chains,
    disabled: DisabledProposals,
    looks: Arc<Semaphore>,
    cores: Arc<Semaphore>,
    questions: Arc<Semaphore>,
    metrics: VerifierMetrics,
}

/// What runs of a proposal.
struct Live {
    /// Those that read its ballots.
    shards: Shards,
    /// Whether nothing is left to start: others ask contracts about what these defer, where contracts may sign.
    is_complete: bool,
    /// Stops all of them.
    stop: CancellationToken,
}

struct Verifier {
    verifying: Verifying,
    live: BTreeMap<ProposalId, Live>,
    shards: JoinSet<ShardsEnded>,
    /// Proposals that nobody can weigh yet, and why.
    waiting: BTreeMap<ProposalId, SourceError>,
}

impl Verifier {
    async fn follow(mut self, proposals: Proposals, shutdown: Shutdown) -> Result<(), VerifierError> {
        let mut book = proposals.watch();
        let disabled = self.verifying.disabled.clone();
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
                Some(ended) = self.shards.join_next() => self.note_end(ended)?,
                due = disabled.due() => self.start(&current, due),
            }
        }
        self.live.values().for_each(|live| live.stop.cancel());
        while let Some(ended) = self.shards.join_next().await {
            self.note_end(ended)?;
        }
        Ok(())
    }

    fn start_and_stop(&mut self, book: &DecisionBook) {
        let live: BTreeSet<_> = live(book, self.verifying.config.only).collect();
        self.live.retain(|id, running| {
            let stays = live.contains(id);
            if !stays {
                info!(proposal = %id, "result recorded, shards stop");
                running.stop.cancel();
            }
            stays
        });
        self.waiting.retain(|id, _| live.contains(id));
        // Those that voters wait for come first.
        let is_closed = |id: &ProposalId| book.get(*id).is_some_and(|decisions| decisions.cut.is_some());
        let (closed, open): (Vec<_>, Vec<_>) = live.into_iter().partition(is_closed);
        let enabled = open.into_iter().chain(closed).filter(|id| !self.verifying.disabled.is_disabled(*id));
        let enabled: Vec<_> = enabled.collect();
        self.start(book, enabled);
    }

    /// Starts the shards of proposals that have none. One that is disabled is enabled by them if nothing is wrong any more.
    fn start(&mut self, book: &DecisionBook, proposals: Vec<ProposalId>) {
        for id in proposals {
            let Some(decisions) = book.get(id).filter(|decisions| decisions.result.is_none()) else {
                self.verifying.disabled.forget(id);
                continue;
            };
            self.start_one(id, decisions);
        }
        self.verifying.metrics.power.unpinned.set(i64::try_from(self.waiting.len()).unwrap_or(i64::MAX));
        self.verifying.metrics.proposals.set(i64::try_from(self.live.len()).unwrap_or(i64::MAX));
    }

    /// Starts what does not run of a proposal. Where power is listed, only what contracts may have signed waits for chains.
    fn start_one(&mut self, id: ProposalId, decisions: &ProposalDecisions) {
        let (proposal, pins) = (decisions.definition.proposal(), decisions.pins.as_ref());
        let chains = &self.verifying.chains;
        let mut waits = None;
        if !self.live.contains_key(&id) {
            match PowerSource::of(proposal, pins, chains, Caching::Shared) {
                Ok(power) => {
                    let stop = CancellationToken::new();
                    let shards = Shards::new(&self.verifying, decisions, power, &stop);
                    self.shards.spawn(run_shards(id, shards.clone(), stop.clone()));
                    info!(proposal = %id, shards = self.verifying.config.shards, "shards started");
                    self.live.insert(id, Live { shards, is_complete: false, stop });
                }
                Err(reason) => waits = Some(reason),
            }
        }
        if let Some(live) = self.live.get_mut(&id).filter(|live| !live.is_complete) {
            match ContractSigners::of(proposal, pins, chains, Caching::Shared) {
                Ok(contracts) => {
                    live.is_complete = true;
                    if let Some(contracts) = contracts {
                        let asking = live.shards.asking(contracts);
                        self.shards.spawn(run_shards(id, asking, live.stop.clone()));
                    }
                }
                Err(reason) => waits = Some(reason),
            }
        }
        match waits {
            Some(reason) if self.waiting.insert(id, reason) != Some(reason) => {
                warn!(proposal = %id, %reason, "ballots wait in the log");
            }
            Some(_) => {}
            None => drop(self.waiting.remove(&id)),
        }
    }

    /// What is wrong with one proposal disables that one; anything else ends the verifier.
    fn note_end(&mut self, ended: Result<ShardsEnded, JoinError>) -> Result<(), VerifierError> {
        let ShardsEnded { proposal, result, stop } = ended.map_err(VerifierError::Panic)?;
        let Err(source) = result else { return Ok(()) };
        let Some(fault) = source.fault() else { return Err(VerifierError::Shard { proposal, source }) };
        if stop.is_cancelled() {
            // The other shards ended before, perhaps of the same; what runs now was started since.
            return Ok(());
        }
        if let Some(live) = self.live.remove(&proposal) {
            // Its other shards read or write the same topics.
            live.stop.cancel();
        }
        self.verifying.disabled.disable(proposal, fault, &source);
        Ok(())
    }
}

/// Shards that run no more.
struct ShardsEnded {
    proposal: ProposalId,
    result: Result<(), ShardError>,
    /// What stops all shards of the proposal that were started with them.
    stop: CancellationToken,
}

async fn run_shards(proposal: ProposalId, shards: Shards, stop: CancellationToken) -> ShardsEnded {
    ShardsEnded { proposal, result: shards.run().await, stop }
}

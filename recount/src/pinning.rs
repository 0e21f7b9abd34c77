//! Pinning: decides at which blocks the chains of a proposal are read, as soon as these are final.
//!
//! One task for each proposal that reads chains and has no pins. What a rule names follows from the chain alone, so any
//! number of processes may do this at once: the first decision stands and the others say the same. Until then ballots
//! are accepted and wait in the log, because no verifier reads them.

use std::{collections::BTreeSet, sync::Arc, time::Instant};

use futures_util::future::try_join_all;
use pnyx_backbone::{
    clock,
    proposals::{DecideError, Proposals},
    telemetry,
};
use pnyx_chains::{Chain, ChainError, ChainPower, ChainPowerError, Chains, CheckError, PinError};
use pnyx_core::{
    chain::{ChainId, Pin, Pins, SnapshotRule},
    decisions::{Decision, DecisionBook},
    id::ProposalId,
    proposal::{Definition, Proposal},
    time::TimestampMs,
};
use thiserror::Error;
use tokio::{
    task::JoinSet,
    time::{Duration, sleep},
};
use tracing::{error, info, warn};

use crate::{closing::CloseError, metrics::RecountMetrics};

/// Longest sleep before the wall clock is read again: it may be set while we wait.
const SLEEP_MS_MAX: u64 = 60 * 1_000;

/// How often a pin that takes long says what it waits for: finality takes a quarter of an hour on some chains.
const WAITING_SAID_EVERY: Duration = Duration::from_secs(60);

/// What pinning works with.
#[derive(Debug, Clone)]
pub(crate) struct Pinning {
    pub(crate) proposals: Proposals,
    pub(crate) chains: Chains,
    pub(crate) metrics: RecountMetrics,
    /// How long to wait before a chain is asked again.
    pub(crate) poll: Duration,
}

/// Why nobody can say yet which blocks a proposal's rules name.
#[derive(Debug, Error)]
pub(crate) enum PinningError {
    #[error("no endpoint of chain {0} is configured: name one with --chain {0}=URL")]
    NoEndpoint(ChainId),
    #[error("chain {chain} has no block for its snapshot rule yet")]
    Chain {
        chain: ChainId,
        #[source]
        source: PinError,
    },
    #[error("no endpoint is configured of a chain that power is read from")]
    Power(#[from] ChainPowerError),
    #[error("whether the strategies can answer is not known")]
    Strategies(#[source] ChainError),
    #[error("the decision was not made")]
    Decide(#[from] DecideError),
}

/// Pins every proposal there is and every one that comes, for as long as it is asked to.
pub(crate) async fn run(pinning: Pinning) {
    let mut book = pinning.proposals.watch();
    let mut known = BTreeSet::new();
    let mut tasks = JoinSet::new();
    loop {
        let unpinned = unpinned(&book.borrow_and_update());
        for definition in unpinned {
            if known.insert(definition.proposal().id()) {
                tasks.spawn(pinning.clone().pin(definition));
            }
        }
        tokio::select! {
            changed = book.changed() => if changed.is_err() { break },
            Some(ended) = tasks.join_next() => {
                if let Err(error) = ended && error.is_panic() {
                    std::panic::resume_unwind(error.into_panic());
                }
            }
        }
    }
}

/// Pins one proposal; `Ok` once its pins stand in the book, whoever decided them.
pub(crate) async fn pin_one(pinning: Pinning, proposal: ProposalId) -> Result<(), CloseError> {
    let book = pinning.proposals.book();
    let decisions = book.get(proposal).ok_or(CloseError::UnknownProposal { proposal })?;
    if decisions.waits_for_pins() {
        pinning.pin(Arc::clone(&decisions.definition)).await;
    }
    Ok(())
}

fn unpinned(book: &DecisionBook) -> Vec<Arc<Definition>> {
    let waits = book.proposals().values().filter(|decisions| decisions.waits_for_pins());
    waits.map(|decisions| Arc::clone(&decisions.definition)).collect()
}

impl Pinning {
    /// Tries until the proposal's pins stand in the book, whoever decided them.
    async fn pin(self, definition: Arc<Definition>) {
        let proposal = definition.proposal();
        self.metrics.unpinned.inc();
        let mut said_at: Option<Instant> = None;
        sleep_until(proposal.snapshots_from()).await;
        while let Err(error) = self.try_pin(&definition).await {
            if said_at.is_none_or(|said_at| said_at.elapsed() >= WAITING_SAID_EVERY) {
                said_at = Some(Instant::now());
                let waits_for = telemetry::chain(&error);
                if error.is_early() {
                    info!(proposal = %proposal.id(), waits_for, "the snapshot is not final yet");
                } else {
                    warn!(proposal = %proposal.id(), waits_for, "the snapshot cannot be pinned, trying again");
                }
            }
            sleep(self.poll).await;
        }
        self.metrics.unpinned.dec();
    }

    async fn try_pin(&self, definition: &Definition) -> Result<(), PinningError> {
        let proposal = definition.proposal();
        let id = proposal.id();
        if self.is_pinned(id) {
            return Ok(());
        }
        let rules = proposal.parts().snapshots.iter();
        let pins = try_join_all(rules.map(|(chain, rule)| find(&self.chains, *chain, *rule))).await?;
        let pins = Pins::new(id, pins).expect("the rules of a proposal that waits are at least one, one a chain");
        self.try_strategies(proposal, &pins).await?;
        // Asking takes a while; another may have decided meanwhile.
        if !self.is_pinned(id) {
            for pin in pins.by_chain().values() {
                info!(proposal = %id, chain = %pin.chain, block = %pin.number, hash = %pin.hash, "snapshot pinned");
            }
            self.proposals.decide(Decision::Pins(pins)).await?;
        }
        Ok(())
    }

    /// Says loudly if a strategy can answer for nobody at these blocks. They are pinned all the same: the rules name
    /// them, and what follows for the ballots is a fact. Where it can be known before the window, `pnyx propose`
    /// refuses.
    async fn try_strategies(&self, proposal: &Proposal, pins: &Pins) -> Result<(), PinningError> {
        let power = ChainPower::new(&self.chains, &proposal.parts().strategies, pins)?;
        match power.can_answer().await {
            Ok(()) => Ok(()),
            Err(never @ CheckError::Never { .. }) => {
                self.metrics.unanswerable.inc();
                let problem = telemetry::chain(&never);
                error!(proposal = %proposal.id(), problem, "no ballot has power: a strategy can answer for nobody");
                Ok(())
            }
            Err(CheckError::Chain(error)) => Err(PinningError::Strategies(error)),
        }
    }

    fn is_pinned(&self, id: ProposalId) -> bool {
        self.proposals.book().get(id).is_some_and(|decisions| decisions.pins.is_some())
    }
}

/// The block that a rule names.
async fn find(chains: &Chains, chain: ChainId, rule: SnapshotRule) -> Result<Pin, PinningError> {
    let endpoints = chains.get(chain).ok_or(PinningError::NoEndpoint(chain))?;
    endpoints.pin(rule).await.map_err(|source| PinningError::Chain { chain, source })
}

/// The block that a rule names, to hold a decided pin against it; `None` if the chain began later.
pub(crate) async fn named_block(chain: &Chain, rule: SnapshotRule) -> Result<Option<Pin>, PinError> {
    match chain.pin(rule).await {
        Ok(pin) => Ok(Some(pin)),
        Err(PinError::BeforeFirstBlock) => Ok(None),
        Err(error @ (PinError::NotYet { .. } | PinError::Chain(_))) => Err(error),
    }
}

/// Which of the decided pins are not the blocks that the proposal's rules name, as people are told. Whoever decided
/// them may have been wrong, or have asked an endpoint that was.
pub(crate) async fn differences(
    proposal: &Proposal,
    pins: &Pins,
    chains: &Chains,
) -> Result<Vec<String>, PinningError> {
    let mut differences = Vec::new();
    for (chain, rule) in &proposal.parts().snapshots {
        let decided = pins.get(*chain).map(block);
        let endpoints = chains.get(*chain).ok_or(PinningError::NoEndpoint(*chain))?;
        let named = named_block(endpoints, *rule).await;
        let named = named.map_err(|source| PinningError::Chain { chain: *chain, source })?.as_ref().map(block);
        if decided != named {
            let [decided, named] = [decided, named].map(|block| block.unwrap_or_else(|| "no block".to_owned()));
            differences.push(format!("chain {chain}: pinned {decided}, but the snapshot rule names {named}"));
        }
    }
    Ok(differences)
}

fn block(pin: &Pin) -> String {
    format!("block {} ({}, {} s)", pin.number, pin.hash, pin.timestamp_s)
}

impl PinningError {
    /// Whether nothing is wrong but the time.
    const fn is_early(&self) -> bool {
        matches!(self, Self::Chain { source: PinError::NotYet { .. }, .. })
    }
}

/// Sleeps until the wall clock shows `time`.
async fn sleep_until(time: TimestampMs) {
    loop {
        let left_ms = time.saturating_since_ms(clock::now());
        if left_ms == 0 {
            return;
        }
        sleep(Duration::from_millis(left_ms.min(SLEEP_MS_MAX))).await;
    }
}

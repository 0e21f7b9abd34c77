//! The writers: one task a lane reads its verdicts, folds them and applies them to the store.

mod fold;
mod orphans;
mod owner;
mod owners;
mod places;
mod progress;
mod restore;
mod topics;
mod traced;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use pnyx_backbone::{
    disabled::Fault,
    log::{Assigned, LogError},
    store::StoreError,
    telemetry,
};
use pnyx_core::{counting::CountingRules, decisions::DecisionBook, id::ProposalId};
use thiserror::Error;
use tokio::sync::watch;
use tracing::{error, warn};

use crate::{TALLY_GROUP, Tally, backoff::Backoff};
use orphans::Patience;
use owners::Owners;

/// Why lanes cannot be owned. What is about one proposal disables that one; the rest ends the process.
#[derive(Debug, Error)]
pub(crate) enum LaneError {
    /// The group could not be joined.
    #[error("the group of tallies cannot be joined")]
    Join(#[source] LogError),
    /// The verdicts cannot be read until somebody mends their topic.
    #[error("verdicts of proposal {proposal} cannot be read")]
    Log {
        /// The proposal.
        proposal: ProposalId,
        /// The log's answer.
        #[source]
        source: LogError,
    },
    /// The store has the proposal with other rules or lanes.
    #[error("the store cannot take proposal {proposal}")]
    Store {
        /// The proposal.
        proposal: ProposalId,
        /// The store's answer.
        #[source]
        source: StoreError,
    },
    /// The number of lanes is fixed for ever, but the topic has another.
    #[error("the verdicts of proposal {proposal} have {partitions} partitions, its definition says {lanes} lanes")]
    Lanes {
        /// The proposal.
        proposal: ProposalId,
        /// Partitions of the verdicts topic.
        partitions: u32,
        /// Lanes of the definition.
        lanes: u16,
    },
}

impl LaneError {
    /// What is wrong with the proposal; `None` if it is about the whole log.
    const fn fault(&self) -> Option<Fault> {
        match self {
            Self::Join(_) => None,
            Self::Log { source, .. } => source.fault(),
            Self::Store { .. } => Some(Fault::Store),
            Self::Lanes { .. } => Some(Fault::Partitions),
        }
    }

    const fn proposal(&self) -> Option<ProposalId> {
        match self {
            Self::Join(_) => None,
            Self::Log { proposal, .. } | Self::Store { proposal, .. } | Self::Lanes { proposal, .. } => Some(*proposal),
        }
    }

    const fn is_closed(&self) -> bool {
        matches!(self, Self::Join(LogError::Closed) | Self::Log { source: LogError::Closed, .. })
    }
}

/// Joins the group and owns what it is assigned, until the shutdown.
pub(crate) async fn follow(tally: Tally) -> Result<(), LaneError> {
    let shutdown = tally.shutdown.clone();
    let mut owners = Owners::new(tally.clone());
    let followed = tokio::select! {
        () = shutdown.requested() => Ok(()),
        followed = join_and_own(&tally, &mut owners) => followed,
    };
    owners.stop().await;
    match followed {
        // Whoever closed the log wanted this to end.
        Err(error) if error.is_closed() => Ok(()),
        followed => followed,
    }
}

async fn join_and_own(tally: &Tally, owners: &mut Owners) -> Result<(), LaneError> {
    let member = tally.log.join(TALLY_GROUP).map_err(LaneError::Join)?;
    let (owned, wanted) = watch::channel(Assigned::default());
    tokio::select! {
        followed = topics::follow(tally, &member) => followed,
        () = orphans::adopt(tally, member.assigned(), &owned, Patience::default()) => Ok(()),
        owned = owners.own(wanted) => owned,
    }
}

/// Registers every proposal of the book in the store as it appears, until the shutdown: a process reads also what it does
/// not own.
pub(crate) async fn register(tally: Tally) -> Result<(), LaneError> {
    let shutdown = tally.shutdown.clone();
    tokio::select! {
        () = shutdown.requested() => Ok(()),
        registered = register_all(&tally) => registered,
    }
}

async fn register_all(tally: &Tally) -> Result<(), LaneError> {
    let mut book = tally.proposals.watch();
    let (mut registered, mut contradicting) = (BTreeSet::new(), BTreeSet::new());
    let mut backoff = Backoff::default();
    loop {
        let current = book.borrow_and_update().clone();
        register_new(tally, &current, &mut registered, &mut contradicting).await;
        if registered.len() == current.proposals().len() {
            backoff = Backoff::default();
            if book.changed().await.is_err() {
                return Ok(());
            }
        } else {
            tokio::select! {
                () = backoff.wait() => {}
                changed = book.changed() => if changed.is_err() { return Ok(()) },
            }
        }
    }
}

/// Registers what is not registered yet, as far as the store takes it.
async fn register_new(
    tally: &Tally,
    book: &DecisionBook,
    registered: &mut BTreeSet<ProposalId>,
    contradicting: &mut BTreeSet<ProposalId>,
) {
    for (proposal, decisions) in book.proposals() {
        if registered.contains(proposal) {
            continue;
        }
        let (rules, lanes) = (CountingRules::of(decisions.definition.proposal()), decisions.definition.lanes());
        match tally.store.register(*proposal, rules, lanes).await {
            Ok(()) => {
                registered.insert(*proposal);
            }
            Err(problem) if is_contradiction(&problem) => {
                // The others can be read. Somebody may yet delete what contradicts.
                if contradicting.insert(*proposal) {
                    tally.metrics.store_failures.inc();
                    error!(%proposal, problem = telemetry::chain(&problem), "the store cannot take the proposal");
                }
            }
            Err(problem) => {
                tally.metrics.store_failures.inc();
                warn!(
                    %proposal, problem = telemetry::chain(&problem),
                    "the proposal cannot be registered in the store yet"
                );
                // A store that is away is away for all of them.
                return;
            }
        }
    }
}

/// Whether the store holds the proposal with other rules or lanes than its definition says: trying again is of no use.
const fn is_contradiction(problem: &StoreError) -> bool {
    matches!(problem, StoreError::UnknownLane { .. } | StoreError::RegisteredOtherwise { .. })
}

fn note_log_failure(tally: &Tally, problem: &LogError) {
    tally.metrics.log_failures.inc();
    warn!(problem = telemetry::chain(problem), "the log failed, trying again");
}

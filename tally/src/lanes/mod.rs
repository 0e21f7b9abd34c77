//! The writers: one task a lane reads its verdicts, folds them and applies them to the store.

mod fold;
mod owner;
mod owners;
mod places;
mod progress;
mod restore;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use pnyx_backbone::{
    log::{GroupMember, LogError, Topic},
    store::StoreError,
    telemetry,
};
use pnyx_core::{
    counting::CountingRules,
    decisions::{DecisionBook, ProposalDecisions},
    id::ProposalId,
};
use thiserror::Error;
use tracing::warn;

use crate::{TALLY_GROUP, Tally, backoff::Backoff};
use owners::Owners;

/// Why lanes cannot be owned; the process ends with it.
#[derive(Debug, Error)]
pub(crate) enum LaneError {
    /// The group could not be joined.
    #[error("the group of tallies cannot be joined")]
    Join(#[source] LogError),
    /// The verdicts could not be read, and never will be.
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
        Err(LaneError::Log { source: LogError::Closed, .. } | LaneError::Join(LogError::Closed)) => Ok(()),
        followed => followed,
    }
}

async fn join_and_own(tally: &Tally, owners: &mut Owners) -> Result<(), LaneError> {
    let member = tally.log.join(TALLY_GROUP).map_err(LaneError::Join)?;
    let assigned = member.assigned();
    tokio::select! {
        followed = follow_topics(tally, &member) => followed,
        owned = owners.own(assigned) => owned,
    }
}

/// Follows the verdicts of every proposal in the book, now and whenever one is added.
async fn follow_topics(tally: &Tally, member: &GroupMember) -> Result<(), LaneError> {
    let mut book = tally.proposals.watch();
    let mut topics: BTreeMap<ProposalId, Topic> = BTreeMap::new();
    loop {
        let current = book.borrow_and_update().clone();
        let known = topics.len();
        for (proposal, decisions) in current.proposals() {
            if !topics.contains_key(proposal) {
                topics.insert(*proposal, topic_of(tally, *proposal, decisions).await?);
            }
        }
        if topics.len() != known {
            let all: BTreeSet<Topic> = topics.values().cloned().collect();
            let mut backoff = Backoff::default();
            while let Err(source) = member.follow(all.clone()).await {
                if is_lasting(&source) {
                    return Err(LaneError::Join(source));
                }
                note_log_failure(tally, &source);
                backoff.wait().await;
            }
        }
        if book.changed().await.is_err() {
            return Ok(());
        }
    }
}

/// The verdicts topic of a proposal, made if it is not there.
async fn topic_of(tally: &Tally, proposal: ProposalId, decisions: &ProposalDecisions) -> Result<Topic, LaneError> {
    let topic = Topic::verdicts(proposal);
    let lanes = decisions.definition.lanes();
    let mut backoff = Backoff::default();
    loop {
        let partitions = match tally.log.ensure_topic(&topic, lanes.into()).await {
            Ok(()) => tally.log.partitions(&topic).await,
            Err(problem) => Err(problem),
        };
        match partitions {
            Ok(partitions) if partitions == u32::from(lanes) => return Ok(topic),
            Ok(partitions) => return Err(LaneError::Lanes { proposal, partitions, lanes }),
            Err(source) if is_lasting(&source) => return Err(LaneError::Log { proposal, source }),
            Err(problem) => note_log_failure(tally, &problem),
        }
        backoff.wait().await;
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
    let mut registered = BTreeSet::new();
    let mut backoff = Backoff::default();
    loop {
        let current = book.borrow_and_update().clone();
        if register_new(tally, &current, &mut registered).await? {
            backoff = Backoff::default();
            if book.changed().await.is_err() {
                return Ok(());
            }
        } else {
            backoff.wait().await;
        }
    }
}

/// Whether all proposals are registered afterwards.
async fn register_new(
    tally: &Tally,
    book: &DecisionBook,
    registered: &mut BTreeSet<ProposalId>,
) -> Result<bool, LaneError> {
    for (proposal, decisions) in book.proposals() {
        if !registered.contains(proposal) {
            let (rules, lanes) = (CountingRules::of(decisions.definition.proposal()), decisions.definition.lanes());
            match tally.store.register(*proposal, rules, lanes).await {
                Ok(()) => {
                    registered.insert(*proposal);
                }
                Err(source) if is_contradiction(&source) => {
                    return Err(LaneError::Store { proposal: *proposal, source });
                }
                Err(problem) => {
                    tally.metrics.store_failures.inc();
                    warn!(
                        %proposal, problem = telemetry::chain(&problem),
                        "the proposal cannot be registered in the store yet"
                    );
                    return Ok(false);
                }
            }
        }
    }
    Ok(true)
}

/// Whether trying again is of no use: the log was closed, or is not what it was and a person has to look.
const fn is_lasting(problem: &LogError) -> bool {
    matches!(
        problem,
        LogError::Closed
            | LogError::Damaged { .. }
            | LogError::NoPartitions { .. }
            | LogError::Settings { .. }
            | LogError::Shrunk { .. }
    )
}

/// Whether the store holds the proposal with other rules or lanes than its definition says: trying again is of no use.
const fn is_contradiction(problem: &StoreError) -> bool {
    matches!(problem, StoreError::UnknownLane { .. } | StoreError::RegisteredOtherwise { .. })
}

fn note_log_failure(tally: &Tally, problem: &LogError) {
    tally.metrics.log_failures.inc();
    warn!(problem = telemetry::chain(problem), "the log failed, trying again");
}

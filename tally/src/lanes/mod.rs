//! The writers: one task a lane reads its verdicts, folds them and applies them to the store.

mod fold;
mod owner;
mod places;

use std::collections::BTreeSet;

use pnyx_backbone::{
    log::{LogError, Topic},
    store::StoreError,
};
use pnyx_core::{
    counting::CountingRules,
    decisions::ProposalDecisions,
    id::{Lane, ProposalId},
};
use thiserror::Error;

use crate::Tally;
use owner::LaneOwner;

/// Why lanes cannot be owned; the process ends with it.
#[derive(Debug, Error)]
pub(crate) enum LaneError {
    /// The verdicts could not be read.
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

/// Starts the owners of every proposal's lanes as it appears in the book, until the shutdown.
pub(crate) async fn follow(tally: Tally) -> Result<(), LaneError> {
    let mut book = tally.proposals.watch();
    let mut owned = BTreeSet::new();
    loop {
        let current = book.borrow_and_update().clone();
        for (proposal, decisions) in current.proposals() {
            if owned.insert(*proposal) {
                match start(&tally, *proposal, decisions).await {
                    // Whoever closed the log wanted this to end.
                    Err(LaneError::Log { source: LogError::Closed, .. }) => return Ok(()),
                    started => started?,
                }
            }
        }
        tokio::select! {
            () = tally.shutdown.requested() => return Ok(()),
            changed = book.changed() => if changed.is_err() { return Ok(()) },
        }
    }
}

async fn start(tally: &Tally, proposal: ProposalId, decisions: &ProposalDecisions) -> Result<(), LaneError> {
    let lanes = decisions.definition.lanes();
    let topic = Topic::verdicts(proposal);
    let unreadable = |source| LaneError::Log { proposal, source };
    tally.log.ensure_topic(&topic, lanes.into()).await.map_err(unreadable)?;
    let partitions = tally.log.partitions(&topic).await.map_err(unreadable)?;
    if partitions != u32::from(lanes) {
        return Err(LaneError::Lanes { proposal, partitions, lanes });
    }
    let rules = CountingRules::of(decisions.definition.proposal());
    let registered = tally.store.register(proposal, rules, lanes).await;
    registered.map_err(|source| LaneError::Store { proposal, source })?;
    for lane in 0..lanes {
        let owner = LaneOwner::new(tally, decisions.definition.clone(), Lane(lane));
        tally.shutdown.spawn("tally lane", owner.run());
    }
    Ok(())
}

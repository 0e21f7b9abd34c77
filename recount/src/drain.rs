//! The drain: verifiers reach the cut, then the lanes' ends are read, then the tally reaches those and says that it holds
//! nothing at or above the cut.

use std::time::Duration;

use pnyx_backbone::{
    log::{Log, LogError, Topic, VERIFIER_GROUP},
    store::{Store, StoreError},
};
use pnyx_core::{
    id::{Lane, ProposalId},
    result::Cut,
};
use thiserror::Error;

/// Why the drain could not be watched.
#[derive(Debug, Error)]
pub(crate) enum DrainError {
    #[error("offsets could not be read from the log")]
    Log(#[from] LogError),
    #[error("the tally's position could not be read from the store")]
    Store(#[from] StoreError),
}

/// Waits until every record below the cut has a durable verdict; gives the ends of the lanes read after that, so that
/// every such verdict lies below them.
pub(crate) async fn verifiers_reached(log: &Log, cut: &Cut, poll: Duration) -> Result<Vec<u64>, DrainError> {
    loop {
        let committed = log.committed(&Topic::ballots(cut.proposal), VERIFIER_GROUP).await?;
        let reached = cut.partitions.iter().enumerate().all(|(partition, cut_partition)| {
            committed.get(partition).copied().unwrap_or(0) >= cut_partition.end_offset
        });
        if reached {
            return Ok(log.ends(&Topic::verdicts(cut.proposal)).await?);
        }
        tokio::time::sleep(poll).await;
    }
}

/// Waits until the store holds every lane up to its end and below the cut, read from this log and no other.
pub(crate) async fn tally_reached(
    log: &Log,
    store: &Store,
    proposal: ProposalId,
    lane_ends: &[u64],
    poll: Duration,
) -> Result<(), DrainError> {
    while !has_tally_reached(log, store, proposal, lane_ends).await? {
        tokio::time::sleep(poll).await;
    }
    Ok(())
}

/// Whether the store holds every lane up to its end, and nothing at or above the cut, now.
pub(crate) async fn has_tally_reached(
    log: &Log,
    store: &Store,
    proposal: ProposalId,
    lane_ends: &[u64],
) -> Result<bool, DrainError> {
    for (lane, end) in (0..).map(Lane).zip(lane_ends) {
        let position = match store.lane_position(proposal, lane).await {
            Ok(position) => position,
            // The tally has not come to this proposal yet.
            Err(StoreError::UnknownProposal { .. }) => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        // A lane of which the store has nothing has not reached even the end 0: its owner does not know the cut yet.
        let has_reached = position.is_some_and(|position| {
            position.log == log.identity() && position.next_offset >= *end && position.below_cut
        });
        if !has_reached {
            return Ok(false);
        }
    }
    Ok(true)
}

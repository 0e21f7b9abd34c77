//! The drain: verifiers reach the cut, then the lanes' ends are read, then the tally reaches those.

use std::time::Duration;

use pnyx_backbone::{
    log::{Log, LogError, Topic},
    store::{Store, StoreError},
};
use pnyx_core::{
    id::{Lane, ProposalId},
    result::Cut,
};
use thiserror::Error;

/// The consumer group of the verifiers, whose committed offsets say how far verdicts are durable.
const VERIFIER_GROUP: &str = "verifier";

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

/// Waits until the store holds every lane up to its end, read from this log and no other.
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

/// Whether the store holds every lane up to its end now.
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
        let reached = match position {
            Some(position) => position.log == log.identity() && position.next_offset >= *end,
            None => *end == 0,
        };
        if !reached {
            return Ok(false);
        }
    }
    Ok(true)
}

//! The drain: verifiers reach the cut, *then* nothing is left of what they deferred, *then* the lanes' ends are read,
//! *then* the tally reaches those and says that it holds nothing at or above the cut. Each function looks once; whoever
//! waits asks again.

use pnyx_core::{
    id::{LogIdentity, ProposalId},
    proposal::Proposal,
    result::Cut,
};

use crate::{
    log::{DEFERRED_GROUP, Log, LogError, Topic, VERIFIER_GROUP},
    store::{LanePosition, LaneStamp, Store, StoreError},
};

/// Whether every record below the cut has its verdict or was deferred, when the verifiers have committed this much by
/// partition.
pub fn is_verified(cut: &Cut, committed: &[u64]) -> bool {
    cut.partitions
        .iter()
        .enumerate()
        .all(|(partition, cut_partition)| committed.get(partition).copied().unwrap_or(0) >= cut_partition.end_offset)
}

/// Whether a lane holds what this log has of it below `end` and, once there is a cut, nothing at or above that.
///
/// A lane of which the store has nothing has reached the end 0, but with a cut not even that: its owner does not know the
/// cut yet.
pub fn has_lane_reached(position: Option<LanePosition>, log: LogIdentity, end: u64, has_cut: bool) -> bool {
    let position = position.filter(|position| position.log == log);
    let has_reached = position.map_or(0, |position| position.next_offset) >= end;
    has_reached && (!has_cut || position.is_some_and(|position| position.below_cut))
}

/// How many records wait in the deferred topic for their contracts; none where only keys sign. A record may be counted
/// twice while it is put back, and none is ever left out: what the verifiers had committed when this was asked is either
/// in the lanes or among these.
pub async fn deferred_waiting(log: &Log, proposal: &Proposal) -> Result<u64, LogError> {
    if proposal.signers().is_none() {
        return Ok(0);
    }
    let topic = Topic::deferred(proposal.id());
    // First what is committed, then the ends: what is put back lies in the topic before its first place is committed.
    let committed = log.committed(&topic, DEFERRED_GROUP).await?;
    let ends = log.ends(&topic).await?;
    let waiting = |(partition, end): (usize, &u64)| end.saturating_sub(committed.get(partition).copied().unwrap_or(0));
    Ok(ends.iter().enumerate().map(waiting).sum())
}

/// Once every record below the cut has a durable verdict: the ends of the lanes, read after that, so that every such
/// verdict lies below them.
pub async fn verifiers_reached(log: &Log, proposal: &Proposal, cut: &Cut) -> Result<Option<Vec<u64>>, LogError> {
    let committed = log.committed(&Topic::ballots(cut.proposal), VERIFIER_GROUP).await?;
    if !is_verified(cut, &committed) || deferred_waiting(log, proposal).await? > 0 {
        return Ok(None);
    }
    log.ends(&Topic::verdicts(cut.proposal)).await.map(Some)
}

/// Whether the store holds every lane up to its end, read from the log of this identity, and once there is a cut nothing
/// at or above it.
pub async fn tally_reached(
    store: &Store,
    log: LogIdentity,
    proposal: ProposalId,
    lane_ends: &[u64],
    has_cut: bool,
) -> Result<bool, StoreError> {
    match store.lane_stamps(proposal).await {
        Ok(stamps) => Ok(have_lanes_reached(&stamps, log, lane_ends, has_cut)),
        // The tally has not come to this proposal yet.
        Err(StoreError::UnknownProposal { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// The same of lanes as they were read; [`has_lane_reached`] of each.
pub fn have_lanes_reached(stamps: &[Option<LaneStamp>], log: LogIdentity, lane_ends: &[u64], has_cut: bool) -> bool {
    stamps.len() == lane_ends.len()
        && stamps
            .iter()
            .zip(lane_ends)
            .all(|(stamp, end)| has_lane_reached(stamp.map(|stamp| stamp.position), log, *end, has_cut))
}

#[cfg(test)]
mod tests {
    use pnyx_core::{id::Root, result::CutPartition, time::TimestampMs};

    use super::*;

    const THIS: LogIdentity = LogIdentity([1; 16]);

    fn cut(ends: &[u64]) -> Cut {
        let partitions = ends.iter().map(|end| CutPartition { end_offset: *end, records_root: Root::new([0; 32]) });
        Cut { proposal: ProposalId::new([1; 32]), decided_at: TimestampMs(0), partitions: partitions.collect() }
    }

    #[test]
    fn every_partition_of_the_cut_must_be_committed() {
        for (committed, expected) in [
            (&[2, 3][..], true),
            (&[5, 5, 5], true),
            (&[2, 2], false),
            (&[1, 3], false),
            // What was never committed is at 0.
            (&[2], false),
        ] {
            assert_eq!(is_verified(&cut(&[2, 3]), committed), expected, "{committed:?}");
        }
        assert!(is_verified(&cut(&[0, 0]), &[]), "nothing below the cut needs no verdict");
    }

    #[test]
    fn a_lane_must_be_of_this_log_and_below_the_cut() {
        let at = |log, next_offset, below_cut| Some(LanePosition { log, next_offset, below_cut });
        let other = LogIdentity([2; 16]);
        for (position, end, without_cut, with_cut) in [
            (None, 0, true, false),
            (None, 1, false, false),
            (at(THIS, 4, false), 4, true, false),
            (at(THIS, 4, true), 4, true, true),
            (at(THIS, 3, true), 4, false, false),
            (at(other, 9, true), 4, false, false),
            (at(other, 9, true), 0, true, false),
        ] {
            assert_eq!(has_lane_reached(position, THIS, end, false), without_cut, "{position:?} {end}");
            assert_eq!(has_lane_reached(position, THIS, end, true), with_cut, "{position:?} {end} with a cut");
        }
    }
}

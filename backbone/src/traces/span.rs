//! A step of a ballot, and the ids that it has in the ballot's trace.

use std::time::SystemTime;

use pnyx_core::id::{Digest, Lane, Place, ProposalId};

/// A partition's number has 10 bits and a record's offset stays far below 2^44, so that these parts of an id never meet.
const PARTITION_SHIFT: u32 = 44;

/// Above both.
const KIND_SHIFT: u32 = 62;

/// What happened to a ballot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// `ballot.accept`: the edge acknowledged it.
    Accepted {
        /// The proposal it was cast in.
        proposal: ProposalId,
    },
    /// `ballot.verify`: its verdict is in the log.
    Verified {
        /// `counts`, or the rejection's name.
        ruling: &'static str,
    },
    /// `ballot.count`: its verdict is in the store.
    Counted {
        /// The lane.
        lane: Lane,
        /// The verdict's offset in the lane.
        offset: u64,
        /// As of the verdict.
        ruling: &'static str,
    },
}

/// A step of a ballot whose record lies at `record`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub(super) digest: Digest,
    pub(super) record: Place,
    pub(super) step: Step,
    pub(super) began: SystemTime,
    pub(super) ended: SystemTime,
}

impl Span {
    /// The ballot's, whatever records of it there are.
    pub(super) fn trace_id(&self) -> [u8; 16] {
        part(self.digest, 0)
    }

    /// The record's, or the verdict's: the same if it is told again.
    pub(super) fn id(&self) -> [u8; 8] {
        match self.step {
            Step::Accepted { .. } => self.id_of(0, self.record),
            Step::Verified { .. } => self.id_of(1, self.record),
            Step::Counted { lane, offset, ruling: _ } => self.id_of(2, Place { partition: lane.0.into(), offset }),
        }
    }

    /// A record begins where the edge accepted it; all that becomes of it hangs under that.
    pub(super) fn parent_id(&self) -> Option<[u8; 8]> {
        match self.step {
            Step::Accepted { .. } => None,
            Step::Verified { .. } | Step::Counted { .. } => Some(self.id_of(0, self.record)),
        }
    }

    fn id_of(&self, kind: u64, place: Place) -> [u8; 8] {
        let within = (kind << KIND_SHIFT) ^ (u64::from(place.partition) << PARTITION_SHIFT) ^ place.offset;
        // An id of zeros means none.
        (u64::from_be_bytes(part(self.digest, 16)) ^ within).max(1).to_be_bytes()
    }
}

fn part<const N: usize>(digest: Digest, from: usize) -> [u8; N] {
    digest.as_bytes()[from..from + N].try_into().expect("a digest has 32 bytes")
}

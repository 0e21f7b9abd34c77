//! The result: a core part that is a function of the counting ballots alone, and a provenance part that says which log
//! it was read from.

use std::collections::BTreeMap;

use crate::{
    chain::Pins,
    id::{Place, ProposalId, Root, Voter},
    outcome::Outcome,
    rejection::Rejection,
    signing::{SigningKey, verify_text},
    time::TimestampMs,
    wire::result::signed_text,
};

/// A partition's share of the cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CutPartition {
    /// Records at this offset and above do not count.
    pub end_offset: u64,
    /// Merkle root over the hashes of the records below.
    pub records_root: Root,
}

/// The end offsets of the ballots topic, fixed once after the close.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// The proposal.
    pub proposal: ProposalId,
    /// When the ends were read.
    pub decided_at: TimestampMs,
    /// By partition number.
    pub partitions: Vec<CutPartition>,
}

impl Cut {
    /// Whether a record at this place lies below the cut, so that it may count.
    pub fn holds(&self, place: Place) -> bool {
        let partition = usize::try_from(place.partition).ok().and_then(|partition| self.partitions.get(partition));
        partition.is_some_and(|partition| place.offset < partition.end_offset)
    }
}

/// Most differences that a [`Dispute`] keeps: enough to see what kind of defect it is, and one small log record.
pub const DISPUTE_DIFFERENCES_MAX: usize = 32;

/// Most characters of one of them: two figures of any size and their names.
const DIFFERENCE_CHARS_MAX: usize = 1_000;

/// A recount that did not reach the live tally.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dispute {
    /// The proposal.
    pub proposal: ProposalId,
    /// What differs, a sentence each; the first of many.
    differences: Vec<String>,
}

impl Dispute {
    /// Keeps the first differences, each cut to a bounded length.
    pub fn new(proposal: ProposalId, differences: impl IntoIterator<Item = String>) -> Self {
        let clipped = differences.into_iter().take(DISPUTE_DIFFERENCES_MAX).map(|text| {
            if text.chars().nth(DIFFERENCE_CHARS_MAX).is_none() {
                text
            } else {
                text.chars().take(DIFFERENCE_CHARS_MAX).collect()
            }
        });
        Self { proposal, differences: clipped.collect() }
    }

    /// What differs, a sentence each.
    pub fn differences(&self) -> &[String] {
        &self.differences
    }
}

/// The part of a result that any order, repetition or partitioning of the same ballots gives, byte for byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResultCore {
    /// The proposal.
    pub proposal: ProposalId,
    /// How many ballots stand.
    pub ballots: u64,
    /// Scores, quorum and decision.
    pub outcome: Outcome,
    /// Merkle root over the standing ballots sorted by voter.
    pub ballots_root: Root,
}

/// The part of a result that depends on the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provenance {
    /// What was counted.
    pub cut: Cut,
    /// Records below the cut.
    pub records: u64,
    /// Records below the cut that do not count, by reason.
    pub rejected: BTreeMap<Rejection, u64>,
    /// What was read of chains; only if the proposal reads any.
    pub chains: Option<ChainEvidence>,
}

/// What a proposal's chains said, so that it can be asked of them again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainEvidence {
    /// The blocks at which power and contract signatures were read.
    pub pins: Pins,
    /// Merkle root over the power of each voter with a validly signed record below the cut, or with one that was its
    /// contract's to judge, sorted by voter, zero and unavailable included.
    pub powers_root: Root,
    /// Merkle root over what contracts said of signatures, sorted by the records' hashes; only if contracts may sign.
    pub signatures_root: Option<Root>,
}

/// The final, signed document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedResult {
    /// What the ballots decide.
    pub core: ResultCore,
    /// Where they were read.
    pub provenance: Provenance,
    /// The platform's key.
    pub key: Voter,
    /// EIP-191 personal signature over the text of `wire::result::signed_text`: r, s, v (27 or 28).
    pub signature: [u8; 65],
}

impl PublishedResult {
    /// Signs both parts.
    pub fn sign(core: ResultCore, provenance: Provenance, key: &SigningKey) -> Self {
        let signature = key.sign_text(&signed_text(&core, &provenance));
        Self { core, provenance, key: key.address(), signature }
    }

    /// Whether `self.key` signed exactly these parts. Whether that key is the platform's is the caller's question.
    pub fn verify(&self) -> bool {
        verify_text(&signed_text(&self.core, &self.provenance), &self.signature, self.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_that_the_cut_does_not_name_is_beyond_it() {
        let partitions = vec![CutPartition { end_offset: 5, records_root: Root::new([0; 32]) }];
        let cut = Cut { proposal: ProposalId::new([1; 32]), decided_at: TimestampMs(0), partitions };
        assert!(!cut.holds(Place { partition: 1, offset: 0 }));
        assert!(cut.holds(Place { partition: 0, offset: 4 }));
        assert!(!cut.holds(Place { partition: 0, offset: 5 }));
    }
}

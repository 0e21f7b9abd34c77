//! The places whose verdicts a lane has taken: a bit a record, so that a verdict written twice is counted once.

use std::collections::BTreeMap;

use pnyx_core::{id::Place, result::Cut};

/// Offsets in one block: 1,024 bits are 128 bytes, small where a lane holds few records of a partition and without
/// much overhead where it holds many.
const BLOCK_OFFSETS: u64 = 1024;

/// Bits of a word.
const WORD_BITS: u64 = 64;

/// Words of a block.
const BLOCK_WORDS: usize = 16;

/// A set of places. A lane that saw all of a partition's blocks pays an eighth of a byte and some overhead a record.
#[derive(Debug, Default)]
pub(super) struct PlaceSet {
    /// By (partition, offset / 1,024).
    blocks: BTreeMap<(u32, u64), [u64; BLOCK_WORDS]>,
}

impl PlaceSet {
    /// Whether the place was not in the set before.
    pub(super) fn insert(&mut self, place: Place) -> bool {
        let Place { partition, offset } = place;
        let block = self.blocks.entry((partition, offset / BLOCK_OFFSETS)).or_default();
        let within = offset % BLOCK_OFFSETS;
        let word = &mut block[usize::try_from(within / WORD_BITS).expect("a block has few words")];
        let bit = 1 << (within % WORD_BITS);
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }

    /// Whether a place at or above the cut is in the set.
    pub(super) fn reaches(&self, cut: &Cut) -> bool {
        self.blocks.iter().any(|((partition, block), words)| {
            let Some(word) = words.iter().rposition(|word| *word != 0) else { return false };
            let word_start = u64::try_from(word).expect("a block has few words") * WORD_BITS;
            let highest = block * BLOCK_OFFSETS + word_start + u64::from(words[word].ilog2());
            is_beyond(cut, Place { partition: *partition, offset: highest })
        })
    }
}

/// Whether the place lies at or above the cut: its record does not count.
pub(super) fn is_beyond(cut: &Cut, place: Place) -> bool {
    let partition = usize::try_from(place.partition).expect("a 32-bit number fits in memory's size");
    cut.partitions.get(partition).is_none_or(|partition| place.offset >= partition.end_offset)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use pnyx_core::{
        id::{ProposalId, Root},
        result::CutPartition,
        time::TimestampMs,
    };
    use proptest::prelude::*;

    use super::*;

    fn cut(ends: &[u64]) -> Cut {
        let partitions = ends.iter().map(|end| CutPartition { end_offset: *end, records_root: Root::new([0; 32]) });
        Cut { proposal: ProposalId::new([1; 32]), decided_at: TimestampMs(0), partitions: partitions.collect() }
    }

    proptest! {
        #[test]
        fn is_the_set_of_what_was_inserted(
            places in proptest::collection::vec((0_u32..3, 0_u64..5_000), 0..200),
            ends in proptest::collection::vec(0_u64..5_000, 0..4),
        ) {
            let (mut set, mut model) = (PlaceSet::default(), BTreeSet::new());
            let cut = cut(&ends);
            for (partition, offset) in places {
                let place = Place { partition, offset };
                prop_assert_eq!(set.insert(place), model.insert(place));
                prop_assert_eq!(set.reaches(&cut), model.iter().any(|place| is_beyond(&cut, *place)));
            }
        }
    }

    #[test]
    fn a_partition_that_the_cut_does_not_name_is_beyond_it() {
        assert!(is_beyond(&cut(&[5]), Place { partition: 1, offset: 0 }));
        assert!(!is_beyond(&cut(&[5]), Place { partition: 0, offset: 4 }));
        assert!(is_beyond(&cut(&[5]), Place { partition: 0, offset: 5 }));
    }
}

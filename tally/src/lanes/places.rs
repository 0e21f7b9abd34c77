//! The places whose verdicts a lane has taken: a bit a record, so that a verdict written twice is counted once.

use std::collections::{BTreeMap, BTreeSet};

use pnyx_backbone::store::{PLACE_BLOCK_OFFSETS, PLACE_BLOCK_WORDS, PlaceBlock};
use pnyx_core::{id::Place, result::Cut};

/// Bits of a word.
const WORD_BITS: u64 = 64;

/// A set of places. A lane that saw all of a partition's blocks pays an eighth of a byte and some overhead a record.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct PlaceSet {
    blocks: BTreeMap<BlockKey, [u64; PLACE_BLOCK_WORDS]>,
}

/// Names a block: (partition, offset / [`PLACE_BLOCK_OFFSETS`]).
pub(super) type BlockKey = (u32, u64);

impl PlaceSet {
    /// The set of these blocks; `None` if one comes twice.
    pub(super) fn from_blocks(blocks: Vec<PlaceBlock>) -> Option<Self> {
        let mut set = Self::default();
        for PlaceBlock { partition, block, bits } in blocks {
            if set.blocks.insert((partition, block), bits).is_some() {
                return None;
            }
        }
        Some(set)
    }

    /// Whether the place was not in the set before; the block of one that was not is noted in `touched`.
    pub(super) fn insert(&mut self, place: Place, touched: &mut BTreeSet<BlockKey>) -> bool {
        let (key, word, bit) = position(place);
        let word = &mut self.blocks.entry(key).or_default()[word];
        let is_new = *word & bit == 0;
        *word |= bit;
        if is_new {
            touched.insert(key);
        }
        is_new
    }

    /// Whether the place is in the set.
    pub(super) fn contains(&self, place: Place) -> bool {
        let (key, word, bit) = position(place);
        self.blocks.get(&key).is_some_and(|bits| bits[word] & bit != 0)
    }

    /// How many places are in the set.
    pub(super) fn len(&self) -> u64 {
        self.blocks.values().flatten().map(|word| u64::from(word.count_ones())).sum()
    }

    /// These blocks with all their bits.
    pub(super) fn blocks_of(&self, keys: &BTreeSet<BlockKey>) -> Vec<PlaceBlock> {
        keys.iter().filter_map(|key| Some(block(*key, self.blocks.get(key)?))).collect()
    }

    /// Every block.
    pub(super) fn blocks(&self) -> Vec<PlaceBlock> {
        self.blocks.iter().map(|(key, bits)| block(*key, bits)).collect()
    }

    /// Whether a place at or above the cut is in the set.
    pub(super) fn reaches(&self, cut: &Cut) -> bool {
        self.blocks.iter().any(|((partition, block), words)| {
            let Some(word) = words.iter().rposition(|word| *word != 0) else { return false };
            let word_start = u64::try_from(word).expect("a block has few words") * WORD_BITS;
            let highest = block * PLACE_BLOCK_OFFSETS + word_start + u64::from(words[word].ilog2());
            !cut.holds(Place { partition: *partition, offset: highest })
        })
    }
}

fn block((partition, block): BlockKey, bits: &[u64; PLACE_BLOCK_WORDS]) -> PlaceBlock {
    PlaceBlock { partition, block, bits: *bits }
}

/// Block, word in it and bit in that.
fn position(Place { partition, offset }: Place) -> (BlockKey, usize, u64) {
    let within = offset % PLACE_BLOCK_OFFSETS;
    let word = usize::try_from(within / WORD_BITS).expect("a block has few words");
    ((partition, offset / PLACE_BLOCK_OFFSETS), word, 1 << (within % WORD_BITS))
}

#[cfg(test)]
mod tests {
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
            let (mut touched, mut followed) = (BTreeSet::new(), BTreeMap::new());
            let cut = cut(&ends);
            for (partition, offset) in places {
                let place = Place { partition, offset };
                prop_assert_eq!(set.contains(place), model.contains(&place));
                let is_new = model.insert(place);
                touched.clear();
                prop_assert_eq!(set.insert(place, &mut touched), is_new);
                prop_assert_eq!(touched.len(), usize::from(is_new));
                // Whoever keeps the touched blocks has the whole set.
                followed.extend(set.blocks_of(&touched).into_iter().map(|block| ((block.partition, block.block), block)));
                prop_assert_eq!(set.reaches(&cut), model.iter().any(|place| !cut.holds(*place)));
            }
            prop_assert_eq!(set.len(), model.len() as u64);
            prop_assert_eq!(set.blocks(), followed.into_values().collect::<Vec<_>>());
            prop_assert_eq!(PlaceSet::from_blocks(set.blocks()), Some(set));
        }
    }
}

//! Merges sorted sequences.

use std::{cmp::Reverse, collections::BinaryHeap};

/// The `limit` items of the smallest keys, ascending, of sequences that each ascend by key.
pub(super) fn smallest<T, K: Ord>(
    mut sequences: Vec<impl Iterator<Item = T>>,
    limit: usize,
    key: impl Fn(&T) -> K,
) -> Vec<T> {
    let mut heads: Vec<Option<T>> = sequences.iter_mut().map(Iterator::next).collect();
    let keys = heads.iter().enumerate().filter_map(|(index, head)| head.as_ref().map(|head| (key(head), index)));
    let mut heap: BinaryHeap<_> = keys.map(Reverse).collect();
    let mut merged = Vec::new();
    while merged.len() < limit {
        let Some(Reverse((_, index))) = heap.pop() else { break };
        let next = sequences[index].next();
        if let Some(next) = &next {
            heap.push(Reverse((key(next), index)));
        }
        merged.extend(std::mem::replace(&mut heads[index], next));
    }
    merged
}

//! Merkle trees with the hashing of RFC 6962 (SHA-256, leaf prefix 0x00, node prefix 0x01), and the leaves Pnyx puts
//! in them: standing ballots sorted by voter, powers sorted by voter, record hashes of a partition, receipts
//! acknowledged together.

use sha2::{Digest as _, Sha256};

use crate::{
    id::{RecordHash, Root, Voter},
    power::VoterPower,
    tally::StandingBallot,
};

type Hash = [u8; 32];

/// Computes the root of a tree leaf by leaf, in memory logarithmic in their number.
#[derive(Debug, Clone, Default)]
pub struct RootBuilder(Frontier);

impl RootBuilder {
    /// Appends a leaf by its data; the leaf hash is SHA-256(0x00 ‖ data).
    pub fn push(&mut self, leaf_data: &[u8]) {
        self.0.push(leaf_hash(leaf_data), false);
    }

    /// The root of the leaves so far; SHA-256 of nothing for none.
    pub fn root(&self) -> Root {
        self.0.clone().finish().0
    }
}

/// A leaf's position and the hashes from it to the root (RFC 6962 §2.1.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InclusionPath {
    /// The leaf's index, from 0.
    pub index: u64,
    /// How many leaves the tree has.
    pub size: u64,
    /// Sibling hashes, the lowest first.
    pub hashes: Vec<[u8; 32]>,
}

/// All inclusion paths of a small tree given by its leaf data, with the root.
pub fn paths(leaves: &[Vec<u8>]) -> (Root, Vec<InclusionPath>) {
    let hashes: Vec<Hash> = leaves.iter().map(|data| leaf_hash(data)).collect();
    let mut siblings = vec![Vec::new(); hashes.len()];
    let root = if hashes.is_empty() { empty_root() } else { Root::new(collect_siblings(&hashes, &mut siblings)) };
    let size = u64::try_from(leaves.len()).expect("a usize has at most 64 bits");
    let paths = (0..).zip(siblings).map(|(index, hashes)| InclusionPath { index, size, hashes }).collect();
    (root, paths)
}

/// The inclusion path of the leaf at `index` of a tree given by its leaf data in order; `None` when there is no such leaf.
pub fn path(leaves: impl Iterator<Item = Vec<u8>>, index: u64) -> Option<InclusionPath> {
    let mut frontier = Frontier::default();
    for (position, data) in (0..).zip(leaves) {
        frontier.push(leaf_hash(&data), position == index);
    }
    let size = frontier.leaves;
    let (_, hashes) = frontier.finish();
    (index < size).then_some(InclusionPath { index, size, hashes })
}

impl InclusionPath {
    /// The root this path leads to from the leaf with this data; `None` when the path does not fit its size and index.
    pub fn root_from(&self, leaf_data: &[u8]) -> Option<Root> {
        // The verification of RFC 9162 §2.1.3.2: `node` and `last` number the path's node and the last node of each
        // level, from the leaves up.
        let mut last = self.size.checked_sub(1)?;
        let mut node = self.index;
        if node > last {
            return None;
        }
        let mut hash = leaf_hash(leaf_data);
        for sibling in &self.hashes {
            if last == 0 {
                return None;
            }
            if node & 1 == 1 {
                hash = node_hash(sibling, &hash);
            } else if node == last {
                // The last node of a level without a right sibling moves up unchanged until it is a right child; it
                // becomes one, because an all-even way to the top would have made `last` 0.
                let levels = node.trailing_zeros();
                node >>= levels;
                last >>= levels;
                hash = node_hash(sibling, &hash);
            } else {
                hash = node_hash(&hash, sibling);
            }
            node >>= 1;
            last >>= 1;
        }
        (last == 0).then_some(Root::new(hash))
    }
}

/// Leaf data of a standing ballot: voter, digest, power, canonical choice (docs/formats.md, "Merkle trees").
pub fn ballot_leaf(voter: Voter, ballot: &StandingBallot) -> Vec<u8> {
    let mut data = Vec::with_capacity(96);
    data.extend_from_slice(voter.as_bytes());
    data.extend_from_slice(ballot.digest.as_bytes());
    data.extend_from_slice(&ballot.power.units().to_be_bytes::<32>());
    data.extend_from_slice(&ballot.choice.canonical_bytes());
    data
}

/// Leaf data of what the chains say of a voter's power: the voter and the power, or the voter alone where they have no
/// answer.
pub fn power_leaf(voter: Voter, power: VoterPower) -> Vec<u8> {
    let mut data = Vec::with_capacity(52);
    data.extend_from_slice(voter.as_bytes());
    match power {
        VoterPower::Known(power) => data.extend_from_slice(&power.units().to_be_bytes::<32>()),
        VoterPower::Unavailable => {}
    }
    data
}

/// Leaf data of a record in its partition's tree: the record's hash.
pub fn record_leaf(record: RecordHash) -> Vec<u8> {
    record.as_bytes().to_vec()
}

/// The complete subtrees of the leaves so far, the largest first: one for each 1 bit of their number. The way from a
/// marked leaf is collected as its subtree is joined with others.
#[derive(Debug, Clone, Default)]
struct Frontier {
    leaves: u64,
    peaks: Vec<Peak>,
    way: Vec<Hash>,
}

#[derive(Debug, Clone, Copy)]
struct Peak {
    hash: Hash,
    holds_marked: bool,
}

impl Frontier {
    fn push(&mut self, hash: Hash, marked: bool) {
        let mut peak = Peak { hash, holds_marked: marked };
        for _ in 0..self.leaves.trailing_ones() {
            let left = self.peaks.pop().expect("there is a peak for each 1 bit of the number of leaves");
            peak = self.join(left, peak);
        }
        self.peaks.push(peak);
        self.leaves = self.leaves.checked_add(1).expect("nobody pushes 2^64 leaves");
    }

    fn join(&mut self, left: Peak, right: Peak) -> Peak {
        if left.holds_marked {
            self.way.push(right.hash);
        } else if right.holds_marked {
            self.way.push(left.hash);
        }
        Peak { hash: node_hash(&left.hash, &right.hash), holds_marked: left.holds_marked || right.holds_marked }
    }

    fn finish(mut self) -> (Root, Vec<Hash>) {
        let Some(mut peak) = self.peaks.pop() else {
            return (empty_root(), self.way);
        };
        while let Some(left) = self.peaks.pop() {
            peak = self.join(left, peak);
        }
        (Root::new(peak.hash), self.way)
    }
}

/// The hash over these leaf hashes; appends to each leaf's list the siblings met on its way, the lowest first.
fn collect_siblings(leaves: &[Hash], siblings: &mut [Vec<Hash>]) -> Hash {
    if let [leaf] = leaves {
        return *leaf;
    }
    // RFC 6962 §2.1: the left part has the largest power of two of leaves that is smaller than their number.
    let split = leaves.len().div_ceil(2).next_power_of_two();
    let (left_leaves, right_leaves) = leaves.split_at(split);
    let (left_siblings, right_siblings) = siblings.split_at_mut(split);
    let left = collect_siblings(left_leaves, left_siblings);
    let right = collect_siblings(right_leaves, right_siblings);
    left_siblings.iter_mut().for_each(|hashes| hashes.push(right));
    right_siblings.iter_mut().for_each(|hashes| hashes.push(left));
    node_hash(&left, &right)
}

fn leaf_hash(data: &[u8]) -> Hash {
    Sha256::new().chain_update([0]).chain_update(data).finalize().into()
}

fn node_hash(left: &Hash, right: &Hash) -> Hash {
    Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
}

fn empty_root() -> Root {
    Root::new(Sha256::digest([]).into())
}

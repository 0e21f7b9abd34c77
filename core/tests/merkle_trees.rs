//! Merkle trees against RFC 6962's own definition, its published vectors, and tampering.

use pnyx_core::{
    id::Root,
    merkle::{self, InclusionPath, RootBuilder},
};
use proptest::prelude::*;
use sha2::{Digest as _, Sha256};

/// MTH of RFC 6962 §2.1, written down as it stands there.
fn tree_hash(leaves: &[Vec<u8>]) -> [u8; 32] {
    match leaves {
        [] => Sha256::digest([]).into(),
        [leaf] => Sha256::digest([&[0], leaf.as_slice()].concat()).into(),
        _ => {
            let split =
                (0..).map(|bit| 1 << bit).take_while(|split| *split < leaves.len()).last().expect("1 is below 2");
            let (left, right) = leaves.split_at(split);
            Sha256::digest([&[1], tree_hash(left).as_slice(), tree_hash(right).as_slice()].concat()).into()
        }
    }
}

fn build(leaves: &[Vec<u8>]) -> Root {
    let mut builder = RootBuilder::default();
    leaves.iter().for_each(|leaf| builder.push(leaf));
    builder.root()
}

fn numbered(count: u32) -> Vec<Vec<u8>> {
    (0..count).map(|number| number.to_be_bytes().to_vec()).collect()
}

#[test]
fn published_vectors_hold() {
    // The reference inputs and roots of the Certificate Transparency projects.
    let inputs = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
    let leaves: Vec<_> = inputs.iter().map(|hex| alloy_primitives::hex::decode(hex).unwrap()).collect();
    let roots = [
        (0, "0xe3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        (1, "0x6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"),
        (2, "0xfac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"),
        (3, "0xaeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"),
        (8, "0x5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"),
    ];
    for (size, root) in roots {
        assert_eq!(build(&leaves[..size]).to_string(), root, "{size} leaves");
    }
}

#[test]
fn every_leaf_of_every_small_tree_has_its_path_and_no_other() {
    for count in 0..70 {
        let leaves = numbered(count);
        let expected = Root::new(tree_hash(&leaves));
        let (root, paths) = merkle::paths(&leaves);
        assert_eq!(root, expected);
        assert_eq!(build(&leaves), expected);
        assert_eq!(paths.len(), leaves.len());
        for (leaf, path) in leaves.iter().zip(&paths) {
            assert_eq!(path.root_from(leaf), Some(expected));
            assert_eq!(merkle::path(leaves.iter().cloned(), path.index).as_ref(), Some(path));
            for shorter in 0..path.hashes.len() {
                let cut = InclusionPath { hashes: path.hashes[..shorter].to_vec(), ..path.clone() };
                assert_eq!(cut.root_from(leaf), None);
            }
            let longer = InclusionPath { hashes: [&path.hashes[..], &[[7; 32]]].concat(), ..path.clone() };
            assert_eq!(longer.root_from(leaf), None);
        }
        assert_eq!(merkle::path(leaves.into_iter(), count.into()), None);
    }
}

#[test]
fn positions_outside_the_tree_lead_nowhere() {
    for (index, size) in [(0, 0), (1, 1), (5, 5), (u64::MAX, u64::MAX), (u64::MAX, 0)] {
        for hashes in [vec![], vec![[0; 32]; 3], vec![[0; 32]; 64], vec![[0; 32]; 65]] {
            assert_eq!(InclusionPath { index, size, hashes }.root_from(b"leaf"), None);
        }
    }
}

proptest! {
    #[test]
    fn roots_are_those_of_the_definition(leaves in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..200)) {
        let expected = Root::new(tree_hash(&leaves));
        prop_assert_eq!(build(&leaves), expected);
        prop_assert_eq!(merkle::paths(&leaves).0, expected);
    }

    #[test]
    fn any_path_is_judged_without_panic(
        index in any::<u64>(),
        size in any::<u64>(),
        hashes in prop::collection::vec(any::<[u8; 32]>(), 0..70),
    ) {
        let path = InclusionPath { index, size, hashes };
        let fits = path.root_from(b"leaf").is_some();
        prop_assert!(!fits || (index < size && path.hashes.len() <= 64));
    }

    #[test]
    fn a_changed_leaf_place_or_hash_changes_the_root(
        count in 2_u32..300,
        pick in any::<prop::sample::Index>(),
        bit in 0_usize..256,
        other in any::<prop::sample::Index>(),
    ) {
        let leaves = numbered(count);
        let (root, paths) = merkle::paths(&leaves);
        let at = pick.index(leaves.len());
        let path = &paths[at];
        prop_assert_ne!(path.root_from(b"another leaf"), Some(root));
        let mut bent = path.clone();
        let level = other.index(bent.hashes.len());
        bent.hashes[level][bit / 8] ^= 1 << (bit % 8);
        prop_assert_ne!(bent.root_from(&leaves[at]), Some(root));
        let elsewhere = other.index(leaves.len());
        let moved = InclusionPath { index: paths[elsewhere].index, ..path.clone() };
        prop_assert_eq!(moved.root_from(&leaves[at]) == Some(root), elsewhere == at);
    }
}

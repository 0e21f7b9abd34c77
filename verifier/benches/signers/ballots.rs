//! Ballots, signed before any clock starts.

use std::slice;

use alloy_primitives::{Address, hex};
use pnyx_backbone::clock;
use pnyx_bench_support::{SPACE, ballot};
use pnyx_core::{ballot::compose, id::Voter, wire};

use crate::node::Node;

/// Records as they lie in the log.
pub(crate) type Records = Vec<Vec<u8>>;

pub(crate) struct Ballots {
    /// Signed by keys.
    pub(crate) plain: Records,
    /// Signed by the owners of Safes, in their order.
    pub(crate) safes: Records,
    /// All of them, the Safes' spread evenly.
    pub(crate) mixed: Records,
    questions: Vec<Question>,
}

/// A Safe, a digest, and what its owners signed.
#[derive(Clone)]
pub(crate) struct Question {
    pub(crate) safe: Address,
    digest: [u8; 32],
    signature: Vec<u8>,
}

impl Ballots {
    /// One ballot of each Safe, and so many of keys.
    pub(crate) fn sign(node: &Node, plain: u64) -> Self {
        let (id, signed_at_s) = (node.definition.proposal().id(), clock::now().0 / 1_000);
        let plain: Records = (1..=plain).map(|voter| wire::record::encode(&ballot(id, voter, signed_at_s))).collect();
        let (mut safes, mut questions) = (Records::new(), Vec::new());
        for safe in &node.safes {
            let voter = Voter::new(safe.address.0.0);
            let unsigned = compose(voter, SPACE, signed_at_s, id, "1", "Builders first", "snapshot-v2");
            let unsigned = unsigned.expect("a choice");
            let digest = *unsigned.digest().as_bytes();
            let signature = node.sign(*safe, digest);
            safes.push(wire::record::encode(&unsigned.body_with(&signature)));
            questions.push(Question { safe: safe.address, digest, signature });
        }
        let spread = plain.len() / safes.len();
        let mixed =
            safes.iter().zip(plain.chunks(spread)).flat_map(|(safe, plain)| [slice::from_ref(safe), plain].concat());
        Self { mixed: mixed.collect(), plain, safes, questions }
    }

    /// The first questions that contracts are asked.
    pub(crate) fn questions(&self, count: usize) -> Vec<Question> {
        self.questions[..count].to_vec()
    }
}

impl Question {
    /// `isValidSignature(bytes32,bytes)`, in hexadecimal digits.
    pub(crate) fn calldata(&self) -> String {
        let mut words = [0_u8; 64];
        words[31] = 64;
        words[56..].copy_from_slice(&(self.signature.len() as u64).to_be_bytes());
        let mut bytes = [&[0x16, 0x26, 0xba, 0x7e][..], &self.digest, &words, &self.signature].concat();
        bytes.resize(bytes.len() + self.signature.len().next_multiple_of(32) - self.signature.len(), 0);
        hex::encode_prefixed(bytes)
    }
}

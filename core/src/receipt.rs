//! Receipts: what a voter gets at once, proving that a ballot was acknowledged, where and when.

use thiserror::Error;

use crate::{
    id::{Digest, Place, ProposalId, RecordHash, Root, Voter},
    merkle::{self, InclusionPath},
    signing::{SigningKey, verify_text},
    time::TimestampMs,
};

/// Version of a receipt's leaf data.
const LEAF_VERSION: u8 = 1;

/// Version, proposal, digest, record hash, partition, offset and append time.
const LEAF_BYTES: usize = 1 + 32 + 32 + 32 + 4 + 8 + 8;

/// What the platform states of one acknowledged record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// The proposal.
    pub proposal: ProposalId,
    /// The ballot's identity.
    pub digest: Digest,
    /// SHA-256 of the stored record.
    pub record: RecordHash,
    /// Where it lies in the ballots topic.
    pub place: Place,
    /// When the log appended it.
    pub appended_at: TimestampMs,
}

/// A receipt with the platform's signature over the Merkle root of all receipts that were acknowledged together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedReceipt {
    /// The statement.
    pub receipt: Receipt,
    /// From the statement to the signed root.
    pub path: InclusionPath,
    /// The key: the address of the platform's signing account.
    pub key: Voter,
    /// EIP-191 personal signature over [`signed_text`] of the root: r, s, v (27 or 28).
    pub signature: [u8; 65],
}

/// Why a receipt proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ReceiptError {
    /// The Merkle path does not fit its size and index.
    #[error("the receipt's Merkle path does not fit its index and size")]
    Path,
    /// The signature is not the key's, or not over this receipt.
    #[error("the receipt's signature was not made by key {key}")]
    Signature {
        /// The key that should have signed.
        key: Voter,
    },
}

/// The text that the platform signs for a tree of receipts.
pub fn signed_text(root: Root) -> String {
    format!("pnyx receipts v1 {root}")
}

/// Signs receipts that were acknowledged together: one signature over the root of their tree, in their order.
pub fn sign_receipts(receipts: &[Receipt], key: &SigningKey) -> Vec<SignedReceipt> {
    let leaves: Vec<_> = receipts.iter().map(Receipt::leaf).collect();
    let (root, paths) = merkle::paths(&leaves);
    let signature = key.sign_text(&signed_text(root));
    let signed = receipts.iter().zip(paths);
    signed.map(|(receipt, path)| SignedReceipt { receipt: *receipt, path, key: key.address(), signature }).collect()
}

impl Receipt {
    /// Leaf data in the tree of receipts (docs/formats.md, "Receipt").
    pub fn leaf(&self) -> Vec<u8> {
        let Self { proposal, digest, record, place, appended_at } = self;
        let mut data = Vec::with_capacity(LEAF_BYTES);
        data.push(LEAF_VERSION);
        data.extend_from_slice(proposal.as_bytes());
        data.extend_from_slice(digest.as_bytes());
        data.extend_from_slice(record.as_bytes());
        data.extend_from_slice(&place.partition.to_be_bytes());
        data.extend_from_slice(&place.offset.to_be_bytes());
        data.extend_from_slice(&appended_at.0.to_be_bytes());
        data
    }
}

impl SignedReceipt {
    /// Checks the path and that `self.key` signed its root. Whether that key is the platform's is the caller's question.
    pub fn verify(&self) -> Result<(), ReceiptError> {
        let root = self.path.root_from(&self.receipt.leaf()).ok_or(ReceiptError::Path)?;
        if verify_text(&signed_text(root), &self.signature, self.key) {
            Ok(())
        } else {
            Err(ReceiptError::Signature { key: self.key })
        }
    }
}

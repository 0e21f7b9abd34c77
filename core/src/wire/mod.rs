//! Every format that leaves the process or outlives it: bytes in the log, JSON on HTTP, lines of an archive.
//!
//! Records are versioned and what was written once stays readable for ever (golden files in `core/tests/golden`).
//! Domain types derive no serde: each format here is written and read by hand or through its own data-transfer types.

pub mod archive;
pub mod decision;
pub mod definition;
pub mod envelope;
pub mod receipt;
pub mod record;
pub mod result;
pub mod snapshot;
pub mod verdict;
pub mod vote_types;

mod json;
mod pins;
mod strategies;

use thiserror::Error;

use crate::id::ProposalId;

/// Bytes that are not what they should be.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum WireError {
    /// A version this build does not know: written by a later one, or not a record at all.
    #[error("{format} has version {version}, this build reads {known}")]
    Version {
        /// Which format.
        format: &'static str,
        /// The version found.
        version: u64,
        /// The newest version this build reads.
        known: u64,
    },
    /// A definition whose parts hash to another id than it states.
    #[error("{format} is malformed: proposal: is not the id of these parts, {computed}")]
    ProposalId {
        /// Which format.
        format: &'static str,
        /// The id it states.
        stated: ProposalId,
        /// The id of its parts.
        computed: ProposalId,
    },
    /// Anything else.
    #[error("{format} is malformed: {problem}")]
    Malformed {
        /// Which format.
        format: &'static str,
        /// What is wrong, with the field's name where there is one.
        problem: String,
    },
}

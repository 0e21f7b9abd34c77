//! From a ballot record to its verdict: what verifier, recount and audit share.
//!
//! A record is judged by itself, in the order of [`pnyx_core::rejection::Rejection`]: version, envelope, proposal, time,
//! signature, power. Nothing here knows of topics, offsets committed or HTTP, and nothing is remembered from record to
//! record except hashes of repeated texts, which never change a verdict.

mod power;
mod source;
mod verifier;

pub use power::{ListedPower, listed_by};
pub use source::{Caching, PinnedPower, PowerSource, PowerUnavailable, RecordedPower, SourceError};
pub use verifier::{BallotRecord, JudgedRecord, ProposalVerifier, signers, weigh};

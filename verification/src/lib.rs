//! From a ballot record to its verdict: what verifier, recount and audit share.
//!
//! A record is judged by itself, in the order of [`pnyx_core::rejection::Rejection`]: version, envelope, proposal, time,
//! signature, power. One that no key signed and a contract may have signed is a [`Claim`], decided by its account's power and
//! contract. Nothing here knows of topics, offsets committed or HTTP, and nothing is remembered from record to
//! record except hashes of repeated texts, which never change a verdict.

mod claim;
mod contract_signers;
mod power;
mod source;
mod verifier;

pub use claim::{Claim, ClaimAnswer};
pub use contract_signers::{ContractSigners, RecordedRulings, RulingsUnavailable};
pub use power::{ListedPower, listed_by};
pub use source::{Caching, PinnedPower, PowerSource, PowerUnavailable, RecordedPower, SourceError, Sources};
pub use verifier::{BallotRecord, Judged, JudgedRecord, ProposalVerifier, signers, weigh};

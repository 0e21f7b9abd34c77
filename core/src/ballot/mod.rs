//! A ballot, stage by stage: bytes → [`Envelope`] → [`ParsedBallot`] → [`SignedBallot`], or → [`ClaimedBallot`] →
//! [`SignedBallot`] where the voter's contract signs. A type per stage, and one way from each to the next.
//!
//! A voter's own side, making a ballot, is [`compose`].

mod compose;
mod digest;
mod domain;
mod envelope;
mod memo;
mod signature;
mod signed;

pub use compose::{ChoiceJsonError, UnsignedBallot, compose};
pub use digest::Vote;
pub use domain::{DOMAIN_NAME, DOMAIN_VERSION, Domain, DomainSeparator};
pub use envelope::{BODY_BYTES_MAX, Envelope, ParsedBallot, SIGNATURE_BYTES_MAX};
pub use memo::HashMemo;
pub use signature::verify;
pub use signed::{ClaimedBallot, KeyChecked, SignedBallot};

use crate::{
    id::{Digest, Voter},
    rejection::Rejection,
};

/// A ballot that was refused, with what could be read of it before the first failed check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// The first check that failed.
    pub rejection: Rejection,
    /// The ballot's identity, once domain, types and message were read.
    pub digest: Option<Digest>,
    /// The voter it claims to speak for, once the message was read.
    pub claimed_voter: Option<Voter>,
}

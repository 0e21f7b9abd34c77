//! The envelope a client posts, read without knowledge of any proposal, then held against one.

use std::borrow::Cow;

use alloy_primitives::hex;
use serde_json::value::RawValue;

use super::{DomainSeparator, HashMemo, Refusal, Vote};
use crate::{
    choice::{Choice, RawChoice},
    id::{Digest, ProposalId, Voter},
    proposal::Proposal,
    rejection::Rejection,
    time::{TimestampMs, WindowPosition},
    wire::{
        envelope::{DataJson, EnvelopeJson, MessageJson, Object, Text},
        vote_types::{ChoiceType, TailField, VoteTypes},
    },
};

/// A body of this many bytes or more is too large: Snapshot's limit.
pub const BODY_BYTES_MAX: usize = 100_000;

/// Longest signature: room for a contract wallet's with dozens of owners.
pub const SIGNATURE_BYTES_MAX: usize = 8 * 1024;

/// A well-formed envelope of a `Vote` for some proposal, its digest computed.
#[derive(Debug)]
pub struct Envelope<'a> {
    pub(super) voter: Voter,
    pub(super) digest: Digest,
    pub(super) space: Cow<'a, str>,
    pub(super) signed_at_s: u64,
    pub(super) proposal: ProposalId,
    choice: RawChoice<'a>,
    signature: Vec<u8>,
}

/// A ballot that fits its proposal in everything but time, signature and power, which are not yet looked at.
#[derive(Debug)]
pub struct ParsedBallot {
    pub(super) voter: Voter,
    pub(super) digest: Digest,
    pub(super) signed_at_s: u64,
    pub(super) choice: Choice,
    pub(super) signature: Vec<u8>,
}

impl<'a> Envelope<'a> {
    /// Reads the body of a `POST /`: sizes, keys, domain, types and message, in the order of precedence of
    /// [`Rejection`]. `memo` carries hashes of repeated texts from call to call and never changes a result.
    ///
    /// A choice that its own type cannot hold (`1.0`, `"1"` or 2^32 as a `uint32`, a list longer than any proposal has
    /// choices) is a malformed field of the message: it has no signing hash.
    pub fn parse(body: &'a [u8], memo: &mut HashMemo) -> Result<Self, Refusal> {
        if body.len() >= BODY_BYTES_MAX {
            return Err(refusal(Rejection::TooLarge));
        }
        let outer = Outer::parse(body).ok_or_else(|| refusal(Rejection::MalformedEnvelope))?;
        let DataJson { domain, types, message, primary_type } = outer.data;
        let domain = memo.domain(domain.get()).ok_or_else(|| refusal(Rejection::WrongDomain))?;
        let types = primary_type
            .is_none_or(is_vote)
            .then(|| memo.types(types.get()))
            .flatten()
            .ok_or_else(|| refusal(Rejection::WrongTypes))?;
        let message = parse_message(message, types).ok_or_else(|| refusal(Rejection::MalformedMessage))?;
        let choice =
            parse_choice(message.choice, types.choice()).ok_or_else(|| refusal(Rejection::MalformedMessage))?;
        if message.from != outer.address {
            return Err(refusal(Rejection::AddressMismatch));
        }
        let ballot = (outer.voter, outer.signature);
        Self::assemble(ballot, domain, types, message, choice, memo)
    }

    fn assemble(
        (voter, signature): (Voter, Vec<u8>),
        domain: DomainSeparator,
        types: VoteTypes,
        message: MessageJson<'a>,
        choice: RawChoice<'a>,
        memo: &mut HashMemo,
    ) -> Result<Self, Refusal> {
        let refusal = |rejection| Refusal { rejection, digest: None, claimed_voter: Some(voter) };
        let proposal: ProposalId = message.proposal.0.parse().map_err(|_| refusal(Rejection::UnknownProposal))?;
        let vote = Vote {
            types,
            voter,
            from: &message.from.0,
            space: &message.space.0,
            signed_at_s: message.timestamp,
            proposal,
            choice: &choice,
            reason: text_or_empty(message.reason.as_ref()),
            app: text_or_empty(message.app.as_ref()),
            metadata: text_or_empty(message.metadata.as_ref()),
        };
        let digest = vote.digest(domain, memo);
        let (space, signed_at_s) = (message.space.0, message.timestamp);
        Ok(Self { voter, digest, space, signed_at_s, proposal, choice, signature })
    }

    /// The proposal the message names.
    pub const fn proposal(&self) -> ProposalId {
        self.proposal
    }

    /// The ballot's identity.
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// The voter the envelope claims to speak for.
    pub const fn claimed_voter(&self) -> Voter {
        self.voter
    }

    /// Holds the envelope against a proposal: its id, space and choice.
    pub fn for_proposal(self, proposal: &Proposal) -> Result<ParsedBallot, Refusal> {
        let refused = |rejection| Err(self.refusal(rejection));
        if self.proposal != proposal.id() {
            return refused(Rejection::UnknownProposal);
        }
        if self.space != proposal.parts().space {
            return refused(Rejection::WrongSpace);
        }
        let Some(choice) = self.choice.under(proposal.system(), proposal.choice_count()) else {
            return refused(Rejection::InvalidChoice);
        };
        let Self { voter, digest, space: _, signed_at_s, proposal: _, choice: _, signature } = self;
        Ok(ParsedBallot { voter, digest, signed_at_s, choice, signature })
    }

    /// This envelope, refused: for a caller who knows of no such proposal.
    pub const fn refusal(&self, rejection: Rejection) -> Refusal {
        Refusal { rejection, digest: Some(self.digest), claimed_voter: Some(self.voter) }
    }
}

impl ParsedBallot {
    /// The ballot's identity.
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// The voter the ballot claims to speak for.
    pub const fn claimed_voter(&self) -> Voter {
        self.voter
    }

    /// When the voter says to have signed, in seconds.
    pub const fn signed_at_s(&self) -> u64 {
        self.signed_at_s
    }

    /// What the voter chose.
    pub const fn choice(&self) -> &Choice {
        &self.choice
    }

    /// Refuses a ballot signed for a time beyond the skew, or appended outside the window. The signed second counts from
    /// its beginning: it is refused if `signed_at_s × 1000 > appended_at + clock_skew_s × 1000` milliseconds.
    pub fn check_time(&self, appended_at: TimestampMs, proposal: &Proposal) -> Result<(), Refusal> {
        // Saturating at 2^128 - 1 is out of reach of any u64 of seconds.
        let signed_at_ms = u128::from(self.signed_at_s).saturating_mul(1_000);
        let skew_ms = u128::from(proposal.parts().clock_skew_s).saturating_mul(1_000);
        if signed_at_ms > u128::from(appended_at.0).saturating_add(skew_ms) {
            return Err(self.refusal(Rejection::SignedInFuture));
        }
        match proposal.window().position(appended_at) {
            WindowPosition::Inside => Ok(()),
            WindowPosition::Before | WindowPosition::After => Err(self.refusal(Rejection::OutsideWindow)),
        }
    }

    /// This ballot, refused.
    pub const fn refusal(&self, rejection: Rejection) -> Refusal {
        Refusal { rejection, digest: Some(self.digest), claimed_voter: Some(self.voter) }
    }
}

/// The envelope's own level, checked.
struct Outer<'a> {
    address: Text<'a>,
    voter: Voter,
    signature: Vec<u8>,
    data: DataJson<'a>,
}

impl<'a> Outer<'a> {
    fn parse(body: &'a [u8]) -> Option<Self> {
        let body = str::from_utf8(body).ok()?;
        let Object(EnvelopeJson { address, sig, data: Object(data) }) = serde_json::from_str(body).ok()?;
        let voter = Voter::from_checksummed(&address.0).ok()?;
        let signature = parse_signature(&sig.0)?;
        Some(Self { address, voter, signature, data })
    }
}

const fn refusal(rejection: Rejection) -> Refusal {
    Refusal { rejection, digest: None, claimed_voter: None }
}

fn parse_signature(text: &str) -> Option<Vec<u8>> {
    let digits = text.strip_prefix("0x")?;
    let mut signature = vec![0; digits.len().div_ceil(2).min(SIGNATURE_BYTES_MAX)];
    // Refuses odd lengths, other characters, and more or fewer digits than the buffer needs.
    hex::decode_to_slice(text, &mut signature).ok()?;
    Some(signature)
}

fn text_or_empty<'t>(text: Option<&'t Text<'_>>) -> &'t str {
    text.map_or("", |Text(text)| text)
}

fn is_vote(primary_type: &RawValue) -> bool {
    serde_json::from_str::<Text<'_>>(primary_type.get()).is_ok_and(|Text(name)| name == "Vote")
}

/// The message, if it has exactly the fields of its types.
fn parse_message(json: &RawValue, types: VoteTypes) -> Option<MessageJson<'_>> {
    let Object(message) = serde_json::from_str::<Object<MessageJson<'_>>>(json.get()).ok()?;
    let has = |field| types.tail().fields().contains(&field);
    let fits = message.reason.is_some() == has(TailField::Reason)
        && message.app.is_some() == has(TailField::App)
        && message.metadata.is_some() == has(TailField::Metadata);
    fits.then_some(message)
}

fn parse_choice(json: &RawValue, kind: ChoiceType) -> Option<RawChoice<'_>> {
    let json = json.get();
    match kind {
        ChoiceType::Number => RawChoice::number_from_json(json),
        ChoiceType::Numbers => RawChoice::numbers_from_json(json),
        ChoiceType::Text => serde_json::from_str(json).ok().map(|Text(text)| RawChoice::Text(text)),
    }
}

//! What a voter's client needs: a ballot in the form that the current client of Snapshot signs and posts.

use alloy_primitives::hex;
use thiserror::Error;

use super::{DOMAIN_NAME, DOMAIN_VERSION, Domain, HashMemo, Vote};
use crate::{
    choice::RawChoice,
    id::{Digest, ProposalId, Voter},
    wire::{
        envelope::{ClientData, ClientDomain, ClientEnvelope, ClientMessage},
        vote_types::{ChoiceType, VoteTypes},
    },
};

/// What the current client puts into `metadata` when its user says nothing.
const METADATA: &str = "{}";

/// JSON that is no choice of any voting system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a choice is a number such as 1, a list such as [2,1], or weights such as {{\"1\":2.5,\"3\":1}}")]
pub struct ChoiceJsonError;

/// A ballot that waits for its voter's signature over [`UnsignedBallot::digest`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnsignedBallot<'a> {
    digest: Digest,
    types: VoteTypes,
    from: String,
    space: &'a str,
    signed_at_s: u64,
    proposal: String,
    choice: RawChoice<'a>,
    reason: &'a str,
    app: &'a str,
}

/// Composes a ballot with Snapshot's plain domain and the current client's types (`from:string space:string
/// timestamp:uint64 proposal:string choice reason:string app:string metadata:string`).
///
/// `choice_json` is a number, a list of numbers or an object of weights; which of them the proposal takes, and whether
/// the choice is one of its own, is not looked at.
pub fn compose<'a>(
    voter: Voter,
    space: &'a str,
    signed_at_s: u64,
    proposal: ProposalId,
    choice_json: &'a str,
    reason: &'a str,
    app: &'a str,
) -> Result<UnsignedBallot<'a>, ChoiceJsonError> {
    let choice = RawChoice::from_json(choice_json).ok_or(ChoiceJsonError)?;
    let types = VoteTypes::of_current_client(match choice {
        RawChoice::Number(_) => ChoiceType::Number,
        RawChoice::Numbers(_) => ChoiceType::Numbers,
        RawChoice::Text(_) => ChoiceType::Text,
    });
    let from = voter.to_string();
    let vote = Vote {
        types,
        voter,
        from: &from,
        space,
        signed_at_s,
        proposal,
        choice: &choice,
        reason,
        app,
        metadata: METADATA,
    };
    let digest = vote.digest(Domain::default().separator(), &mut HashMemo::forgetful());
    Ok(UnsignedBallot { digest, types, from, space, signed_at_s, proposal: proposal.to_string(), choice, reason, app })
}

impl UnsignedBallot<'_> {
    /// What the voter's account signs.
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// The body to post with the voter's signature.
    pub fn body_with(&self, signature: &[u8]) -> Vec<u8> {
        let envelope = ClientEnvelope {
            address: &self.from,
            sig: &hex::encode_prefixed(signature),
            data: ClientData {
                domain: ClientDomain { name: DOMAIN_NAME, version: DOMAIN_VERSION },
                types: self.types,
                message: ClientMessage {
                    from: &self.from,
                    space: self.space,
                    timestamp: self.signed_at_s,
                    proposal: &self.proposal,
                    choice: &self.choice,
                    reason: self.reason,
                    app: self.app,
                    metadata: METADATA,
                },
            },
        };
        serde_json::to_vec(&envelope).expect("texts, integers and lists of them are always JSON")
    }
}

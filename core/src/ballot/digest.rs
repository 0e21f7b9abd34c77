//! The EIP-712 signing hash of a `Vote`, hand-encoded.

use alloy_primitives::{hex, keccak256};

use super::{domain::DomainSeparator, memo::HashMemo};
use crate::{
    choice::RawChoice,
    id::{Digest, ProposalId, Voter},
    wire::vote_types::{FromType, ProposalType, TailField, VoteTypes},
};

/// Words of the longest encoded `Vote`: its type hash and eight fields.
const WORDS_MAX: usize = 9;

/// Words before the optional texts.
const HEAD_WORDS: usize = 6;

/// A `Vote` to be hashed. Its texts are hashed as they are written.
#[derive(Debug, Clone, Copy)]
pub struct Vote<'a> {
    /// The fields it is signed with.
    pub types: VoteTypes,
    /// The voter.
    pub voter: Voter,
    /// The voter as `from` says it.
    pub from: &'a str,
    /// The community.
    pub space: &'a str,
    /// When the voter says to sign, in seconds.
    pub signed_at_s: u64,
    /// The proposal.
    pub proposal: ProposalId,
    /// The choice, of the type that `types` gives it.
    pub choice: &'a RawChoice<'a>,
    /// The texts after the choice, as many as `types` has.
    pub reason: &'a str,
    /// See `reason`.
    pub app: &'a str,
    /// See `reason`.
    pub metadata: &'a str,
}

impl Vote<'_> {
    /// keccak256(0x1901 ‖ domain separator ‖ hashStruct(vote)).
    pub fn digest(&self, domain: DomainSeparator, memo: &mut HashMemo) -> Digest {
        let tail = self.types.tail().fields();
        let mut words = [[0; 32]; WORDS_MAX];
        words[0] = *self.types.type_hash();
        words[1] = match self.types.from() {
            FromType::Address => address_word(self.voter),
            // Every voter writes another one, so remembering it would only push out what is repeated.
            FromType::String => keccak256(self.from).0,
        };
        words[2] = memo.hash(self.space.as_bytes());
        words[3][24..].copy_from_slice(&self.signed_at_s.to_be_bytes());
        words[4] = match self.types.proposal() {
            ProposalType::Bytes32 => *self.proposal.as_bytes(),
            ProposalType::String => memo.hash(&id_text(self.proposal)),
        };
        words[5] = match self.choice {
            RawChoice::Number(number) => number_word(*number),
            RawChoice::Numbers(numbers) => {
                let words: Vec<_> = numbers.iter().map(|number| number_word(*number)).collect();
                keccak256(words.as_flattened()).0
            }
            RawChoice::Text(text) => memo.hash(text.as_bytes()),
        };
        for (word, field) in words[HEAD_WORDS..].iter_mut().zip(tail) {
            let text = match field {
                TailField::Reason => self.reason,
                TailField::App => self.app,
                TailField::Metadata => self.metadata,
            };
            *word = memo.hash(text.as_bytes());
        }
        let used = HEAD_WORDS.saturating_add(tail.len());
        let vote = keccak256(words[..used].as_flattened());
        let mut signed = [0; 66];
        signed[..2].copy_from_slice(&[0x19, 0x01]);
        signed[2..34].copy_from_slice(domain.as_bytes());
        signed[34..].copy_from_slice(&vote.0);
        Digest::new(keccak256(signed).0)
    }
}

/// An address as an EIP-712 word.
pub(super) fn address_word(address: Voter) -> [u8; 32] {
    let mut word = [0; 32];
    word[12..].copy_from_slice(address.as_bytes());
    word
}

fn number_word(number: u32) -> [u8; 32] {
    let mut word = [0; 32];
    word[28..].copy_from_slice(&number.to_be_bytes());
    word
}

/// The one text of an id, without an allocation.
fn id_text(id: ProposalId) -> [u8; 66] {
    let mut text = [0; 66];
    text[..2].copy_from_slice(b"0x");
    hex::encode_to_slice(id.as_bytes(), &mut text[2..]).expect("64 digits are what 32 bytes need");
    text
}

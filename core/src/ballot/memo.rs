//! What ballots repeat, remembered: a memo changes how fast a digest is computed, never what it is.

use alloy_primitives::{KECCAK256_EMPTY, hex, keccak256};

use super::domain::{Domain, DomainSeparator};
use crate::wire::vote_types::VoteTypes;

/// Slots for hashes of texts: the ballots of one process repeat some dozens of texts (spaces, apps, proposals, short
/// choices), which should seldom push each other out. With [`TEXT_BYTES_MAX`] about 60 kB at most.
const TEXT_SLOTS: usize = 256;

/// Longest text to remember: above a proposal's id of 66; longer ones are reasons, which nobody repeats.
const TEXT_BYTES_MAX: usize = 128;

/// Domains and type sets to remember: one for each usual wallet and voting system, few enough to compare them all.
const JSON_ENTRIES: usize = 8;

/// Longest JSON of a domain or type set to remember: a type set of 8 fields written with generous spaces.
const JSON_BYTES_MAX: usize = 2_048;

/// keccak256 of `{}`, the current client's `metadata` when its user says nothing.
const EMPTY_OBJECT_HASH: [u8; 32] = hex!("b48d38f93eaa084033fc5970bf96e559c33c4cdc07d889ab00b4d63f9590739d");

/// Remembers keccak hashes of texts that ballots repeat, and the domains and type sets read last. Bounded.
#[derive(Debug, Default)]
pub struct HashMemo {
    forgetful: bool,
    /// Empty or [`TEXT_SLOTS`] long; a text has one slot, which a later text may take.
    texts: Vec<Option<HashedText>>,
    domains: LastSeen<DomainSeparator>,
    types: LastSeen<VoteTypes>,
}

/// A text with its keccak256.
#[derive(Debug, Clone)]
struct HashedText {
    text: Box<[u8]>,
    hash: [u8; 32],
}

impl HashMemo {
    /// A memo that remembers nothing, for measuring and testing against.
    pub fn forgetful() -> Self {
        Self { forgetful: true, ..Self::default() }
    }

    /// keccak256 of a text.
    pub(super) fn hash(&mut self, text: &[u8]) -> [u8; 32] {
        match text {
            b"" => return KECCAK256_EMPTY.0,
            b"{}" => return EMPTY_OBJECT_HASH,
            _ => {}
        }
        if self.forgetful || text.len() > TEXT_BYTES_MAX {
            return keccak256(text).0;
        }
        if self.texts.is_empty() {
            self.texts.resize(TEXT_SLOTS, None);
        }
        let slot = &mut self.texts[slot_of(text)];
        if let Some(known) = slot
            && *known.text == *text
        {
            return known.hash;
        }
        let hash = keccak256(text).0;
        *slot = Some(HashedText { text: text.into(), hash });
        hash
    }

    /// The separator of an envelope's domain; `None` if it is not Snapshot's.
    pub(super) fn domain(&mut self, json: &str) -> Option<DomainSeparator> {
        let read = |json: &str| Domain::from_json(json).map(|domain| domain.separator());
        if self.forgetful { read(json) } else { self.domains.get_or_read(json, read) }
    }

    /// The type set of an envelope; `None` if it is none of the accepted.
    pub(super) fn types(&mut self, json: &str) -> Option<VoteTypes> {
        if self.forgetful { VoteTypes::from_json(json) } else { self.types.get_or_read(json, VoteTypes::from_json) }
    }
}

/// The slot of a text, from its length, head and tail: repeated texts differ there, and a stranger who makes texts
/// collide gains nothing but that they are hashed again.
fn slot_of(text: &[u8]) -> usize {
    let word = |bytes: &[u8]| bytes.iter().fold(0_u64, |word, byte| word << 8 | u64::from(*byte));
    let head = word(&text[..text.len().min(8)]);
    let tail = word(&text[text.len().saturating_sub(8)..]);
    let length = u64::try_from(text.len()).expect("a remembered text is short");
    // Multiplying by the golden ratio spreads what differs in the low bits over the top byte.
    let mixed = (head ^ tail.rotate_left(29) ^ length.rotate_left(17)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    usize::from(mixed.to_be_bytes()[0])
}

/// The last few JSON texts of one kind with what they say, the one to be forgotten next at `next`.
#[derive(Debug)]
struct LastSeen<T> {
    entries: Vec<(Box<str>, T)>,
    next: usize,
}

impl<T> Default for LastSeen<T> {
    fn default() -> Self {
        Self { entries: Vec::new(), next: 0 }
    }
}

impl<T: Copy> LastSeen<T> {
    fn get_or_read(&mut self, json: &str, read: impl FnOnce(&str) -> Option<T>) -> Option<T> {
        if let Some((_, value)) = self.entries.iter().find(|(known, _)| **known == *json) {
            return Some(*value);
        }
        let value = read(json)?;
        if json.len() <= JSON_BYTES_MAX {
            let entry = (json.into(), value);
            match self.entries.get_mut(self.next) {
                Some(oldest) => *oldest = entry,
                None => self.entries.push(entry),
            }
            self.next = self.next.saturating_add(1) & JSON_ENTRIES.saturating_sub(1);
        }
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memos_never_change_a_hash() {
        for mut memo in [HashMemo::default(), HashMemo::forgetful()] {
            for text in ["", "{}", "dao.example.eth", "dao.example.eth", &"long".repeat(100)] {
                assert_eq!(memo.hash(text.as_bytes()), keccak256(text).0, "{text}");
            }
        }
    }
}

//! Chains as far as power needs them: which one, which block of it, and that block's pin, decided once for a proposal.

use std::{collections::BTreeMap, fmt, num::NonZeroU64, str::FromStr};

use thiserror::Error;

use crate::{
    id::{ProposalId, address_id, hash_id},
    proposal::Proposal,
    time::TimestampMs,
};

hash_id!(
    /// A block's hash.
    BlockHash
);
address_id!(
    /// A contract's 20-byte address. Ordered by its bytes.
    ContractAddress
);

/// An EVM chain's id (EIP-155), Snapshot's `network`. Its text is decimal: `1` is Ethereum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChainId(NonZeroU64);

/// A text that is not a chain id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("must be a chain id in decimal digits such as \"1\"")]
pub struct ChainIdError;

/// A block's height.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockNumber(pub u64);

/// Which block of a chain a proposal reads, in terms that nobody can choose once the proposal is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SnapshotRule {
    /// The canonical block of this number.
    Block(BlockNumber),
    /// The last canonical block whose timestamp is not after this time.
    AtOrBefore(TimestampMs),
}

/// The finalized block of one chain at which everything about a proposal is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pin {
    /// The chain.
    pub chain: ChainId,
    /// The block's number.
    pub number: BlockNumber,
    /// The block's hash: what is read names the block by it (EIP-1898).
    pub hash: BlockHash,
    /// The block's own timestamp, seconds since the Unix epoch.
    pub timestamp_s: u64,
}

/// The pins of all chains of a proposal: one decision, so that no part of it can stand alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pins {
    proposal: ProposalId,
    by_chain: BTreeMap<ChainId, Pin>,
}

/// Pins that are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PinsError {
    /// Not a single pin.
    #[error("there must be at least one pin")]
    None,
    /// Two for the same chain.
    #[error("chain {0} is pinned twice")]
    Repeated(ChainId),
}

impl ChainId {
    /// The id with this number; 0 is none.
    pub const fn new(number: u64) -> Option<Self> {
        match NonZeroU64::new(number) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// The number, above 0.
    pub const fn get(self) -> u64 {
        self.0.get()
    }
}

impl fmt::Display for ChainId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl FromStr for ChainId {
    type Err = ChainIdError;

    /// Strict: decimal digits without a leading zero, so that one id has one text.
    fn from_str(text: &str) -> Result<Self, ChainIdError> {
        if !text.bytes().all(|byte| byte.is_ascii_digit()) || text.starts_with('0') {
            return Err(ChainIdError);
        }
        text.parse().map(Self).map_err(|_| ChainIdError)
    }
}

impl fmt::Display for BlockNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Display for SnapshotRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Block(number) => write!(f, "block {number}"),
            Self::AtOrBefore(time) => write!(f, "the last block at or before {} ms", time.0),
        }
    }
}

impl SnapshotRule {
    /// Whether a block with this number and timestamp can be the one that the rule names. That it is the last such block,
    /// and canonical, only the chain can say.
    pub fn admits(self, pin: &Pin) -> bool {
        match self {
            Self::Block(number) => pin.number == number,
            // A block's seconds are an instant; one too far in the future for milliseconds is not before any time.
            Self::AtOrBefore(time) => pin.timestamp_s.checked_mul(1_000).is_some_and(|pin_ms| pin_ms <= time.0),
        }
    }
}

impl Pins {
    /// The pins of `proposal`, at least one and at most one a chain.
    pub fn new(proposal: ProposalId, pins: impl IntoIterator<Item = Pin>) -> Result<Self, PinsError> {
        let mut by_chain = BTreeMap::new();
        for pin in pins {
            if by_chain.insert(pin.chain, pin).is_some() {
                return Err(PinsError::Repeated(pin.chain));
            }
        }
        if by_chain.is_empty() { Err(PinsError::None) } else { Ok(Self { proposal, by_chain }) }
    }

    /// Whose pins these are.
    pub const fn proposal(&self) -> ProposalId {
        self.proposal
    }

    /// All pins, ascending by chain.
    pub const fn by_chain(&self) -> &BTreeMap<ChainId, Pin> {
        &self.by_chain
    }

    /// The pin of one chain.
    pub fn get(&self, chain: ChainId) -> Option<&Pin> {
        self.by_chain.get(&chain)
    }

    /// Whether these are pins of `proposal`: of exactly its chains, each a block that its rule admits.
    pub fn fit(&self, proposal: &Proposal) -> bool {
        let rules = &proposal.parts().snapshots;
        self.proposal == proposal.id()
            && self.by_chain.keys().eq(rules.keys())
            && self.by_chain.values().zip(rules.values()).all(|(pin, rule)| rule.admits(pin))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn chain(number: u64) -> ChainId {
        ChainId::new(number).unwrap()
    }

    fn pin(chain_number: u64, number: u64, timestamp_s: u64) -> Pin {
        let hash = BlockHash::new([7; 32]);
        Pin { chain: chain(chain_number), number: BlockNumber(number), hash, timestamp_s }
    }

    #[test]
    fn a_chain_has_one_text() {
        for number in [1, 10, 8_453, u64::MAX] {
            assert_eq!(number.to_string().parse(), Ok(chain(number)));
            assert_eq!(chain(number).to_string(), number.to_string());
        }
        for text in ["", "0", "01", "+1", "-1", "1.0", " 1", "1 ", "0x1", "mainnet", "18446744073709551616", "١"] {
            assert_eq!(text.parse::<ChainId>(), Err(ChainIdError), "{text:?}");
        }
        assert_eq!(ChainId::new(0), None);
    }

    #[test]
    fn a_contract_is_written_with_its_checksum() {
        let text = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";
        assert_eq!(ContractAddress::from_checksummed(text).unwrap().to_string(), text);
        assert!(ContractAddress::from_checksummed(&text.to_lowercase()).is_err());
    }

    #[test]
    fn a_rule_admits_the_blocks_it_can_name() {
        assert!(SnapshotRule::Block(BlockNumber(5)).admits(&pin(1, 5, u64::MAX)));
        assert!(!SnapshotRule::Block(BlockNumber(5)).admits(&pin(1, 6, 0)));
        let rule = SnapshotRule::AtOrBefore(TimestampMs(10_999));
        assert!(rule.admits(&pin(1, 9, 10)));
        assert!(!rule.admits(&pin(1, 9, 11)));
        assert!(!SnapshotRule::AtOrBefore(TimestampMs(u64::MAX)).admits(&pin(1, 9, u64::MAX)));
    }

    #[test]
    fn pins_are_one_a_chain_and_not_none() {
        let proposal = ProposalId::new([1; 32]);
        assert_eq!(Pins::new(proposal, []), Err(PinsError::None));
        assert_eq!(Pins::new(proposal, [pin(1, 5, 5), pin(1, 5, 5)]), Err(PinsError::Repeated(chain(1))));
        let pins = Pins::new(proposal, [pin(10, 6, 6), pin(1, 5, 5)]).unwrap();
        assert_eq!(pins.by_chain().keys().map(|id| id.get()).collect::<Vec<_>>(), [1, 10]);
        assert_eq!(pins.get(chain(10)), Some(&pin(10, 6, 6)));
        assert_eq!(pins.get(chain(2)), None);
    }

    proptest! {
        #[test]
        fn at_or_before_is_a_comparison_of_instants(time_ms: u64, timestamp_s: u64) {
            let before = u128::from(timestamp_s) * 1_000 <= u128::from(time_ms);
            prop_assert_eq!(SnapshotRule::AtOrBefore(TimestampMs(time_ms)).admits(&pin(1, 1, timestamp_s)), before);
        }
    }
}

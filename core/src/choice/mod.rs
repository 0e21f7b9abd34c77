//! A ballot's choice in its canonical form: what the voter meant, written in exactly one way.

mod canonical;
mod raw;

pub use raw::RawChoice;

use std::fmt;

use crate::proposal::CHOICES_MAX;

/// A choice's number, from 1.
pub type ChoiceNumber = u8;

/// Fractional digits of a weight.
pub const WEIGHT_DECIMALS: usize = 9;

/// What a ballot chooses. Choices are numbered from 1.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Choice {
    /// Basic and single choice.
    Single(ChoiceNumber),
    /// Approval: a set, possibly empty.
    Approval(ApprovalSet),
    /// Weighted and quadratic.
    Weights(Weights),
    /// Ranked choice and Copeland: all choices, the most preferred first.
    Ranking(Ranking),
}

/// A set of choices: bit `n - 1` stands for choice `n`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct ApprovalSet(u64);

impl ApprovalSet {
    /// The set from its bits.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The bits.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// The choices in it, ascending.
    pub fn iter(self) -> impl Iterator<Item = ChoiceNumber> {
        (1..=64_u8).filter(move |number| self.0 >> (number.saturating_sub(1)) & 1 == 1)
    }
}

/// Weights by choice, ascending by choice, in billionths, each above 0 (a weight of 0 says nothing and is left out);
/// never empty.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Weights(Box<[(ChoiceNumber, u128)]>);

impl Weights {
    /// One billionth is the unit; a weight is below 2^53 whole ones.
    pub const BILLIONTHS_BOUND: u128 = (1 << 53) * 1_000_000_000;

    /// Weights that are ascending by choice (1 to [`CHOICES_MAX`]), above 0, below the bound, and at least one; else
    /// `None`.
    pub fn new(entries: Vec<(ChoiceNumber, u128)>) -> Option<Self> {
        let ascending = entries.windows(2).all(|pair| pair[0].0 < pair[1].0);
        let in_bounds = entries.iter().all(|(number, weight)| {
            (1..=CHOICES_MAX).contains(&usize::from(*number)) && *weight > 0 && *weight < Self::BILLIONTHS_BOUND
        });
        (!entries.is_empty() && ascending && in_bounds).then(|| Self(entries.into()))
    }

    /// (choice, billionths), ascending by choice.
    pub const fn entries(&self) -> &[(ChoiceNumber, u128)] {
        &self.0
    }
}

/// A permutation of all choices, the most preferred first, packed: 5 bits a choice (its number less 1), the first
/// choice in the lowest bits, and the length in the top 8 bits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ranking(u128);

impl Ranking {
    /// A ranking of all choices `1..=order.len()`, each once; `None` for anything else or more than 20.
    pub fn new(order: &[ChoiceNumber]) -> Option<Self> {
        let count = u32::try_from(order.len()).ok()?;
        if order.is_empty() || order.len() > crate::proposal::RANKED_CHOICES_MAX {
            return None;
        }
        let mut packed = u128::from(count) << 120;
        let mut seen = 0_u32;
        for (position, number) in (0_u32..).zip(order) {
            let index = u32::from(*number).checked_sub(1).filter(|index| *index < count)?;
            if seen >> index & 1 == 1 {
                return None;
            }
            seen |= 1 << index;
            packed |= u128::from(index) << position.checked_mul(5)?;
        }
        Some(Self(packed))
    }

    /// How many choices it ranks.
    pub fn len(self) -> usize {
        usize::from(self.0.to_be_bytes()[0])
    }

    /// Never: a ranking has at least one choice.
    pub const fn is_empty(self) -> bool {
        false
    }

    /// The choices, the most preferred first.
    pub fn iter(self) -> impl Iterator<Item = ChoiceNumber> {
        let mut rest = self.0;
        (0..self.len()).map(move |_| {
            let index = u8::try_from(rest & 0x1f).expect("five bits fit in a byte");
            rest >>= 5;
            index.saturating_add(1)
        })
    }

    /// The packed form; [`Ranking::from_packed`] reads it back.
    pub const fn packed(self) -> u128 {
        self.0
    }

    /// Reads the packed form, refusing anything that [`Ranking::new`] could not have made.
    pub fn from_packed(packed: u128) -> Option<Self> {
        let order: Vec<_> = Self(packed).iter().take(crate::proposal::RANKED_CHOICES_MAX).collect();
        Self::new(&order).filter(|ranking| ranking.0 == packed)
    }
}

impl fmt::Debug for Ranking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

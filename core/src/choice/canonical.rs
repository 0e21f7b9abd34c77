//! The one text and the one byte string of a choice.
//!
//! Text ([`Choice`]'s `Display`): compact JSON. `1` for a single choice, `[1,3]` ascending for approval, `[3,1,2]` by
//! preference for a ranking, `{"1":2.5,"3":1}` ascending by choice for weights, as decimals without surplus zeros and
//! without the choices of weight 0.
//!
//! Bytes ([`Choice::canonical_bytes`]), integers big-endian:
//!
//! | choice | tag | data |
//! |---|---|---|
//! | single | 1 | number: 1 byte |
//! | approval | 2 | set: 8 bytes, bit `n - 1` for choice `n` |
//! | weights | 3 | count: 1 byte; by choice: number: 1 byte, billionths: 16 bytes |
//! | ranking | 4 | count: 1 byte; the most preferred first: number: 1 byte |

use std::fmt;

use super::{ApprovalSet, Choice, ChoiceNumber, Ranking, WEIGHT_DECIMALS, Weights};
use crate::proposal::CHOICES_MAX;

const TAG_SINGLE: u8 = 1;
const TAG_APPROVAL: u8 = 2;
const TAG_WEIGHTS: u8 = 3;
const TAG_RANKING: u8 = 4;

/// Bytes of one weight: the choice's number and its billionths.
const WEIGHT_BYTES: usize = 1 + size_of::<u128>();

/// Billionths in one whole weight.
const BILLIONTHS_PER_ONE: u128 = 1_000_000_000;

impl Choice {
    /// The choice as bytes, for Merkle leaves and verdict records. Equal choices have equal bytes.
    pub fn canonical_bytes(&self) -> Vec<u8> {
        match self {
            Self::Single(number) => vec![TAG_SINGLE, *number],
            Self::Approval(set) => {
                let mut bytes = vec![TAG_APPROVAL];
                bytes.extend_from_slice(&set.bits().to_be_bytes());
                bytes
            }
            Self::Weights(weights) => {
                let mut bytes = vec![TAG_WEIGHTS, count_byte(weights.entries().len())];
                for (number, billionths) in weights.entries() {
                    bytes.push(*number);
                    bytes.extend_from_slice(&billionths.to_be_bytes());
                }
                bytes
            }
            Self::Ranking(ranking) => {
                let mut bytes = vec![TAG_RANKING, count_byte(ranking.len())];
                bytes.extend(ranking.iter());
                bytes
            }
        }
    }

    /// Reads [`Choice::canonical_bytes`]; `None` for bytes that no choice of any proposal has.
    pub fn from_canonical_bytes(bytes: &[u8]) -> Option<Self> {
        let (&tag, data) = bytes.split_first()?;
        match tag {
            TAG_SINGLE => {
                let [number] = data.try_into().ok()?;
                (1..=CHOICES_MAX).contains(&usize::from(number)).then_some(Self::Single(number))
            }
            TAG_APPROVAL => Some(Self::Approval(ApprovalSet::from_bits(u64::from_be_bytes(data.try_into().ok()?)))),
            TAG_WEIGHTS => {
                let (&count, entries) = data.split_first()?;
                let (entries, rest) = entries.as_chunks::<WEIGHT_BYTES>();
                if !rest.is_empty() || entries.len() != usize::from(count) {
                    return None;
                }
                Weights::new(entries.iter().map(weight_entry).collect()).map(Self::Weights)
            }
            TAG_RANKING => {
                let (&count, order) = data.split_first()?;
                if order.len() != usize::from(count) {
                    return None;
                }
                Ranking::new(order).map(Self::Ranking)
            }
            _ => None,
        }
    }
}

fn count_byte(count: usize) -> u8 {
    u8::try_from(count).expect("a choice names each of at most 64 choices once")
}

fn weight_entry([number, billionths @ ..]: &[u8; WEIGHT_BYTES]) -> (ChoiceNumber, u128) {
    (*number, u128::from_be_bytes(*billionths))
}

impl fmt::Display for Choice {
    /// The canonical JSON text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Single(number) => write!(f, "{number}"),
            Self::Approval(set) => write_list(f, set.iter()),
            Self::Weights(weights) => {
                f.write_str("{")?;
                for (index, (number, billionths)) in weights.entries().iter().enumerate() {
                    write!(f, "{}\"{number}\":", if index == 0 { "" } else { "," })?;
                    write_weight(f, *billionths)?;
                }
                f.write_str("}")
            }
            Self::Ranking(ranking) => write_list(f, ranking.iter()),
        }
    }
}

fn write_list(f: &mut fmt::Formatter<'_>, numbers: impl Iterator<Item = ChoiceNumber>) -> fmt::Result {
    f.write_str("[")?;
    for (index, number) in numbers.enumerate() {
        write!(f, "{}{number}", if index == 0 { "" } else { "," })?;
    }
    f.write_str("]")
}

fn write_weight(f: &mut fmt::Formatter<'_>, billionths: u128) -> fmt::Result {
    let whole = billionths.checked_div(BILLIONTHS_PER_ONE).expect("the divisor is a constant above 0");
    let fraction = billionths.checked_rem(BILLIONTHS_PER_ONE).expect("the divisor is a constant above 0");
    if fraction == 0 {
        return write!(f, "{whole}");
    }
    let fraction = format!("{fraction:0>WEIGHT_DECIMALS$}");
    write!(f, "{whole}.{}", fraction.trim_end_matches('0'))
}

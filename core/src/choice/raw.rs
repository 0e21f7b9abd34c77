//! A choice as a message states it, before it is held against a proposal.

use std::{borrow::Cow, fmt};

use serde::{
    Deserializer as _,
    de::{Error as _, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{ApprovalSet, Choice, ChoiceNumber, Ranking, WEIGHT_DECIMALS, Weights};
use crate::proposal::{CHOICES_MAX, VotingSystem};

/// A choice in one of the three types that Snapshot's clients sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RawChoice<'a> {
    /// `uint32`: basic and single choice.
    Number(u32),
    /// `uint32[]`, of at most [`CHOICES_MAX`] numbers: approval, ranked choice and Copeland.
    Numbers(Vec<u32>),
    /// `string` holding JSON text: weighted and quadratic. Signed as it is written.
    Text(Cow<'a, str>),
}

impl<'a> RawChoice<'a> {
    /// Reads JSON as people and files write it: a number, a list of numbers, or an object of weights, whose text is
    /// then signed as it stands. `None` for other JSON, for numbers that are not plain integers below 2^32, and for
    /// lists longer than any proposal has choices.
    pub fn from_json(json: &'a str) -> Option<Self> {
        let json = json.trim_ascii();
        match json.bytes().next()? {
            b'{' => serde_json::from_str::<&RawValue>(json).ok().map(|text| Self::Text(Cow::Borrowed(text.get()))),
            b'[' => Self::numbers_from_json(json),
            _ => Self::number_from_json(json),
        }
    }

    /// A `uint32` of JSON: an integer without sign, fraction, exponent or surplus zero.
    pub(crate) fn number_from_json(json: &str) -> Option<Self> {
        serde_json::from_str(json).ok().map(Self::Number)
    }

    /// A `uint32[]` of JSON.
    pub(crate) fn numbers_from_json(json: &str) -> Option<Self> {
        let numbers: Vec<u32> = serde_json::from_str(json).ok()?;
        (numbers.len() <= CHOICES_MAX).then_some(Self::Numbers(numbers))
    }

    /// The choice among `choice_count` under `system`; `None` unless it is a canonical choice there.
    pub fn under(&self, system: VotingSystem, choice_count: u8) -> Option<Choice> {
        match (system, self) {
            (VotingSystem::Basic | VotingSystem::SingleChoice, Self::Number(number)) => {
                choice_number(*number, choice_count).map(Choice::Single)
            }
            (VotingSystem::Approval, Self::Numbers(numbers)) => approval(numbers, choice_count),
            (VotingSystem::RankedChoice | VotingSystem::Copeland, Self::Numbers(numbers)) => {
                ranking(numbers, choice_count)
            }
            (VotingSystem::Weighted | VotingSystem::Quadratic, Self::Text(text)) => weights(text, choice_count),
            (VotingSystem::Basic | VotingSystem::SingleChoice, Self::Numbers(_) | Self::Text(_))
            | (
                VotingSystem::Approval | VotingSystem::RankedChoice | VotingSystem::Copeland,
                Self::Number(_) | Self::Text(_),
            )
            | (VotingSystem::Weighted | VotingSystem::Quadratic, Self::Number(_) | Self::Numbers(_)) => None,
        }
    }
}

fn choice_number(number: u32, choice_count: u8) -> Option<ChoiceNumber> {
    u8::try_from(number).ok().filter(|number| (1..=choice_count).contains(number))
}

fn approval(numbers: &[u32], choice_count: u8) -> Option<Choice> {
    let mut bits = 0_u64;
    for number in numbers {
        let number = choice_number(*number, choice_count)?;
        let bit = 1_u64.checked_shl(u32::from(number.checked_sub(1)?))?;
        if bits & bit != 0 {
            return None;
        }
        bits |= bit;
    }
    Some(Choice::Approval(ApprovalSet::from_bits(bits)))
}

fn ranking(numbers: &[u32], choice_count: u8) -> Option<Choice> {
    if numbers.len() != usize::from(choice_count) {
        return None;
    }
    let order: Option<Vec<_>> = numbers.iter().map(|number| choice_number(*number, choice_count)).collect();
    Ranking::new(&order?).map(Choice::Ranking)
}

fn weights(text: &str, choice_count: u8) -> Option<Choice> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let weights = deserializer.deserialize_map(WeightsVisitor { choice_count }).ok()?;
    deserializer.end().ok()?;
    Some(Choice::Weights(weights))
}

/// Reads `{"1":2.5,…}` without building a map of what a stranger wrote.
struct WeightsVisitor {
    choice_count: u8,
}

impl<'de> Visitor<'de> for WeightsVisitor {
    type Value = Weights;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of weights by choice")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Weights, A::Error> {
        let mut by_choice: [Option<u128>; CHOICES_MAX] = [None; CHOICES_MAX];
        // A borrowed key has no escapes, so a choice's number is written in one way only.
        while let Some((key, value)) = map.next_entry::<&str, &RawValue>()? {
            let index = parse_key(key, self.choice_count).ok_or_else(|| A::Error::custom("not a choice"))?;
            let weight = parse_weight(value.get()).ok_or_else(|| A::Error::custom("not a weight"))?;
            if by_choice[index].replace(weight).is_some() {
                return Err(A::Error::custom("a choice appears twice"));
            }
        }
        let entries = (1_u8..)
            .zip(by_choice)
            .filter_map(|(number, weight)| weight.filter(|weight| *weight > 0).map(|weight| (number, weight)));
        Weights::new(entries.collect()).ok_or_else(|| A::Error::custom("no weight above 0"))
    }
}

/// The index of the choice that a canonical decimal names.
fn parse_key(key: &str, choice_count: u8) -> Option<usize> {
    let canonical = key.bytes().all(|byte| byte.is_ascii_digit()) && !key.starts_with('0');
    let number: u8 = key.parse().ok().filter(|number| canonical && (1..=choice_count).contains(number))?;
    usize::from(number).checked_sub(1)
}

/// Billionths of a JSON number without sign or exponent, of at most 9 fractional digits and below 2^53.
fn parse_weight(number: &str) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    // 2^53 has 16 digits.
    if whole.is_empty()
        || whole.len() > 16
        || fraction.len() > WEIGHT_DECIMALS
        || !all_digits(whole)
        || !all_digits(fraction)
    {
        return None;
    }
    let billionths: u128 = format!("{whole}{fraction:0<WEIGHT_DECIMALS$}").parse().ok()?;
    (billionths < Weights::BILLIONTHS_BOUND).then_some(billionths)
}

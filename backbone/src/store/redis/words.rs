//! The string that keeps a lane's position, counters and totals together: signed 64-bit big-endian words, as `BITFIELD`
//! counts them.
//!
//! | word | |
//! |---|---|
//! | 0, 1 | the log's identity |
//! | 2 | next offset |
//! | 3 | flags: 1 = below the cut |
//! | 4 | when it was written, µs of Redis's clock: tells two states at one position apart |
//! | 5 | counting verdicts |
//! | 6 | standing ballots |
//! | 7 to 70 | rejections by code 1 to 64 |
//! | 71 to 78 | power, 32-bit limbs, the lowest first |
//! | from 79 | slots, 8 limbs each |
//!
//! A limb is a counter of its own: writers add signed differences and nothing carries, so an increment reads nothing. A
//! limb may therefore be negative or above 32 bits; the sum is what counts, and [`fold`] carries. A call moves a limb by
//! less than 2^32, so it takes more than 2^31 calls to leave 64 bits, and a replaced lane starts with carried limbs.

use std::ops::Range;

use alloy_primitives::U256;
use pnyx_core::{
    counting::{CountingRules, Totals, TotalsDelta},
    rejection::Rejection,
};

use crate::{
    log::LogIdentity,
    store::{LaneCounters, LanePosition, LaneStamp},
};

/// Bytes of a word.
const WORD_BYTES: usize = 8;

/// Limbs of a sum.
pub(super) const LIMBS: usize = 8;

/// Bits of a limb.
const LIMB_BITS: usize = 32;

/// Bytes of the position: log, next offset and flags.
pub(super) const POSITION_BYTES: usize = 4 * WORD_BYTES;

/// Bytes of the header: the position and when it was written.
pub(super) const HEADER_BYTES: usize = 5 * WORD_BYTES;

/// Bytes of the header that a batch's start must equal: log and next offset.
pub(super) const START_BYTES: usize = 3 * WORD_BYTES;

const WRITTEN_AT: usize = 4;
const COUNTING: usize = 5;
const BALLOTS: usize = 6;
const REJECTED: usize = 7;
const POWER: usize = REJECTED + REJECTION_CODES;
const SLOTS: usize = POWER + LIMBS;

/// Room for rejection codes: four times those there are. What a later build counts under a code that this one does not
/// know stays in Redis, and this build leaves it out.
const REJECTION_CODES: usize = 64;

const BELOW_CUT: i64 = 1;

/// Legitimate sums of a lane are below 2^232 (see `core::power`), so that 2^16 lanes still sum below 2^248.
const SUM_BITS_MAX: usize = 232;

/// Nobody writes 2^47 records, and 2^16 lanes of them still sum below 2^63.
const COUNT_BOUND: i64 = 1 << 47;

const _: () = {
    let mut index = 0;
    while index < Rejection::ALL.len() {
        let code = Rejection::ALL[index].code();
        assert!(1 <= code && code as usize <= REJECTION_CODES, "every code has a word");
        index += 1;
    }
};

/// A lane's string, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LaneWords {
    pub(super) position: LanePosition,
    pub(super) counters: LaneCounters,
    /// Without rankings: those lie in a hash of their own.
    pub(super) totals: Totals,
}

/// The position as the first bytes of the string. Offsets are below 2^63.
pub(super) fn encode_position(position: LanePosition) -> [u8; POSITION_BYTES] {
    let LanePosition { log, next_offset, below_cut } = position;
    let mut bytes = [0; POSITION_BYTES];
    bytes[..16].copy_from_slice(&log.0);
    bytes[16..24].copy_from_slice(&next_offset.to_be_bytes());
    bytes[24..].copy_from_slice(&(if below_cut { BELOW_CUT } else { 0 }).to_be_bytes());
    bytes
}

/// Reads the first bytes of the string; more may follow.
pub(super) fn decode_position(bytes: &[u8]) -> Result<LanePosition, String> {
    let header =
        bytes.get(..POSITION_BYTES).ok_or_else(|| format!("a lane's header ends after {} bytes", bytes.len()))?;
    let mut log = [0; 16];
    log.copy_from_slice(&header[..16]);
    let next_offset = u64::try_from(word(header, 2)).map_err(|_| "a lane's next offset is negative".to_owned())?;
    Ok(LanePosition { log: LogIdentity(log), next_offset, below_cut: word(header, 3) & BELOW_CUT != 0 })
}

/// Reads the header; more may follow.
pub(super) fn decode_stamp(bytes: &[u8]) -> Result<LaneStamp, String> {
    let position = decode_position(bytes)?;
    let header =
        bytes.get(..HEADER_BYTES).ok_or_else(|| format!("a lane's header ends after {} bytes", bytes.len()))?;
    Ok(LaneStamp { position, write: word(header, WRITTEN_AT).cast_unsigned() })
}

/// Bytes of the whole string.
pub(super) fn string_bytes(rules: CountingRules) -> usize {
    (SLOTS + rules.slot_count() * LIMBS) * WORD_BYTES
}

/// The words that a batch changes, and by how much.
pub(super) fn increments(delta: &TotalsDelta, counters: &LaneCounters) -> Vec<(usize, i64)> {
    let TotalsDelta { added, removed } = delta;
    let mut changes =
        vec![(COUNTING, signed(counters.counting)), (BALLOTS, signed(added.ballots) - signed(removed.ballots))];
    changes.extend(counters.rejected.iter().map(|(rejection, count)| (rejected_word(*rejection), signed(*count))));
    changes.extend((POWER..).zip(limb_differences(added.power, removed.power)));
    let slots = added.slots.iter().zip(&removed.slots).flat_map(|(added, removed)| limb_differences(*added, *removed));
    changes.extend((SLOTS..).zip(slots));
    changes.retain(|(_, change)| *change != 0);
    changes
}

/// The whole string of a lane, less when it was written.
pub(super) fn encode(position: LanePosition, totals: &Totals, counters: &LaneCounters) -> Vec<u8> {
    let mut bytes = vec![0; (SLOTS + totals.slots.len() * LIMBS) * WORD_BYTES];
    bytes[..POSITION_BYTES].copy_from_slice(&encode_position(position));
    let added = TotalsDelta { added: totals.clone(), removed: nothing(totals.slots.len()) };
    for (index, value) in increments(&added, counters) {
        bytes[range(index)].copy_from_slice(&value.to_be_bytes());
    }
    bytes
}

/// Reads the whole string; says what does not fit.
pub(super) fn decode(rules: CountingRules, bytes: &[u8]) -> Result<LaneWords, String> {
    let expected = string_bytes(rules);
    if bytes.len() != expected {
        return Err(format!("a lane has {} bytes instead of {expected}", bytes.len()));
    }
    let position = decode_position(bytes)?;
    let mut counters = LaneCounters { counting: count(word(bytes, COUNTING))?, ..LaneCounters::default() };
    for rejection in Rejection::ALL {
        let rejected = count(word(bytes, rejected_word(rejection)))?;
        if rejected > 0 {
            counters.rejected.insert(rejection, rejected);
        }
    }
    let sum = |first: usize| fold(std::array::from_fn(|limb| word(bytes, first + limb)));
    let slots: Result<_, String> = (0..rules.slot_count()).map(|slot| sum(SLOTS + slot * LIMBS)).collect();
    let totals = Totals { ballots: count(word(bytes, BALLOTS))?, power: sum(POWER)?, slots: slots?, ..nothing(0) };
    Ok(LaneWords { position, counters, totals })
}

/// The sum that signed limbs stand for, if it can be one.
pub(super) fn fold(limbs: [i64; LIMBS]) -> Result<U256, String> {
    let mut carry = 0_i128;
    let mut digits = [0_u8; LIMBS * 4];
    for (digit, limb) in digits.chunks_exact_mut(4).zip(limbs) {
        let sum = i128::from(limb) + carry;
        let low = u32::try_from(sum & i128::from(u32::MAX)).expect("masked to 32 bits");
        digit.copy_from_slice(&low.to_le_bytes());
        carry = sum >> LIMB_BITS;
    }
    let sum = U256::from_le_bytes(digits);
    if carry != 0 || sum.bit_len() > SUM_BITS_MAX {
        return Err("the limbs of a sum fold to a number that no ballots add up to".to_owned());
    }
    Ok(sum)
}

/// A count that a lane may have.
pub(super) fn count(value: i64) -> Result<u64, String> {
    let in_bounds = (0..COUNT_BOUND).contains(&value);
    u64::try_from(value).ok().filter(|_| in_bounds).ok_or_else(|| format!("a count is {value}"))
}

/// What is added to each limb, the lowest first.
pub(super) fn limb_differences(added: U256, removed: U256) -> impl Iterator<Item = i64> {
    limbs(added).into_iter().zip(limbs(removed)).map(|(added, removed)| added - removed)
}

fn limbs(sum: U256) -> [i64; LIMBS] {
    let bytes = sum.to_le_bytes::<32>();
    std::array::from_fn(|limb| {
        let digit = [bytes[limb * 4], bytes[limb * 4 + 1], bytes[limb * 4 + 2], bytes[limb * 4 + 3]];
        i64::from(u32::from_le_bytes(digit))
    })
}

fn rejected_word(rejection: Rejection) -> usize {
    REJECTED + usize::from(rejection.code()) - 1
}

fn nothing(slots: usize) -> Totals {
    Totals {
        ballots: 0,
        power: U256::ZERO,
        slots: vec![U256::ZERO; slots],
        rankings: std::collections::BTreeMap::new(),
    }
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).expect("a batch has fewer than 2^63 verdicts")
}

const fn range(index: usize) -> Range<usize> {
    index * WORD_BYTES..(index + 1) * WORD_BYTES
}

fn word(bytes: &[u8], index: usize) -> i64 {
    i64::from_be_bytes(bytes[range(index)].try_into().expect("a word has eight bytes"))
}

#[cfg(test)]
mod tests {
    use pnyx_core::proposal::VotingSystem;
    use proptest::prelude::*;

    use super::*;

    const RULES: CountingRules = CountingRules { system: VotingSystem::SingleChoice, choice_count: 2 };

    fn sum(low: u64, middle: u64, high: u64) -> U256 {
        U256::from_limbs([low, middle, high, 0])
    }

    proptest! {
        /// However a sum is made of additions and subtractions, limb by limb, it folds to what integers give.
        #[test]
        fn limbs_fold_to_the_sum(amounts in proptest::collection::vec(any::<[u64; 3]>(), 1..40)) {
            let mut limbs = [0_i64; LIMBS];
            let mut expected = U256::ZERO;
            let mut standing = Vec::new();
            for [low, middle, high] in amounts {
                let added = sum(low, middle, high);
                let removed = if low % 3 == 0 { standing.pop().unwrap_or(U256::ZERO) } else { U256::ZERO };
                standing.push(added);
                expected = expected + added - removed;
                for (limb, difference) in limbs.iter_mut().zip(limb_differences(added, removed)) {
                    *limb += difference;
                }
                prop_assert_eq!(fold(limbs), Ok(expected));
            }
        }

        #[test]
        fn any_words_are_a_lane_or_an_error(words in proptest::collection::vec(any::<i64>(), 95)) {
            let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
            prop_assert_eq!(bytes.len(), string_bytes(RULES));
            let _ = decode(RULES, &bytes);
            prop_assert!(decode(RULES, &bytes[1..]).is_err());
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let position = LanePosition { log: LogIdentity([9; 16]), next_offset: 1 << 62, below_cut: true };
        let rejected = [(Rejection::MalformedEnvelope, 3), (Rejection::NoPower, 1)].into();
        let counters = LaneCounters { counting: 1 << 46, rejected };
        let totals =
            Totals { ballots: 4, power: sum(1, 2, u64::MAX), slots: vec![sum(5, 6, 7), sum(0, 0, 1)], ..nothing(0) };
        let bytes = encode(position, &totals, &counters);
        assert_eq!(decode(RULES, &bytes), Ok(LaneWords { position, counters, totals }));
    }

    #[test]
    fn what_no_ballots_add_up_to_is_refused() {
        assert_eq!(fold([-1, 1, 0, 0, 0, 0, 0, 0]), Ok(U256::from(u32::MAX)));
        assert!(fold([-1, 0, 0, 0, 0, 0, 0, 0]).is_err(), "below zero");
        assert!(fold([0, 0, 0, 0, 0, 0, 0, 1 << 8]).is_err(), "2^232");
        assert!(fold([i64::MAX; LIMBS]).is_err());
        assert!(fold([i64::MIN; LIMBS]).is_err());
        assert!(count(-1).is_err());
        assert!(count(COUNT_BOUND).is_err());
    }
}

//! A standing ballot, a place block and a ranking's parts as bytes in Redis. The layout's version is in the keys.

use alloy_primitives::U256;
use pnyx_core::{
    choice::{Choice, Ranking},
    counting::{CountingRules, RankingTotal},
    id::{Digest, Place, Voter},
    power::Power,
    proposal::VotingSystem,
    tally::StandingBallot,
};

use super::words;
use crate::store::{PLACE_BLOCK_WORDS, PlaceBlock};

/// Bytes of a power: it is below 2^192.
const POWER_BYTES: usize = 24;

/// Bytes of a voter.
const VOTER_BYTES: usize = 20;

/// The part of a ranking that counts its ballots; the parts before are the limbs of its power.
const BALLOTS_PART: u8 = 8;

/// Digest, signed time, partition, offset, power without leading zeros after its length, and the choice's canonical
/// bytes; integers big-endian.
pub(super) fn encode(ballot: &StandingBallot) -> Vec<u8> {
    let StandingBallot { digest, signed_at_s, choice, power, place } = ballot;
    let power = power_bytes(*power);
    let power = &power[power.iter().take_while(|byte| **byte == 0).count()..];
    let choice = choice.canonical_bytes();
    let mut bytes = Vec::with_capacity(32 + 8 + 4 + 8 + 1 + power.len() + choice.len());
    bytes.extend_from_slice(digest.as_bytes());
    bytes.extend_from_slice(&signed_at_s.to_be_bytes());
    bytes.extend_from_slice(&place.partition.to_be_bytes());
    bytes.extend_from_slice(&place.offset.to_be_bytes());
    bytes.push(u8::try_from(power.len()).expect("at most 24"));
    bytes.extend_from_slice(power);
    bytes.extend_from_slice(&choice);
    bytes
}

/// Reads [`encode`]; `None` for bytes that are no ballot of a proposal with these rules.
pub(super) fn decode(rules: CountingRules, bytes: &[u8]) -> Option<StandingBallot> {
    let (digest, rest) = bytes.split_first_chunk()?;
    let (signed_at_s, rest) = rest.split_first_chunk()?;
    let (partition, rest) = rest.split_first_chunk()?;
    let (offset, rest) = rest.split_first_chunk()?;
    let (power_length, rest) = rest.split_first()?;
    let (power, choice) = rest.split_at_checked(usize::from(*power_length))?;
    if power.len() > POWER_BYTES {
        return None;
    }
    let choice = Choice::from_canonical_bytes(choice).filter(|choice| fits(rules, choice))?;
    Some(StandingBallot {
        digest: Digest::new(*digest),
        signed_at_s: u64::from_be_bytes(*signed_at_s),
        choice,
        power: Power::from_units(U256::from_be_slice(power)).ok()?,
        place: Place { partition: u32::from_be_bytes(*partition), offset: u64::from_be_bytes(*offset) },
    })
}

/// The member of the leaderboard's sorted set: ascending bytes are power descending, then voter ascending.
pub(super) fn encode_leader(power: Power, voter: Voter) -> [u8; POWER_BYTES + VOTER_BYTES] {
    let mut member = [0; POWER_BYTES + VOTER_BYTES];
    for (inverted, byte) in member.iter_mut().zip(power_bytes(power)) {
        *inverted = !byte;
    }
    member[POWER_BYTES..].copy_from_slice(voter.as_bytes());
    member
}

/// Reads [`encode_leader`].
pub(super) fn decode_leader(member: &[u8]) -> Option<(Power, Voter)> {
    let (inverted, voter) = member.split_at_checked(POWER_BYTES)?;
    let power: Vec<u8> = inverted.iter().map(|byte| !byte).collect();
    Some((Power::from_units(U256::from_be_slice(&power)).ok()?, Voter::new(voter.try_into().ok()?)))
}

/// The field of a place block.
pub(super) fn encode_block_key(block: &PlaceBlock) -> [u8; 12] {
    let mut key = [0; 12];
    key[..4].copy_from_slice(&block.partition.to_be_bytes());
    key[4..].copy_from_slice(&block.block.to_be_bytes());
    key
}

/// The bits of a place block, the lowest first.
pub(super) fn encode_block_bits(block: &PlaceBlock) -> Vec<u8> {
    block.bits.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// Reads a place block.
pub(super) fn decode_block(key: &[u8], bits: &[u8]) -> Option<PlaceBlock> {
    let (partition, block) = key.split_first_chunk()?;
    let (words, rest) = bits.as_chunks();
    if !rest.is_empty() || words.len() != PLACE_BLOCK_WORDS {
        return None;
    }
    Some(PlaceBlock {
        partition: u32::from_be_bytes(*partition),
        block: u64::from_be_bytes(block.try_into().ok()?),
        bits: std::array::from_fn(|index| u64::from_le_bytes(words[index])),
    })
}

/// What changes of one ranking: fields and differences, the ballots last.
pub(super) fn ranking_increments(
    ranking: Ranking,
    added: RankingTotal,
    removed: RankingTotal,
) -> impl Iterator<Item = ([u8; 17], i64)> {
    let count = |ballots: u64| i64::try_from(ballots).expect("a batch has fewer than 2^63 verdicts");
    let ballots = count(added.ballots) - count(removed.ballots);
    let parts = (0_u8..).zip(words::limb_differences(added.power, removed.power)).chain([(BALLOTS_PART, ballots)]);
    parts.filter(|(_, change)| *change != 0).map(move |(part, change)| {
        let mut field = [0; 17];
        field[..16].copy_from_slice(&ranking.packed().to_be_bytes());
        field[16] = part;
        (field, change)
    })
}

/// A ranking's parts, as they are read one by one.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct RankingParts {
    limbs: [i64; words::LIMBS],
    ballots: i64,
}

impl RankingParts {
    /// Takes one of them.
    pub(super) fn set(&mut self, part: u8, value: i64) -> Option<()> {
        if part == BALLOTS_PART {
            self.ballots = value;
        } else {
            *self.limbs.get_mut(usize::from(part))? = value;
        }
        Some(())
    }

    /// What they add up to.
    pub(super) fn total(self) -> Result<RankingTotal, String> {
        Ok(RankingTotal { ballots: words::count(self.ballots)?, power: words::fold(self.limbs)? })
    }
}

/// Reads a field of a lane's rankings: which ranking of this proposal, and which part.
pub(super) fn decode_ranking_field(rules: CountingRules, field: &[u8]) -> Option<(Ranking, u8)> {
    let (packed, part) = field.split_first_chunk()?;
    let [part] = part.try_into().ok()?;
    let ranking = Ranking::from_packed(u128::from_be_bytes(*packed))?;
    (ranking.len() == usize::from(rules.choice_count)).then_some((ranking, part))
}

/// Whether a choice is one of these rules, so that counting it cannot fail.
fn fits(rules: CountingRules, choice: &Choice) -> bool {
    let choices = rules.choice_count;
    match (rules.system, choice) {
        (VotingSystem::Basic | VotingSystem::SingleChoice, Choice::Single(number)) => (1..=choices).contains(number),
        (VotingSystem::Approval, Choice::Approval(set)) => set.iter().all(|number| number <= choices),
        (VotingSystem::Weighted | VotingSystem::Quadratic, Choice::Weights(weights)) => {
            weights.entries().iter().all(|(number, _)| *number <= choices)
        }
        (VotingSystem::RankedChoice | VotingSystem::Copeland, Choice::Ranking(ranking)) => {
            ranking.len() == usize::from(choices)
        }
        (
            VotingSystem::Basic
            | VotingSystem::SingleChoice
            | VotingSystem::Approval
            | VotingSystem::Weighted
            | VotingSystem::Quadratic
            | VotingSystem::RankedChoice
            | VotingSystem::Copeland,
            Choice::Single(_) | Choice::Approval(_) | Choice::Weights(_) | Choice::Ranking(_),
        ) => false,
    }
}

fn power_bytes(power: Power) -> [u8; POWER_BYTES] {
    let mut bytes = [0; POWER_BYTES];
    bytes.copy_from_slice(&power.units().to_be_bytes::<32>()[32 - POWER_BYTES..]);
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn power(limbs: [u64; 3]) -> Power {
        Power::from_units(U256::from_limbs([limbs[0], limbs[1], limbs[2], 0])).unwrap()
    }

    const RULES: CountingRules = CountingRules { system: VotingSystem::SingleChoice, choice_count: 3 };

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            (digest, signed_at_s, number) in (any::<[u8; 32]>(), any::<u64>(), 1_u8..=3),
            (limbs, partition, offset) in (any::<[u64; 3]>(), any::<u32>(), any::<u64>()),
        ) {
            let place = Place { partition, offset };
            let (digest, choice) = (Digest::new(digest), Choice::Single(number));
            let ballot = StandingBallot { digest, signed_at_s, choice, power: power(limbs), place };
            let bytes = encode(&ballot);
            prop_assert_eq!(decode(RULES, &bytes), Some(ballot));
            prop_assert_eq!(decode(CountingRules { choice_count: number - 1, ..RULES }, &bytes), None);
            prop_assert_eq!(decode(CountingRules { system: VotingSystem::Approval, ..RULES }, &bytes), None);
        }

        #[test]
        fn leaders_sort_by_power_descending_then_voter(one: ([u64; 3], [u8; 20]), other: ([u64; 3], [u8; 20])) {
            let rank = |(limbs, voter): ([u64; 3], [u8; 20])| (power(limbs), Voter::new(voter));
            let member = |rank| { let (power, voter) = rank; encode_leader(power, voter) };
            let (one, other) = (rank(one), rank(other));
            prop_assert_eq!(decode_leader(&member(one)), Some(one));
            prop_assert_eq!(member(one).cmp(&member(other)), (other.0, one.1).cmp(&(one.0, other.1)));
        }

        #[test]
        fn blocks_are_read_back(partition: u32, block: u64, bits: [u64; PLACE_BLOCK_WORDS]) {
            let block = PlaceBlock { partition, block, bits };
            prop_assert_eq!(decode_block(&encode_block_key(&block), &encode_block_bits(&block)), Some(block));
        }

        #[test]
        fn any_bytes_are_a_ballot_or_nothing(bytes: Vec<u8>, power_length: u8) {
            let _ = decode(RULES, &bytes);
            let mut long = vec![0; 52];
            long.push(power_length);
            long.extend_from_slice(&bytes);
            let _ = decode(RULES, &long);
            let _ = decode_leader(&bytes);
            let _ = decode_block(&bytes, &bytes);
            let _ = decode_ranking_field(RULES, &bytes);
        }
    }
}

//! Choices: sound ones in the many ways in which they may be written, and spoilt ones that can still be signed.

use std::borrow::Cow;

use pnyx_core::{
    choice::{ApprovalSet, Choice, Ranking, RawChoice, Weights},
    proposal::VotingSystem,
};
use rand::{
    Rng,
    seq::{IndexedRandom as _, SliceRandom as _},
};

/// A choice that counts, with what a ballot says of it.
pub(crate) fn sound(system: VotingSystem, count: u8, rng: &mut impl Rng) -> (Choice, RawChoice<'static>) {
    match system {
        VotingSystem::Basic | VotingSystem::SingleChoice => {
            let number = rng.random_range(1..=count);
            (Choice::Single(number), RawChoice::Number(number.into()))
        }
        VotingSystem::Approval => {
            let mut chosen: Vec<_> = (1..=count).filter(|_| rng.random()).collect();
            let bits = chosen.iter().fold(0, |bits, number| bits | 1 << (number - 1));
            chosen.shuffle(rng);
            (Choice::Approval(ApprovalSet::from_bits(bits)), numbers(&chosen))
        }
        VotingSystem::RankedChoice | VotingSystem::Copeland => {
            let mut order: Vec<_> = (1..=count).collect();
            order.shuffle(rng);
            (Choice::Ranking(Ranking::new(&order).expect("a permutation")), numbers(&order))
        }
        VotingSystem::Weighted | VotingSystem::Quadratic => weights(count, rng),
    }
}

fn numbers(numbers: &[u8]) -> RawChoice<'static> {
    RawChoice::Numbers(numbers.iter().map(|number| u32::from(*number)).collect())
}

/// Weights with zeros, in any order, with white space and surplus fractional zeros.
fn weights(count: u8, rng: &mut impl Rng) -> (Choice, RawChoice<'static>) {
    let sure = rng.random_range(1..=count);
    let mut weights: Vec<(u8, u128)> = Vec::new();
    for number in 1..=count {
        let weight = match rng.random_range(0..5) {
            0 => 0,
            1 => rng.random_range(1..1_000),
            2 => rng.random_range(1..Weights::BILLIONTHS_BOUND),
            _ => rng.random_range(1..=100) * 1_000_000_000,
        };
        if number == sure {
            weights.push((number, weight.max(1)));
        } else if rng.random() {
            weights.push((number, weight));
        }
    }
    let above_0 = weights.iter().copied().filter(|(_, weight)| *weight > 0).collect();
    let choice = Choice::Weights(Weights::new(above_0).expect("ascending and at least one"));
    weights.shuffle(rng);
    let space = *[" ", "", "", "\n", "\t "].choose(rng).expect("not empty");
    let entries: Vec<_> = weights
        .iter()
        .map(|(number, weight)| {
            let (whole, fraction) = (weight / 1_000_000_000, weight % 1_000_000_000);
            let digits = format!("{fraction:09}");
            let shortest = digits.trim_end_matches('0').len();
            let length = rng.random_range(shortest..=9);
            let point = if length == 0 { "" } else { "." };
            format!("{space}\"{number}\"{space}:{space}{whole}{point}{}", &digits[..length])
        })
        .collect();
    let text = format!("{space}{{{}{space}}}", entries.join(","));
    (choice, RawChoice::Text(Cow::Owned(text)))
}

/// A choice of the right type that is not canonical.
pub(crate) fn spoilt(system: VotingSystem, count: u8, rng: &mut impl Rng) -> RawChoice<'static> {
    let n = u32::from(count);
    match system {
        VotingSystem::Basic | VotingSystem::SingleChoice => {
            let wrong = [0, n + 1, n + 2, 256, 257, 256 + n, 65_537, 1 << 31, u32::MAX];
            RawChoice::Number(*wrong.choose(rng).expect("not empty"))
        }
        VotingSystem::Approval => {
            let wrong = [vec![0], vec![n + 1], vec![257], vec![1, 1], vec![2, 1, 2], vec![1, u32::MAX], vec![1; 64]];
            RawChoice::Numbers(wrong.choose(rng).expect("not empty").clone())
        }
        VotingSystem::RankedChoice | VotingSystem::Copeland => {
            let mut order: Vec<u32> = (1..=n).collect();
            order.shuffle(rng);
            match rng.random_range(0..7) {
                0 => order.clear(),
                1 => order.truncate(rng.random_range(1..order.len())),
                2 => order.push(1),
                3 => order.push(n + 1),
                4 => order[1] = order[0],
                5 => order[0] = 0,
                _ => order[0] = 257,
            }
            RawChoice::Numbers(order)
        }
        VotingSystem::Weighted | VotingSystem::Quadratic => RawChoice::Text(Cow::Owned(spoilt_weights(count, rng))),
    }
}

/// Texts that are no weights of any proposal with fewer than 64 choices.
const SPOILT_WEIGHTS: [&str; 44] = [
    "",
    "{}",
    "1",
    "[1]",
    "null",
    "\"1\"",
    "{\"1\":1",
    "{\"1\":1}x",
    "{\"1\":1}{}",
    "{\"1\":1,}",
    "{'1':1}",
    "{1:1}",
    "{\"1\":0}",
    "{\"1\":0.000000000,\"2\":0}",
    "{\"1\":-1}",
    "{\"1\":-0}",
    "{\"1\":+1}",
    "{\"1\":01}",
    "{\"1\":.5}",
    "{\"1\":1.}",
    "{\"1\":1e0}",
    "{\"1\":1E2}",
    "{\"1\":1e400}",
    "{\"1\":1e-9}",
    "{\"1\":0.0000000001}",
    "{\"1\":1.0000000000}",
    "{\"1\":9007199254740992}",
    "{\"1\":18446744073709551616}",
    "{\"1\":\"1\"}",
    "{\"1\":null}",
    "{\"1\":true}",
    "{\"1\":[1]}",
    "{\"1\":{\"1\":1}}",
    "{\"1\":NaN}",
    "{\"1\":1,\"1\":1}",
    "{\"1\":1,\"2\":1,\"1\":0}",
    "{\"0\":1}",
    "{\"01\":1}",
    "{\" 1\":1}",
    "{\"+1\":1}",
    "{\"1.0\":1}",
    "{\"\\u0031\":1}",
    "{\"257\":1,\"1\":1}",
    "{\"\":1}",
];

fn spoilt_weights(count: u8, rng: &mut impl Rng) -> String {
    match rng.random_range(0..SPOILT_WEIGHTS.len() + 4) {
        0 => format!("{{\"{}\":1}}", u32::from(count) + 1),
        1 => format!("{{\"1\":{}}}", "9".repeat(rng.random_range(17..400))),
        2 => format!("{{\"1\":{}1{}}}", "[".repeat(500), "]".repeat(500)),
        3 => format!("{{\"1\":0.{}1}}", "0".repeat(rng.random_range(9..400))),
        other => SPOILT_WEIGHTS[other - 4].to_owned(),
    }
}

//! Choices as text, for tests: `2`, `[1,2]` and `{"1":2.5}`, with or without the quotes.

use pnyx_core::{
    choice::{ApprovalSet, Choice, ChoiceNumber, Ranking, WEIGHT_DECIMALS, Weights},
    proposal::VotingSystem,
};

/// The choice that `text` stands for in a system.
pub(crate) fn choice(system: VotingSystem, text: &str) -> Choice {
    let text = text.trim();
    match system {
        VotingSystem::Basic | VotingSystem::SingleChoice => Choice::Single(number(text)),
        VotingSystem::Approval => {
            let bits = items(text).map(|item| 1 << (number(item) - 1)).fold(0, |bits: u64, bit: u64| bits | bit);
            Choice::Approval(ApprovalSet::from_bits(bits))
        }
        VotingSystem::Weighted | VotingSystem::Quadratic => {
            let mut entries: Vec<_> = items(text).map(weight).filter(|(_, weight)| *weight > 0).collect();
            entries.sort_unstable();
            Choice::Weights(Weights::new(entries).expect("weights"))
        }
        VotingSystem::RankedChoice | VotingSystem::Copeland => {
            let order: Vec<_> = items(text).map(number).collect();
            Choice::Ranking(Ranking::new(&order).expect("a full ranking"))
        }
    }
}

fn items(text: &str) -> impl Iterator<Item = &str> {
    text[1..text.len() - 1].split(',').map(str::trim).filter(|item| !item.is_empty())
}

fn number(text: &str) -> ChoiceNumber {
    text.parse().expect("a choice's number")
}

fn weight(item: &str) -> (ChoiceNumber, u128) {
    let (key, value) = item.split_once(':').expect("choice:weight");
    let value = value.trim();
    let (whole, fraction) = value.split_once('.').unwrap_or((value, ""));
    let billionths = format!("{whole}{fraction:0<WEIGHT_DECIMALS$}").parse().expect("a decimal");
    (number(key.trim().trim_matches('"')), billionths)
}

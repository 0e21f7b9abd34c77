//! Instant runoff over power per distinct ranking.

use alloy_primitives::U256;

use super::{CountingRules, RankingTotal, Totals};
use crate::choice::{ChoiceNumber, Ranking};

/// One round of an instant runoff.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunoffRound {
    /// Power by choice, the first choice first, in units of 10^-18: of the ballots that prefer it to every other choice
    /// still in play; 0 for a choice already eliminated.
    pub scores: Vec<U256>,
    /// The choice that leaves after this round; `None` in the last.
    pub eliminated: Option<ChoiceNumber>,
}

/// The rounds of the runoff, the first one first; none where no ranking has any ballot.
///
/// A round is the last if its leader has strictly more than half of the power, or if fewer than 3 choices are in play.
/// Otherwise the choice with the least power leaves, of equal ones the lowest number, and its ballots go to the next
/// choice still in play. Rankings are full, so no ballot ever runs out of choices: the power in play is all power.
///
/// For r distinct rankings of n choices this looks at each ranking once, and again only when the choice it lies with
/// leaves: at most r × (n - 1) moves, each over at most n places. It holds 16 bytes a ranking.
pub fn runoff_rounds(rules: CountingRules, totals: &Totals) -> Vec<RunoffRound> {
    if totals.rankings.is_empty() {
        return Vec::new();
    }
    let mut piles = Piles::new(rules.choice_count, totals);
    let mut rounds = Vec::new();
    loop {
        let scores = piles.scores();
        let eliminated = if piles.is_decided(&scores, totals.power) { None } else { Some(piles.lowest()) };
        rounds.push(RunoffRound { scores, eliminated });
        match eliminated {
            Some(number) => piles.eliminate(number),
            None => return rounds,
        }
    }
}

/// Scores by choice: those of the last round; all 0 without ballots.
pub(super) fn scores(rules: CountingRules, totals: &Totals) -> Vec<U256> {
    let last = runoff_rounds(rules, totals).pop();
    last.map_or_else(|| vec![U256::ZERO; usize::from(rules.choice_count)], |round| round.scores)
}

/// The rankings, each in the pile of the choice that it prefers of those still in play.
struct Piles<'a> {
    /// By choice, the first choice first; `None` once eliminated.
    by_choice: Vec<Option<Pile<'a>>>,
}

#[derive(Clone, Default)]
struct Pile<'a> {
    power: U256,
    rankings: Vec<(&'a Ranking, &'a RankingTotal)>,
}

impl<'a> Piles<'a> {
    fn new(choice_count: u8, totals: &'a Totals) -> Self {
        let mut piles = Self { by_choice: vec![Some(Pile::default()); usize::from(choice_count)] };
        for (ranking, total) in &totals.rankings {
            piles.place(ranking, total);
        }
        piles
    }

    fn place(&mut self, ranking: &'a Ranking, total: &'a RankingTotal) {
        let in_play = |number: ChoiceNumber| self.by_choice[index(number)].is_some();
        let number = ranking.iter().find(|number| in_play(*number)).expect("a full ranking names every choice in play");
        let pile = self.by_choice[index(number)].as_mut().expect("found to be in play");
        pile.power = pile.power.checked_add(total.power).expect("a part of the total power");
        pile.rankings.push((ranking, total));
    }

    fn scores(&self) -> Vec<U256> {
        self.by_choice.iter().map(|pile| pile.as_ref().map_or(U256::ZERO, |pile| pile.power)).collect()
    }

    fn is_decided(&self, scores: &[U256], total_power: U256) -> bool {
        let leader = scores.iter().copied().max().unwrap_or_default();
        let twice = leader.checked_add(leader).expect("twice a part of a total power below 2^232");
        twice > total_power || self.by_choice.iter().flatten().count() < 3
    }

    fn lowest(&self) -> ChoiceNumber {
        let in_play = (1..).zip(&self.by_choice).filter_map(|(number, pile)| Some((number, pile.as_ref()?.power)));
        // The first of equal minima, so the lowest number.
        in_play.min_by_key(|(_, power)| *power).expect("an undecided round has at least 3 choices").0
    }

    fn eliminate(&mut self, number: ChoiceNumber) {
        let pile = self.by_choice[index(number)].take().expect("a choice leaves once");
        for (ranking, total) in pile.rankings {
            self.place(ranking, total);
        }
    }
}

fn index(number: ChoiceNumber) -> usize {
    usize::from(number).checked_sub(1).expect("choices are numbered from 1")
}

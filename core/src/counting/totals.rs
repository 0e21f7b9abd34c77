//! Running totals: what standing ballots add up to, per voting system.

use std::collections::BTreeMap;

use alloy_primitives::U256;

use super::{quadratic::square_root, shares::shares};
use crate::{
    choice::{Choice, ChoiceNumber, Ranking},
    power::Power,
    proposal::{Proposal, VotingSystem},
};

/// What counting needs to know of a proposal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CountingRules {
    /// How ballots are counted.
    pub system: VotingSystem,
    /// How many choices there are.
    pub choice_count: u8,
}

impl CountingRules {
    /// The rules of a proposal.
    pub fn of(proposal: &Proposal) -> Self {
        Self { system: proposal.system(), choice_count: proposal.choice_count() }
    }

    /// How many slots the totals have: one a choice; for Copeland `n × n`, where slot `(i - 1) × n + (j - 1)` is the
    /// power that prefers choice i to choice j; none for ranked choice.
    pub fn slot_count(self) -> usize {
        let choices = usize::from(self.choice_count);
        match self.system {
            VotingSystem::Basic
            | VotingSystem::SingleChoice
            | VotingSystem::Approval
            | VotingSystem::Weighted
            | VotingSystem::Quadratic => choices,
            VotingSystem::RankedChoice => 0,
            VotingSystem::Copeland => choices.saturating_mul(choices),
        }
    }

    /// What a ballot of this choice and power adds.
    ///
    /// # Panics
    /// If the choice is not one of this system and choice count: a parsed ballot's always is.
    pub fn contribution(self, choice: &Choice, power: Power) -> Contribution {
        let slots = match (self.system, choice) {
            (VotingSystem::Basic | VotingSystem::SingleChoice, Choice::Single(number)) => {
                vec![(self.slot(*number), power.units())]
            }
            (VotingSystem::Approval, Choice::Approval(set)) => {
                set.iter().map(|number| (self.slot(number), power.units())).collect()
            }
            (VotingSystem::Weighted, Choice::Weights(weights)) => {
                let shares = shares(power, weights).into_iter();
                shares.map(|(number, units)| (self.slot(number), units)).collect()
            }
            (VotingSystem::Quadratic, Choice::Weights(weights)) => {
                let shares = shares(power, weights).into_iter();
                shares.map(|(number, units)| (self.slot(number), square_root(units))).collect()
            }
            (VotingSystem::RankedChoice, Choice::Ranking(ranking)) => {
                self.check_length(*ranking);
                return Contribution { power, slots: Vec::new(), ranking: Some(*ranking) };
            }
            (VotingSystem::Copeland, Choice::Ranking(ranking)) => self.preferences(*ranking, power.units()),
            (system, Choice::Single(_) | Choice::Approval(_) | Choice::Weights(_) | Choice::Ranking(_)) => {
                panic!("a ballot of a {} proposal cannot choose {choice:?}", system.name())
            }
        };
        Contribution { power, slots, ranking: None }
    }

    fn slot(self, number: ChoiceNumber) -> u16 {
        let index = number.checked_sub(1).filter(|index| *index < self.choice_count);
        u16::from(index.expect("a parsed ballot's choices are choices of its proposal"))
    }

    fn check_length(self, ranking: Ranking) {
        assert_eq!(ranking.len(), usize::from(self.choice_count), "a parsed ballot ranks all choices of its proposal");
    }

    /// Copeland: the power in the slot of every pair (preferred, other).
    fn preferences(self, ranking: Ranking, units: U256) -> Vec<(u16, U256)> {
        self.check_length(ranking);
        let mut positions = vec![0_usize; ranking.len()];
        for (position, number) in ranking.iter().enumerate() {
            positions[usize::from(self.slot(number))] = position;
        }
        let pairs = positions.iter().flat_map(|one| positions.iter().map(move |other| one < other));
        (0_u16..).zip(pairs).filter(|(_, is_preferred)| *is_preferred).map(|(slot, _)| (slot, units)).collect()
    }
}

/// What one ballot adds to the totals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contribution {
    /// The ballot's whole power.
    pub power: Power,
    /// (slot, amount) ascending by slot: units of 10^-18 power, or for quadratic of 10^-18 square-rooted power.
    pub slots: Vec<(u16, U256)>,
    /// Ranked choice: the ranking that gets the power.
    pub ranking: Option<Ranking>,
}

/// What all standing ballots (of a lane, or of a proposal) add up to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Totals {
    /// How many standing ballots.
    pub ballots: u64,
    /// Their power, in units of 10^-18.
    pub power: U256,
    /// Sums by slot; see [`CountingRules::slot_count`].
    pub slots: Vec<U256>,
    /// Ranked choice: power by distinct ranking; no entry is zero.
    pub rankings: BTreeMap<Ranking, RankingTotal>,
}

/// The standing ballots that share one ranking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RankingTotal {
    /// How many.
    pub ballots: u64,
    /// Their power, in units of 10^-18.
    pub power: U256,
}

/// A change of totals: `totals + added - removed`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TotalsDelta {
    /// What came.
    pub added: Totals,
    /// What went.
    pub removed: Totals,
}

impl Totals {
    /// Totals of no ballots.
    pub fn empty(rules: CountingRules) -> Self {
        Self { ballots: 0, power: U256::ZERO, slots: vec![U256::ZERO; rules.slot_count()], rankings: BTreeMap::new() }
    }

    /// Adds one ballot's contribution.
    pub fn add(&mut self, contribution: &Contribution) {
        let units = contribution.power.units();
        increase_count(&mut self.ballots, 1);
        increase(&mut self.power, units);
        for (slot, amount) in &contribution.slots {
            increase(&mut self.slots[usize::from(*slot)], *amount);
        }
        if let Some(ranking) = contribution.ranking {
            self.rankings.entry(ranking).or_default().add(RankingTotal { ballots: 1, power: units });
        }
    }

    /// Takes one ballot's contribution away again.
    ///
    /// # Panics
    /// If it was never added.
    pub fn subtract(&mut self, contribution: &Contribution) {
        let units = contribution.power.units();
        decrease_count(&mut self.ballots, 1);
        decrease(&mut self.power, units);
        for (slot, amount) in &contribution.slots {
            decrease(&mut self.slots[usize::from(*slot)], *amount);
        }
        if let Some(ranking) = contribution.ranking {
            self.subtract_ranking(ranking, RankingTotal { ballots: 1, power: units });
        }
    }

    /// Adds the totals of other ballots, counted by the same rules.
    pub fn merge(&mut self, other: &Self) {
        self.check_slots(other);
        increase_count(&mut self.ballots, other.ballots);
        increase(&mut self.power, other.power);
        for (sum, amount) in self.slots.iter_mut().zip(&other.slots) {
            increase(sum, *amount);
        }
        for (ranking, total) in &other.rankings {
            self.rankings.entry(*ranking).or_default().add(*total);
        }
    }

    /// Applies a change.
    ///
    /// # Panics
    /// If it takes away what was never added.
    pub fn apply(&mut self, delta: &TotalsDelta) {
        self.merge(&delta.added);
        let removed = &delta.removed;
        self.check_slots(removed);
        decrease_count(&mut self.ballots, removed.ballots);
        decrease(&mut self.power, removed.power);
        for (sum, amount) in self.slots.iter_mut().zip(&removed.slots) {
            decrease(sum, *amount);
        }
        for (ranking, total) in &removed.rankings {
            self.subtract_ranking(*ranking, *total);
        }
    }

    fn subtract_ranking(&mut self, ranking: Ranking, amount: RankingTotal) {
        let total = self.rankings.get_mut(&ranking).expect(ONLY_ADDED);
        decrease_count(&mut total.ballots, amount.ballots);
        decrease(&mut total.power, amount.power);
        if total.ballots == 0 {
            self.rankings.remove(&ranking);
        }
    }

    fn check_slots(&self, other: &Self) {
        assert_eq!(self.slots.len(), other.slots.len(), "totals of one proposal have the same slots");
    }
}

impl RankingTotal {
    fn add(&mut self, amount: Self) {
        increase_count(&mut self.ballots, amount.ballots);
        increase(&mut self.power, amount.power);
    }
}

const ONLY_ADDED: &str = "only what was added is taken away";

fn increase(sum: &mut U256, amount: U256) {
    *sum = sum.checked_add(amount).expect("2^40 ballots of less than 2^192 units each sum below 2^232");
}

fn decrease(sum: &mut U256, amount: U256) {
    *sum = sum.checked_sub(amount).expect(ONLY_ADDED);
}

fn increase_count(count: &mut u64, amount: u64) {
    *count = count.checked_add(amount).expect("nobody casts 2^64 ballots");
}

fn decrease_count(count: &mut u64, amount: u64) {
    *count = count.checked_sub(amount).expect(ONLY_ADDED);
}

impl TotalsDelta {
    /// No change.
    pub fn empty(rules: CountingRules) -> Self {
        Self { added: Totals::empty(rules), removed: Totals::empty(rules) }
    }
}

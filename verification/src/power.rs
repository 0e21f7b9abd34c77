//! Where a voter's power comes from.

use std::collections::BTreeMap;

use pnyx_core::{
    id::Voter,
    power::Power,
    proposal::{Proposal, Strategy},
};
use thiserror::Error;

/// The source of power of one proposal.
#[derive(Debug, Clone)]
pub enum PowerSource {
    /// The proposal itself says who has how much.
    Listed(ListedPower),
}

/// Why a source has no answer at present. It delays verdicts and never decides one. Listed power is always there, so
/// there is nothing to say yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PowerUnavailable {}

/// Power that follows from a proposal's strategies alone, summed once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedPower {
    /// What everybody has who is not named: the sum of the tickets.
    unlisted: Power,
    /// What those have whom some list names, tickets included.
    listed: BTreeMap<Voter, Power>,
}

impl PowerSource {
    /// The source for a proposal's strategies.
    pub fn of(proposal: &Proposal) -> Self {
        Self::Listed(ListedPower::of(proposal))
    }

    /// The power of each voter, in the same order. Voters may repeat.
    pub fn powers(&self, voters: &[Voter]) -> Result<Vec<Power>, PowerUnavailable> {
        match self {
            Self::Listed(listed) => Ok(voters.iter().map(|voter| listed.power(*voter)).collect()),
        }
    }
}

impl ListedPower {
    /// Sums the strategies of a proposal.
    pub fn of(proposal: &Proposal) -> Self {
        let strategies = &proposal.parts().strategies;
        let unlisted = strategies.iter().fold(Power::ZERO, |sum, strategy| match strategy {
            Strategy::Ticket(power) => add(sum, *power),
            Strategy::Whitelist(_) | Strategy::WhitelistWeighted(_) => sum,
        });
        let mut listed = BTreeMap::new();
        let mut give = |voter: &Voter, power| {
            let sum = listed.entry(*voter).or_insert(unlisted);
            *sum = add(*sum, power);
        };
        for strategy in strategies {
            match strategy {
                Strategy::Whitelist(voters) => voters.iter().for_each(|voter| give(voter, Power::ONE)),
                Strategy::WhitelistWeighted(powers) => powers.iter().for_each(|(voter, power)| give(voter, *power)),
                Strategy::Ticket(_) => {}
            }
        }
        Self { unlisted, listed }
    }

    /// One voter's power, possibly none.
    pub fn power(&self, voter: Voter) -> Power {
        self.listed.get(&voter).copied().unwrap_or(self.unlisted)
    }
}

/// What each strategy of a proposal gives one voter, in the order of the definition, for people who ask why. The voter's
/// power is the sum.
pub fn power_by_strategy(proposal: &Proposal, voter: Voter) -> Vec<(&Strategy, Power)> {
    let given = |strategy: &Strategy| match strategy {
        Strategy::Whitelist(voters) if voters.contains(&voter) => Power::ONE,
        Strategy::Whitelist(_) => Power::ZERO,
        Strategy::WhitelistWeighted(powers) => powers.get(&voter).copied().unwrap_or(Power::ZERO),
        Strategy::Ticket(power) => *power,
    };
    proposal.parts().strategies.iter().map(|strategy| (strategy, given(strategy))).collect()
}

fn add(sum: Power, power: Power) -> Power {
    sum.checked_add(power).expect("a proposal is refused when its strategies could add up to more than a power")
}

//! Where a voter's power comes from.

use std::collections::BTreeMap;

use pnyx_core::{
    id::Voter,
    power::{Power, VoterPower},
    proposal::{Proposal, Strategy},
};

/// Power that follows from a proposal's lists and tickets alone, summed once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedPower {
    /// What everybody has who is not named: the sum of the tickets.
    unlisted: Power,
    /// What those have whom some list names, tickets included.
    listed: BTreeMap<Voter, Power>,
}

impl ListedPower {
    /// Sums the lists and tickets of a proposal. What its strategies read from chains is not in it.
    pub fn of(proposal: &Proposal) -> Self {
        let strategies = &proposal.parts().strategies;
        let unlisted = strategies.iter().fold(Power::ZERO, |sum, strategy| match strategy {
            Strategy::Ticket(power) => add(sum, *power),
            Strategy::Whitelist(_)
            | Strategy::WhitelistWeighted(_)
            | Strategy::OnChain(_)
            | Strategy::Multichain(_) => sum,
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
                Strategy::Ticket(_) | Strategy::OnChain(_) | Strategy::Multichain(_) => {}
            }
        }
        Self { unlisted, listed }
    }

    /// One voter's power, possibly none.
    pub fn power(&self, voter: Voter) -> Power {
        self.listed.get(&voter).copied().unwrap_or(self.unlisted)
    }

    /// The power of each voter, in the same order.
    pub fn powers(&self, voters: &[Voter]) -> Vec<VoterPower> {
        voters.iter().map(|voter| VoterPower::Known(self.power(*voter))).collect()
    }
}

/// What a list or ticket gives one voter; `None` for a strategy that only a chain can answer.
pub fn listed_by(strategy: &Strategy, voter: Voter) -> Option<Power> {
    match strategy {
        Strategy::Whitelist(voters) if voters.contains(&voter) => Some(Power::ONE),
        Strategy::Whitelist(_) => Some(Power::ZERO),
        Strategy::WhitelistWeighted(powers) => Some(powers.get(&voter).copied().unwrap_or(Power::ZERO)),
        Strategy::Ticket(power) => Some(*power),
        Strategy::OnChain(_) | Strategy::Multichain(_) => None,
    }
}

fn add(sum: Power, power: Power) -> Power {
    sum.checked_add(power).expect("a proposal is refused when its lists could add up to more than a power")
}

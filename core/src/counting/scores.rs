//! Scores: what the totals come to for each choice, in units of 10^-18 power.

use alloy_primitives::U256;

use super::{CountingRules, Totals, copeland, quadratic, runoff};
use crate::proposal::VotingSystem;

/// One score a choice, the first choice first, in units of 10^-18.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scores(pub Vec<U256>);

/// The scores of the totals; all 0 where there are no ballots.
///
/// Basic, single choice, approval and weighted: the power given to the choice, exactly. Quadratic and Copeland: parts
/// of the total power, each rounded down to a unit. Ranked choice: the last round of [`super::runoff_rounds`].
pub fn scores(rules: CountingRules, totals: &Totals) -> Scores {
    let scores = match rules.system {
        VotingSystem::Basic | VotingSystem::SingleChoice | VotingSystem::Approval | VotingSystem::Weighted => {
            totals.slots.clone()
        }
        VotingSystem::Quadratic => quadratic::scores(&totals.slots, totals.power),
        VotingSystem::RankedChoice => runoff::scores(rules, totals),
        VotingSystem::Copeland => copeland::scores(rules.choice_count, totals),
    };
    Scores(scores)
}

//! The outcome: scores, quorum and rule, and what follows from them.

use alloy_primitives::U256;

use crate::{
    choice::ChoiceNumber,
    counting::{CountingRules, Scores, Totals, scores},
    proposal::{Abstentions, Fraction, Quorum, Voting, VotingSystem},
};

/// What the totals come to under the proposal's rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// One score a choice.
    pub scores: Scores,
    /// Power of all standing ballots, in units of 10^-18.
    pub total_power: U256,
    /// Whether the quorum is reached; `None` where the proposal has none. A rejection quorum that is reached stops the
    /// proposal.
    pub quorum_reached: Option<bool>,
    /// Whether the leader's share reaches the approval threshold; `None` where the proposal has none.
    pub threshold_reached: Option<bool>,
    /// What follows.
    pub decision: OutcomeDecision,
}

/// What follows from the scores.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutcomeDecision {
    /// No ballot stands: nothing is decided, whatever the conditions.
    NoBallots,
    /// Basic: For won and every condition is met.
    Passed,
    /// Basic: it did not.
    Failed,
    /// Other systems: this choice has the highest score and every condition is met.
    Won(ChoiceNumber),
    /// Other systems: these choices share the highest score, ascending; all of them where no choice has any.
    Tied(Vec<ChoiceNumber>),
    /// Other systems: a quorum or threshold is not reached.
    ConditionsNotMet,
}

/// The outcome of the totals.
///
/// **Quorum.** Participation: the power of all standing ballots is at least the quorum; in the basic system Abstain is
/// part of it unless [`Abstentions::Neither`]. Rejection (basic): reached once Against is strictly above it.
///
/// **Threshold.** Basic: For is at least that fraction of For + Against, or with [`Abstentions::QuorumAndThreshold`] of
/// For + Against + Abstain. Other systems: the highest score is at least that fraction of the sum of the scores; for
/// approval, where one ballot scores for many choices, of the total power. A share of nothing reaches no threshold.
///
/// **Decision.** Without ballots nothing is decided, whatever the conditions. Basic passes if For is strictly above
/// Against and quorum and threshold are reached; with a rejection quorum it passes, whatever For, unless Against is
/// above the quorum or a threshold is not reached. Other systems: the conditions first, then the highest score wins. Choices
/// that share it are tied, and so are all choices where the highest score is 0. Scores are compared as published, in
/// whole units.
pub fn outcome(voting: &Voting, rules: CountingRules, totals: &Totals) -> Outcome {
    let scores = scores(rules, totals);
    let quorum_reached = voting.quorum.map(|quorum| match quorum {
        Quorum::Participation(least) => participation(voting, rules, totals, &scores) >= least.units(),
        Quorum::Rejection(most) => score(&scores, AGAINST) > most.units(),
    });
    let threshold_reached = voting.approval_threshold.map(|least| {
        let (part, whole) = threshold_parts(voting, rules, totals, &scores);
        reaches(part, whole, least)
    });
    let decision = if totals.ballots == 0 {
        OutcomeDecision::NoBallots
    } else {
        match rules.system {
            VotingSystem::Basic if passes(voting, &scores, quorum_reached, threshold_reached) => {
                OutcomeDecision::Passed
            }
            VotingSystem::Basic => OutcomeDecision::Failed,
            VotingSystem::SingleChoice
            | VotingSystem::Approval
            | VotingSystem::Weighted
            | VotingSystem::Quadratic
            | VotingSystem::RankedChoice
            | VotingSystem::Copeland => {
                if quorum_reached == Some(false) || threshold_reached == Some(false) {
                    OutcomeDecision::ConditionsNotMet
                } else {
                    leader(&scores)
                }
            }
        }
    };
    Outcome { scores, total_power: totals.power, quorum_reached, threshold_reached, decision }
}

/// Numbers of the basic system's choices.
const FOR: ChoiceNumber = 1;
const AGAINST: ChoiceNumber = 2;
const ABSTAIN: ChoiceNumber = 3;

/// A choice's score; 0 where the proposal has no such choice (Abstain is optional).
fn score(scores: &Scores, number: ChoiceNumber) -> U256 {
    let index = usize::from(number).checked_sub(1).expect("choices are numbered from 1");
    scores.0.get(index).copied().unwrap_or_default()
}

fn participation(voting: &Voting, rules: CountingRules, totals: &Totals, scores: &Scores) -> U256 {
    match (rules.system, voting.abstentions) {
        (VotingSystem::Basic, Abstentions::Neither) => {
            totals.power.checked_sub(score(scores, ABSTAIN)).expect("abstentions are part of the total")
        }
        (
            VotingSystem::Basic
            | VotingSystem::SingleChoice
            | VotingSystem::Approval
            | VotingSystem::Weighted
            | VotingSystem::Quadratic
            | VotingSystem::RankedChoice
            | VotingSystem::Copeland,
            Abstentions::Quorum | Abstentions::QuorumAndThreshold | Abstentions::Neither,
        ) => totals.power,
    }
}

/// The score that must reach the threshold, and what it is a part of.
fn threshold_parts(voting: &Voting, rules: CountingRules, totals: &Totals, scores: &Scores) -> (U256, U256) {
    let highest = scores.0.iter().copied().max().unwrap_or_default();
    match rules.system {
        VotingSystem::Basic => match voting.abstentions {
            Abstentions::QuorumAndThreshold => (score(scores, FOR), totals.power),
            Abstentions::Quorum | Abstentions::Neither => {
                let decided = totals.power.checked_sub(score(scores, ABSTAIN));
                (score(scores, FOR), decided.expect("abstentions are part of the total"))
            }
        },
        VotingSystem::Approval => (highest, totals.power),
        VotingSystem::SingleChoice
        | VotingSystem::Weighted
        | VotingSystem::Quadratic
        | VotingSystem::RankedChoice
        | VotingSystem::Copeland => {
            let add = |sum: U256, score: &U256| sum.checked_add(*score).expect("scores add up to at most the total");
            (highest, scores.0.iter().fold(U256::ZERO, add))
        }
    }
}

/// Whether `part / whole` is at least `fraction`, by cross-multiplication.
fn reaches(part: U256, whole: U256, fraction: Fraction) -> bool {
    let times = |power: U256, millionths: u32| {
        power.checked_mul(U256::from(millionths)).expect("a total below 2^232 times at most 2^20")
    };
    !whole.is_zero() && times(part, Fraction::ONE_MILLIONTHS) >= times(whole, fraction.millionths())
}

fn passes(voting: &Voting, scores: &Scores, quorum_reached: Option<bool>, threshold_reached: Option<bool>) -> bool {
    let is_ahead = score(scores, FOR) > score(scores, AGAINST);
    let has_support = match voting.quorum {
        Some(Quorum::Rejection(_)) => quorum_reached == Some(false),
        Some(Quorum::Participation(_)) => quorum_reached == Some(true) && is_ahead,
        None => is_ahead,
    };
    has_support && threshold_reached != Some(false)
}

fn leader(scores: &Scores) -> OutcomeDecision {
    let highest = scores.0.iter().copied().max().unwrap_or_default();
    let leaders: Vec<ChoiceNumber> =
        (1..).zip(&scores.0).filter(|(_, score)| **score == highest).map(|(number, _)| number).collect();
    match leaders.as_slice() {
        [only] if !highest.is_zero() => OutcomeDecision::Won(*only),
        _ => OutcomeDecision::Tied(leaders),
    }
}

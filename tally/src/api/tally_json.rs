//! The live tally as JSON: the same object in lists, proposals and event streams.

use std::collections::BTreeMap;

use pnyx_backbone::{clock::time_text, store::LaneCounters};
use pnyx_core::{
    choice::ChoiceNumber,
    outcome::{Outcome, OutcomeDecision},
    power::format_units,
    proposal::ProposalParts,
    time::TimestampMs,
};
use serde::Serialize;
use utoipa::ToSchema;

use super::snapshots::Counted;

/// The live tally: exact decimal texts, never floats.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct TallyDto {
    /// Standing ballots.
    pub(super) ballots: u64,
    /// Their power.
    pub(super) total_power: String,
    /// One score a choice, the first choice first.
    pub(super) scores: Vec<String>,
    /// Whether the quorum is reached; null where there is none. A rejection quorum that is reached stops the proposal.
    quorum_reached: Option<bool>,
    /// Whether the approval threshold is reached; null where there is none.
    threshold_reached: Option<bool>,
    /// What would follow if it ended now.
    decision: DecisionDto,
    /// The choice with the highest score; null where none has any or several share it.
    pub(super) leading: Option<LeadingDto>,
    /// Records that count, superseded ones included.
    counting: u64,
    /// Records that do not count, by reason.
    rejected: BTreeMap<&'static str, u64>,
    /// Verdicts that wait in the log to be counted; above 0 the figures are behind.
    behind: u64,
    /// Lane by lane.
    lanes: Vec<LaneDto>,
    /// Whether the store lost lanes, or has not been given any of them yet: the figures are those of before the loss, or,
    /// where they are not known, lack these lanes.
    pub(super) rebuilding: bool,
    /// When the figures were true, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    as_of: Option<String>,
    /// Whether that is more than 2 s ago, because the store or the log does not answer or counting takes
    /// long.
    #[serde(skip_serializing_if = "Option::is_none")]
    stale: Option<bool>,
}

/// What follows from the scores.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(tag = "kind", rename_all = "camelCase")]
enum DecisionDto {
    /// No ballot stands.
    NoBallots,
    /// Basic: passes.
    Passed,
    /// Basic: fails.
    Failed,
    /// This choice wins.
    Won {
        /// Its number.
        choice: ChoiceNumber,
    },
    /// These choices share the highest score.
    Tied {
        /// Their numbers.
        choices: Vec<ChoiceNumber>,
    },
    /// Quorum or threshold is not reached.
    ConditionsNotMet,
}

/// The choice with the highest score.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(super) struct LeadingDto {
    /// Its number, from 1.
    choice: ChoiceNumber,
    /// Its text.
    text: String,
    /// Its score.
    score: String,
}

/// How far a lane is.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct LaneDto {
    /// The lane's number.
    lane: usize,
    /// Verdicts below this offset are counted.
    next_offset: u64,
    /// Where the lane ends in the log.
    end_offset: u64,
    /// Verdicts between the two.
    behind: u64,
}

impl TallyDto {
    /// What was counted, beside where the lanes end.
    pub(super) fn new(parts: &ProposalParts, counted: &Counted, ends: &[u64]) -> Self {
        let Counted { ballots, counters, outcome, next_offsets, counted_offsets, .. } = counted;
        let Outcome { scores, total_power, quorum_reached, threshold_reached, decision } = outcome;
        let LaneCounters { counting, rejected } = counters;
        let offsets = next_offsets.iter().zip(counted_offsets).enumerate();
        let lanes: Vec<LaneDto> =
            offsets.map(|(lane, (next, counted))| LaneDto::new(lane, *next, *counted, ends)).collect();
        let is_lost = |(lane, counted): (&LaneDto, &u64)| lane.next_offset < *counted;
        let is_missing = |lane: &LaneDto| lane.next_offset == 0 && lane.end_offset > 0;
        let rebuilding = lanes.iter().zip(counted_offsets).any(is_lost) || lanes.iter().any(is_missing);
        Self {
            ballots: *ballots,
            total_power: format_units(*total_power),
            scores: scores.0.iter().map(|score| format_units(*score)).collect(),
            quorum_reached: *quorum_reached,
            threshold_reached: *threshold_reached,
            decision: DecisionDto::of(decision),
            leading: leading(parts, outcome),
            counting: *counting,
            rejected: rejected.iter().map(|(rejection, count)| (rejection.name(), *count)).collect(),
            behind: lanes.iter().map(|lane| lane.behind).sum(),
            lanes,
            rebuilding,
            as_of: None,
            stale: None,
        }
    }

    /// Says when the figures were true.
    pub(super) fn date(&mut self, as_of: TimestampMs, stale: bool) {
        (self.as_of, self.stale) = (Some(time_text(as_of)), Some(stale));
    }

    /// When the figures were true, and whether that is too long ago.
    pub(super) fn age(&self) -> (Option<String>, bool) {
        (self.as_of.clone(), self.stale.unwrap_or(false))
    }

    /// Verdicts that wait in the log to be counted.
    pub(super) const fn behind(&self) -> u64 {
        self.behind
    }

    /// Verdicts that wait to be counted when the lanes end here.
    pub(super) fn behind_of(&self, ends: &[u64]) -> u64 {
        let behind = self.lanes.iter().zip(ends).map(|(lane, end)| end.saturating_sub(lane.next_offset));
        behind.sum()
    }

    /// Records that count, and those that do not by reason.
    pub(super) const fn counters(&self) -> (u64, &BTreeMap<&'static str, u64>) {
        (self.counting, &self.rejected)
    }
}

impl LaneDto {
    fn new(lane: usize, next_offset: u64, counted_offset: u64, ends: &[u64]) -> Self {
        // The ends may have been read earlier: a lane is at least as long as what is or was counted of it.
        let end_offset = ends.get(lane).copied().unwrap_or(0).max(next_offset).max(counted_offset);
        Self { lane, next_offset, end_offset, behind: end_offset - next_offset }
    }
}

impl DecisionDto {
    fn of(decision: &OutcomeDecision) -> Self {
        match decision {
            OutcomeDecision::NoBallots => Self::NoBallots,
            OutcomeDecision::Passed => Self::Passed,
            OutcomeDecision::Failed => Self::Failed,
            OutcomeDecision::Won(choice) => Self::Won { choice: *choice },
            OutcomeDecision::Tied(choices) => Self::Tied { choices: choices.clone() },
            OutcomeDecision::ConditionsNotMet => Self::ConditionsNotMet,
        }
    }
}

fn leading(parts: &ProposalParts, outcome: &Outcome) -> Option<LeadingDto> {
    let scores = &outcome.scores.0;
    let highest = scores.iter().max().filter(|highest| !highest.is_zero())?;
    let mut leaders = (1..).zip(scores).zip(&parts.choices).filter(|((_, score), _)| *score == highest);
    let ((choice, score), text) = leaders.next()?;
    leaders.next().is_none().then(|| LeadingDto { choice, text: text.clone(), score: format_units(*score) })
}

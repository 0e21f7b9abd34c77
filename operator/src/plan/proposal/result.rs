//! A result and the pins of a proposal, as its status shows them, copies of what stands in the log; and who leads before that.

use jiff::Timestamp;
use pnyx_core::{
    chain::Pin, choice::ChoiceNumber, decisions::ProposalDecisions, outcome::OutcomeDecision, power::format_units,
    result::PublishedResult, time::TimestampMs,
};
use pnyx_crds::{
    GovernanceProposalStatus, LeadingStatus, OutcomeWord, PinStatus, ResultStatus, ScoreStatus, TurnoutStatus,
    conditions::reasons,
};

use super::archive;
use crate::{
    observe::Standing,
    plan::{Effect, Note, NoteKind},
};

/// The blocks at which chains are read.
pub(super) fn pins(decisions: &ProposalDecisions) -> Vec<PinStatus> {
    let pin = |pin: &Pin| PinStatus {
        network: pin.chain.to_string(),
        block: i64::try_from(pin.number.0).unwrap_or(i64::MAX),
        hash: pin.hash.to_string(),
        timestamp: time(TimestampMs(pin.timestamp_s.saturating_mul(1_000))),
    };
    decisions.pins.iter().flat_map(|pins| pins.by_chain().values()).map(pin).collect()
}

/// The result, if there is one.
pub(super) fn result(decisions: &ProposalDecisions) -> Option<ResultStatus> {
    let PublishedResult { core, provenance, key, signature: _ } = &**decisions.result.as_ref()?;
    let choices = &decisions.definition.proposal().parts().choices;
    let scores = choices
        .iter()
        .zip(&core.outcome.scores.0)
        .map(|(choice, score)| ScoreStatus { choice: choice.clone(), score: format_units(*score) });
    let (outcome, winners) = outcome(&core.outcome.decision);
    Some(ResultStatus {
        outcome,
        winners: winners.into_iter().map(i64::from).collect(),
        scores: scores.collect(),
        ballots: i64::try_from(core.ballots).unwrap_or(i64::MAX),
        total_power: format_units(core.outcome.total_power),
        quorum_reached: core.outcome.quorum_reached,
        threshold_reached: core.outcome.threshold_reached,
        merkle_root: core.ballots_root.to_string(),
        cut_at: Some(time(provenance.cut.decided_at)),
        signed_by: Some(key.to_string()),
        archive: archive::reference(decisions),
    })
}

/// Who leads and how many voted: as the tally says, and in the end as the result does. Where neither says anything, what was
/// said stays.
pub(super) fn stand(status: &mut GovernanceProposalStatus, decisions: &ProposalDecisions, standing: Option<&Standing>) {
    if let Some(result) = &status.result {
        status.leading = None;
        status.turnout = Some(TurnoutStatus { ballots: result.ballots, power: result.total_power.clone() });
        return;
    }
    let Some(standing) = standing else { return };
    let choices = &decisions.definition.proposal().parts().choices;
    let text = match standing.leaders() {
        [] => None,
        [leader] => choices.get(*leader).cloned(),
        several => Some(format!("{} choices share the highest score", several.len())),
    };
    let number = |leader: &usize| i64::try_from(*leader).unwrap_or(i64::MAX).saturating_add(1);
    status.leading = text.map(|text| LeadingStatus {
        text,
        choices: standing.leaders().iter().map(number).collect(),
        score: standing.score().to_owned(),
    });
    let ballots = i64::try_from(standing.ballots()).unwrap_or(i64::MAX);
    status.turnout = Some(TurnoutStatus { ballots, power: standing.total_power().to_owned() });
}

/// What people are told once it is so.
pub(super) fn news(decisions: &ProposalDecisions) -> Option<Effect> {
    let result = decisions.result.as_ref()?;
    let (word, winners) = outcome(&result.core.outcome.decision);
    let choices = &decisions.definition.proposal().parts().choices;
    let named = winners.iter().filter_map(|number| choices.get(usize::from(*number).checked_sub(1)?));
    let named: Vec<&str> = named.map(String::as_str).collect();
    let of = if named.is_empty() { String::new() } else { format!(" ({})", named.join(", ")) };
    let message = format!(
        "{word:?}{of}: {} ballots, Merkle root {}, signed by {}",
        result.core.ballots, result.core.ballots_root, result.key
    );
    Some(Effect::Note(Note { kind: NoteKind::Normal, reason: reasons::PUBLISHED, action: "Recount", message }))
}

fn outcome(decision: &OutcomeDecision) -> (OutcomeWord, Vec<ChoiceNumber>) {
    match decision {
        OutcomeDecision::NoBallots => (OutcomeWord::NoBallots, Vec::new()),
        OutcomeDecision::Passed => (OutcomeWord::Passed, Vec::new()),
        OutcomeDecision::Failed => (OutcomeWord::Failed, Vec::new()),
        OutcomeDecision::Won(choice) => (OutcomeWord::Won, vec![*choice]),
        OutcomeDecision::Tied(choices) => (OutcomeWord::Tied, choices.clone()),
        OutcomeDecision::ConditionsNotMet => (OutcomeWord::ConditionsNotMet, Vec::new()),
    }
}

/// RFC 3339; a time that no calendar has is the epoch's.
pub(super) fn time(at: TimestampMs) -> String {
    let milliseconds = i64::try_from(at.0).unwrap_or_default();
    Timestamp::from_millisecond(milliseconds).unwrap_or_default().to_string()
}

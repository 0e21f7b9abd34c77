//! The published result of an archive against what its records come to.

use std::collections::BTreeMap;

use pnyx_core::{
    id::Voter,
    outcome::{Outcome, OutcomeDecision},
    power::format_units,
    rejection::Rejection,
    result::{ChainEvidence, Cut, PublishedResult, ResultCore},
};

use super::{AuditFailure, AuditOptions, PowersFailure};
use crate::recounting::Recounted;

/// Holds the result against the recount: first what it says, part by part, then who says it.
pub(super) fn compare_result(
    published: &PublishedResult,
    recounted: &Recounted,
    options: &AuditOptions,
) -> Result<(), AuditFailure> {
    let PublishedResult { core, provenance, key, signature: _ } = published;
    if core.proposal != recounted.core.proposal {
        return Err(AuditFailure::ResultOfOther { proposal: recounted.core.proposal, found: core.proposal });
    }
    if let Some(failure) = difference_of_cuts(&recounted.provenance.cut, &provenance.cut) {
        return Err(failure);
    }
    compare_core(core, &recounted.core)?;
    if provenance.records != recounted.provenance.records {
        return Err(AuditFailure::RecordCount {
            published: provenance.records,
            recounted: recounted.provenance.records,
        });
    }
    compare_rejected(&provenance.rejected, &recounted.provenance.rejected)?;
    compare_chains(provenance.chains.as_ref(), recounted.provenance.chains.as_ref())?;
    if !published.verify() {
        return Err(AuditFailure::ResultSignature { key: *key });
    }
    if !options.keys.is_empty() && !options.keys.contains(key) {
        return Err(AuditFailure::ResultKey { found: *key, accepted: list_keys(&options.keys) });
    }
    Ok(())
}

/// Keys for an error message.
pub(super) fn list_keys(keys: &[Voter]) -> String {
    keys.iter().map(Voter::to_string).collect::<Vec<_>>().join(", ")
}

/// The first difference of the cut line from the result's cut.
pub(super) fn difference_of_cuts(line: &Cut, result: &Cut) -> Option<AuditFailure> {
    let differs = |what: String, in_cut_line: String, in_result: String| {
        (in_cut_line != in_result).then_some(AuditFailure::CutDiffers { what, in_cut_line, in_result })
    };
    differs("the proposal".to_owned(), line.proposal.to_string(), result.proposal.to_string())
        .or_else(|| {
            let partitions = |cut: &Cut| cut.partitions.len().to_string();
            differs("the number of partitions".to_owned(), partitions(line), partitions(result))
        })
        .or_else(|| {
            line.partitions.iter().zip(&result.partitions).enumerate().find_map(|(partition, (line, result))| {
                let end = |offset: u64| offset.to_string();
                differs(format!("the end of partition {partition}"), end(line.end_offset), end(result.end_offset))
                    .or_else(|| {
                        let what = format!("the record root of partition {partition}");
                        differs(what, line.records_root.to_string(), result.records_root.to_string())
                    })
            })
        })
        .or_else(|| {
            let time = |cut: &Cut| format!("{} ms", cut.decided_at.0);
            differs("the time of the cut".to_owned(), time(line), time(result))
        })
}

fn compare_core(published: &ResultCore, recounted: &ResultCore) -> Result<(), AuditFailure> {
    let ResultCore { proposal: _, ballots, outcome, ballots_root } = published;
    if *ballots != recounted.ballots {
        return Err(AuditFailure::BallotCount { published: *ballots, recounted: recounted.ballots });
    }
    compare_outcome(outcome, &recounted.outcome)?;
    if *ballots_root != recounted.ballots_root {
        return Err(AuditFailure::BallotsRoot { published: *ballots_root, recounted: recounted.ballots_root });
    }
    Ok(())
}

fn compare_outcome(published: &Outcome, recounted: &Outcome) -> Result<(), AuditFailure> {
    if published.total_power != recounted.total_power {
        return Err(AuditFailure::TotalPower {
            published: format_units(published.total_power),
            recounted: format_units(recounted.total_power),
        });
    }
    let (published_scores, recounted_scores) = (&published.scores.0, &recounted.scores.0);
    if published_scores.len() != recounted_scores.len() {
        let (published, choices) = (published_scores.len(), recounted_scores.len());
        return Err(AuditFailure::ScoreCount { published, choices });
    }
    for (choice, (published, recounted)) in (1..).zip(published_scores.iter().zip(recounted_scores)) {
        if published != recounted {
            let (published, recounted) = (format_units(*published), format_units(*recounted));
            return Err(AuditFailure::Score { choice, published, recounted });
        }
    }
    let (published, recounted) = (decision_text(published), decision_text(recounted));
    if published == recounted { Ok(()) } else { Err(AuditFailure::Decision { published, recounted }) }
}

/// Decision and conditions in words, each in one way only.
pub(super) fn decision_text(outcome: &Outcome) -> String {
    let decision = match &outcome.decision {
        OutcomeDecision::NoBallots => "no ballots".to_owned(),
        OutcomeDecision::Passed => "passed".to_owned(),
        OutcomeDecision::Failed => "failed".to_owned(),
        OutcomeDecision::Won(choice) => format!("choice {choice} won"),
        OutcomeDecision::Tied(choices) => {
            let choices: Vec<_> = choices.iter().map(u8::to_string).collect();
            format!("choices {} tied", choices.join(", "))
        }
        OutcomeDecision::ConditionsNotMet => "conditions not met".to_owned(),
    };
    let condition = |name: &str, reached: Option<bool>| match reached {
        Some(true) => format!(" ({name} reached)"),
        Some(false) => format!(" ({name} missed)"),
        None => String::new(),
    };
    let quorum = condition("quorum", outcome.quorum_reached);
    let threshold = condition("threshold", outcome.threshold_reached);
    format!("{decision}{quorum}{threshold}")
}

/// Both or neither have any: whether a proposal reads chains is in its definition.
fn compare_chains(published: Option<&ChainEvidence>, recounted: Option<&ChainEvidence>) -> Result<(), AuditFailure> {
    match (published, recounted) {
        (None, None) => Ok(()),
        (Some(published), Some(recounted)) if published.pins == recounted.pins => {
            let (published, computed) = (published.powers_root, recounted.powers_root);
            if published == computed { Ok(()) } else { Err(PowersFailure::PowersRoot { published, computed }.into()) }
        }
        (Some(_) | None, Some(_) | None) => Err(PowersFailure::PinsDiffer.into()),
    }
}

fn compare_rejected(
    published: &BTreeMap<Rejection, u64>,
    recounted: &BTreeMap<Rejection, u64>,
) -> Result<(), AuditFailure> {
    for rejection in Rejection::ALL {
        let count = |rejected: &BTreeMap<Rejection, u64>| rejected.get(&rejection).copied().unwrap_or(0);
        let (published, recounted) = (count(published), count(recounted));
        if published != recounted {
            return Err(AuditFailure::RejectedCount { rejection, published, recounted });
        }
    }
    Ok(())
}

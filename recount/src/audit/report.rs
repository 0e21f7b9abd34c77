//! What an audit that found nothing wrong says: plain data for a terminal, and JSON.

use std::collections::BTreeMap;

use pnyx_core::{
    id::{ProposalId, Voter},
    power::format_units,
    proposal::VotingSystem,
    rejection::Rejection,
    result::{PublishedResult, ResultCore},
};
use serde_json::{Value, json};

use super::{
    chains::ChainPowers,
    receipts::{ReceiptFinding, ReceiptReport},
    result::decision_text,
};

/// Where an audit's powers come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PowerEvidence {
    /// The definition lists who has how much, so every power was computed again.
    Definition,
    /// The archive has them as the chains gave them at the pins: whoever has a node can ask it again.
    Recorded,
    /// The auditor asked the chains again at the pins, and they say what the archive does.
    Chains,
}

/// A valid archive: everything here was computed again from its records and equals what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditReport {
    /// The proposal, whose id matches its definition.
    pub proposal: ProposalId,
    /// Its title.
    pub title: String,
    /// Its voting system.
    pub system: VotingSystem,
    /// Texts of its choices.
    pub choices: Vec<String>,
    /// Partitions, all of whose record roots match the cut.
    pub partitions: usize,
    /// Records below the cut, all of whose signatures were checked again.
    pub records: u64,
    /// Records that do not count, by reason.
    pub rejected: BTreeMap<Rejection, u64>,
    /// Where power comes from.
    pub power: PowerEvidence,
    /// What the archive has from the chains; `None` where the definition lists everybody's power.
    pub chain_powers: Option<ChainPowers>,
    /// Ballots, scores, decision and root, which equal the published ones.
    pub core: ResultCore,
    /// The key that signed the result.
    pub key: Voter,
    /// Whether the auditor named the accepted keys, or believed the archive's.
    pub key_was_given: bool,
    /// The published result as it is.
    pub result: PublishedResult,
    /// What became of each acknowledged ballot, in the order of the receipts given.
    pub receipts: Vec<ReceiptReport>,
}

impl AuditReport {
    /// Records that do not count.
    pub fn rejected_total(&self) -> u64 {
        self.rejected.values().sum()
    }

    /// Decision, quorum and threshold in words.
    pub fn decision(&self) -> String {
        decision_text(&self.core.outcome)
    }

    /// The report as one JSON object. Powers and scores are decimal strings, as everywhere.
    pub fn to_json(&self) -> Value {
        let scores = self.choices.iter().zip(&self.core.outcome.scores.0);
        json!({
            "valid": true,
            "proposal": self.proposal.to_string(),
            "title": self.title,
            "system": self.system.name(),
            "partitions": self.partitions,
            "records": self.records,
            "rejected": self.rejected.iter().map(|(rejection, count)| (rejection.name(), *count)).collect::<BTreeMap<_, _>>(),
            "power": match self.power {
                PowerEvidence::Definition => "definition",
                PowerEvidence::Recorded => "recorded",
                PowerEvidence::Chains => "chains",
            },
            "ballots": self.core.ballots,
            "totalPower": format_units(self.core.outcome.total_power),
            "scores": scores
                .map(|(choice, score)| json!({ "choice": choice, "score": format_units(*score) }))
                .collect::<Vec<_>>(),
            "decision": self.decision(),
            "ballotsRoot": self.core.ballots_root.to_string(),
            "key": self.key.to_string(),
            "keyWasGiven": self.key_was_given,
            "receipts": self.receipts.iter().map(receipt_json).collect::<Vec<_>>(),
        })
    }
}

fn receipt_json(report: &ReceiptReport) -> Value {
    let ReceiptReport { digest, place, finding } = report;
    let mut json = json!({
        "digest": digest.to_string(),
        "partition": place.partition,
        "offset": place.offset,
        "included": true,
    });
    match finding {
        ReceiptFinding::Counts => json["finding"] = json!("counts"),
        ReceiptFinding::Superseded { by } => {
            json["finding"] = json!("superseded");
            json["by"] = json!(by.to_string());
        }
        ReceiptFinding::Rejected { rejection, stands_by_another_copy } => {
            json["finding"] = json!("rejected");
            json["rejection"] = json!(rejection.name());
            json["standsByAnotherCopy"] = json!(stands_by_another_copy);
        }
    }
    json
}

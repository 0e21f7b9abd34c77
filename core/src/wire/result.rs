//! Results as JSON: the core part's canonical bytes, the provenance part's, and the signed document of both.

use alloy_primitives::hex;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{
    WireError,
    json::{Format, OrderedMap, VERSION, to_json},
    pins::PinsDto,
};
use crate::{
    choice::ChoiceNumber,
    counting::Scores,
    outcome::{Outcome, OutcomeDecision},
    power::format_units,
    proposal::CHOICES_MAX,
    rejection::Rejection,
    result::{ChainEvidence, Cut, CutPartition, Provenance, PublishedResult, ResultCore},
    time::TimestampMs,
};

const FORMAT: Format = Format("result");

/// The `kind` of the signed document, which is a decision record as it is.
pub(super) const KIND: &str = "result";

/// Canonical bytes of the core part: compact JSON with its keys in a fixed order.
pub fn encode_core(core: &ResultCore) -> String {
    to_json(&CoreDto::of(core))
}

/// Canonical bytes of the provenance part: compact JSON with its keys in a fixed order.
pub fn encode_provenance(provenance: &Provenance) -> String {
    to_json(&ProvenanceDto::of(provenance))
}

/// The text that the platform signs: names the SHA-256 of both parts' canonical bytes.
pub fn signed_text(core: &ResultCore, provenance: &Provenance) -> String {
    let core = hex::encode_prefixed(Sha256::digest(encode_core(core)));
    let provenance = hex::encode_prefixed(Sha256::digest(encode_provenance(provenance)));
    format!("pnyx result v1 core {core} provenance {provenance}")
}

/// The signed document: `{"v":1,"kind":"result","core":…,"provenance":…,"key":…,"signature":…}`, both parts in their
/// canonical bytes. It is also the decision record of the result and its line in an archive.
pub fn encode(result: &PublishedResult) -> String {
    let PublishedResult { core, provenance, key, signature } = result;
    to_json(&ResultDto {
        v: VERSION,
        kind: KIND.to_owned(),
        core: CoreDto::of(core),
        provenance: ProvenanceDto::of(provenance),
        key: key.to_string(),
        signature: hex::encode_prefixed(signature),
    })
}

/// Reads what [`encode`] wrote, and nothing but those bytes. Does not check the signature:
/// [`PublishedResult::verify`] does.
pub fn decode(json: &str) -> Result<PublishedResult, WireError> {
    if FORMAT.kind(json.as_bytes())?.as_deref() != Some(KIND) {
        return Err(FORMAT.malformed("kind: expected \"result\""));
    }
    let ResultDto { v: _, kind: _, core, provenance, key, signature } = FORMAT.parse(json.as_bytes())?;
    let result = PublishedResult {
        core: core.into_core()?,
        provenance: provenance.into_provenance()?,
        key: FORMAT.voter("key", &key)?,
        signature: FORMAT.hex("signature", &signature)?,
    };
    if result.core.proposal != result.provenance.cut.proposal {
        return Err(FORMAT.malformed("core and cut are of different proposals"));
    }
    let pins = result.provenance.chains.as_ref().map(|chains| &chains.pins);
    if pins.is_some_and(|pins| pins.proposal() != result.core.proposal) {
        return Err(FORMAT.malformed("core and pins are of different proposals"));
    }
    FORMAT.require_canonical(json.as_bytes(), encode(&result).as_bytes())?;
    Ok(result)
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ResultDto {
    v: u8,
    kind: String,
    core: CoreDto,
    provenance: ProvenanceDto,
    key: String,
    signature: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CoreDto {
    v: u8,
    proposal: String,
    ballots: u64,
    total_power: String,
    scores: Vec<String>,
    quorum_reached: Option<bool>,
    threshold_reached: Option<bool>,
    decision: OutcomeDecisionDto,
    ballots_root: String,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase", deny_unknown_fields)]
enum OutcomeDecisionDto {
    NoBallots {},
    Passed {},
    Failed {},
    Won { choice: ChoiceNumber },
    Tied { choices: Vec<ChoiceNumber> },
    ConditionsNotMet {},
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ProvenanceDto {
    v: u8,
    cut: CutDto,
    records: u64,
    rejected: OrderedMap<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    chains: Option<ChainEvidenceDto>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ChainEvidenceDto {
    pins: PinsDto,
    powers_root: String,
}

/// A cut, as in a result's provenance.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct CutDto {
    proposal: String,
    decided_at_ms: u64,
    partitions: Vec<CutPartitionDto>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CutPartitionDto {
    end_offset: u64,
    records_root: String,
}

impl CoreDto {
    fn of(core: &ResultCore) -> Self {
        let ResultCore { proposal, ballots, outcome, ballots_root } = core;
        let Outcome { scores, total_power, quorum_reached, threshold_reached, decision } = outcome;
        Self {
            v: VERSION,
            proposal: proposal.to_string(),
            ballots: *ballots,
            total_power: format_units(*total_power),
            scores: scores.0.iter().map(|score| format_units(*score)).collect(),
            quorum_reached: *quorum_reached,
            threshold_reached: *threshold_reached,
            decision: match decision {
                OutcomeDecision::NoBallots => OutcomeDecisionDto::NoBallots {},
                OutcomeDecision::Passed => OutcomeDecisionDto::Passed {},
                OutcomeDecision::Failed => OutcomeDecisionDto::Failed {},
                OutcomeDecision::Won(choice) => OutcomeDecisionDto::Won { choice: *choice },
                OutcomeDecision::Tied(choices) => OutcomeDecisionDto::Tied { choices: choices.clone() },
                OutcomeDecision::ConditionsNotMet => OutcomeDecisionDto::ConditionsNotMet {},
            },
            ballots_root: ballots_root.to_string(),
        }
    }

    fn into_core(self) -> Result<ResultCore, WireError> {
        if self.scores.is_empty() || self.scores.len() > CHOICES_MAX {
            return Err(FORMAT.malformed(format_args!("core.scores: must have 1 to {CHOICES_MAX} entries")));
        }
        let decision = self.decision.into_decision(self.scores.len())?;
        let scores = self.scores.iter().map(|score| FORMAT.units("core.scores", score)).collect::<Result<_, _>>()?;
        Ok(ResultCore {
            proposal: FORMAT.field("core.proposal", self.proposal.parse())?,
            ballots: self.ballots,
            outcome: Outcome {
                scores: Scores(scores),
                total_power: FORMAT.units("core.totalPower", &self.total_power)?,
                quorum_reached: self.quorum_reached,
                threshold_reached: self.threshold_reached,
                decision,
            },
            ballots_root: FORMAT.field("core.ballotsRoot", self.ballots_root.parse())?,
        })
    }
}

impl OutcomeDecisionDto {
    fn into_decision(self, choice_count: usize) -> Result<OutcomeDecision, WireError> {
        let exists = |choice: &ChoiceNumber| (1..=choice_count).contains(&usize::from(*choice));
        match self {
            Self::NoBallots {} => Ok(OutcomeDecision::NoBallots),
            Self::Passed {} => Ok(OutcomeDecision::Passed),
            Self::Failed {} => Ok(OutcomeDecision::Failed),
            Self::ConditionsNotMet {} => Ok(OutcomeDecision::ConditionsNotMet),
            Self::Won { choice } if exists(&choice) => Ok(OutcomeDecision::Won(choice)),
            Self::Tied { choices } if choices.iter().all(exists) && choices.is_sorted_by(|low, high| low < high) => {
                Ok(OutcomeDecision::Tied(choices))
            }
            Self::Won { .. } | Self::Tied { .. } => {
                Err(FORMAT.malformed("core.decision: names choices that do not exist or are not ascending"))
            }
        }
    }
}

impl ProvenanceDto {
    fn of(provenance: &Provenance) -> Self {
        let Provenance { cut, records, rejected, chains } = provenance;
        let occurred = rejected.iter().filter(|(_, count)| **count > 0);
        Self {
            v: VERSION,
            cut: CutDto::of(cut),
            records: *records,
            rejected: OrderedMap(occurred.map(|(rejection, count)| (rejection.name().to_owned(), *count)).collect()),
            chains: chains.as_ref().map(|ChainEvidence { pins, powers_root }| ChainEvidenceDto {
                pins: PinsDto::of(pins),
                powers_root: powers_root.to_string(),
            }),
        }
    }

    fn into_provenance(self) -> Result<Provenance, WireError> {
        let rejection = |name: &str| Rejection::ALL.into_iter().find(|rejection| rejection.name() == name);
        let entries = self.rejected.0.into_iter().map(|(name, count)| match rejection(&name) {
            Some(rejection) => Ok((rejection, count)),
            None => Err(FORMAT.malformed(format_args!("provenance.rejected: {name:?} is not a rejection"))),
        });
        Ok(Provenance {
            cut: self.cut.into_cut(FORMAT)?,
            records: self.records,
            rejected: entries.collect::<Result<_, _>>()?,
            chains: self.chains.map(ChainEvidenceDto::into_evidence).transpose()?,
        })
    }
}

impl ChainEvidenceDto {
    fn into_evidence(self) -> Result<ChainEvidence, WireError> {
        Ok(ChainEvidence {
            pins: self.pins.into_pins(FORMAT)?,
            powers_root: FORMAT.field("provenance.chains.powersRoot", self.powers_root.parse())?,
        })
    }
}

impl CutDto {
    pub(super) fn of(cut: &Cut) -> Self {
        let Cut { proposal, decided_at, partitions } = cut;
        let partition = |partition: &CutPartition| CutPartitionDto {
            end_offset: partition.end_offset,
            records_root: partition.records_root.to_string(),
        };
        Self {
            proposal: proposal.to_string(),
            decided_at_ms: decided_at.0,
            partitions: partitions.iter().map(partition).collect(),
        }
    }

    pub(super) fn into_cut(self, format: Format) -> Result<Cut, WireError> {
        let partition = |CutPartitionDto { end_offset, records_root }: CutPartitionDto| {
            let records_root = format.field("cut.partitions.recordsRoot", records_root.parse())?;
            Ok(CutPartition { end_offset, records_root })
        };
        Ok(Cut {
            proposal: format.field("cut.proposal", self.proposal.parse())?,
            decided_at: TimestampMs(self.decided_at_ms),
            partitions: self.partitions.into_iter().map(partition).collect::<Result<_, WireError>>()?,
        })
    }
}

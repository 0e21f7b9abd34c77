//! What the operator says of a proposal. Everything here is derived and may be lost; the log has it all.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use pnyx_core::proposal::{CHAINS_MAX, CHOICES_MAX};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::scaling_status::ScalingStatus;

/// Most conditions: as many as there are types, and some to spare for others who watch.
pub(crate) const CONDITIONS_MAX: usize = 32;

/// What the operator says of a proposal.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
#[serde(rename_all = "camelCase")]
pub struct GovernanceProposalStatus {
    /// The generation of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// What is true of the proposal, one entry a type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = CONDITIONS_MAX),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"])
    )]
    pub conditions: Vec<Condition>,
    /// Where the proposal is in its life, for people; programs look at conditions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<ProposalPhase>,
    /// The proposal's id: 0x and 64 hexadecimal digits. Ballots name it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proposal_id: Option<String>,
    /// The blocks at which chains are read, once decided.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = CHAINS_MAX),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["network"])
    )]
    pub pins: Vec<PinStatus>,
    /// Verifier shards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shards: Option<ShardsStatus>,
    /// Which pods are its shards, as a label selector; for the scale subresource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,
    /// Its topics.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topics: Option<TopicsStatus>,
    /// Who leads now. Gone once there is a result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leading: Option<LeadingStatus>,
    /// How many voted so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turnout: Option<TurnoutStatus>,
    /// The last decision about shards and partitions, with everything that led to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scaling: Option<ScalingStatus>,
    /// How long before the opening shards are started, learnt from how long starts took, such as "45s".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub learnt_lead: Option<String>,
    /// The result, once it is published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<ResultStatus>,
}

/// Where a proposal is in its life.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProposalPhase {
    /// Not accepted yet, or refused; the condition Accepted says why.
    Pending,
    /// Accepted; its window has not opened.
    Scheduled,
    /// Shards are started for the opening.
    Warming,
    /// Ballots count.
    Open,
    /// The window is over; late acknowledgements may still be in flight until the cut.
    Closed,
    /// The cut is recorded; verifiers and tally work up to it.
    Draining,
    /// The live tally reached the cut; the recount runs.
    Recounting,
    /// The result is published.
    Final,
    /// The recount differs from the live tally: nothing is published until a person has looked.
    Disputed,
}

/// A block at which a chain is read.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct PinStatus {
    /// The chain's id in decimal digits.
    pub network: String,
    /// The block's number.
    pub block: i64,
    /// The block's hash.
    pub hash: String,
    /// The block's own time, RFC 3339.
    #[schemars(extend("format" = "date-time"))]
    pub timestamp: String,
}

/// Verifier shards.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq, Default)]
#[serde(rename_all = "camelCase")]
pub struct ShardsStatus {
    /// How many there should be.
    pub desired: i64,
    /// How many are there and ready.
    pub ready: i64,
}

/// A proposal's topics.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct TopicsStatus {
    /// The ballots topic's name.
    pub ballots: String,
    /// The verdicts topic's name.
    pub verdicts: String,
    /// The deferred topic's name, where contracts may sign.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deferred: Option<String>,
    /// Partitions of the ballots topic.
    pub partitions: i64,
    /// Lanes, the partitions of the verdicts topic.
    pub lanes: i64,
}

/// Who leads.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct LeadingStatus {
    /// For people: the choice that leads, or how many share the highest score.
    pub text: String,
    /// Numbers of the choices with the highest score; the first choice is 1.
    #[schemars(length(max = CHOICES_MAX))]
    pub choices: Vec<i64>,
    /// That score, a decimal string.
    pub score: String,
}

/// How many voted.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct TurnoutStatus {
    /// Standing ballots: one a voter.
    pub ballots: i64,
    /// The power of all of them, a decimal string.
    pub power: String,
}

/// The result, as it was published and signed.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ResultStatus {
    /// What was decided.
    pub outcome: OutcomeWord,
    /// Numbers of the choices that won or share the highest score; the first choice is 1.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = CHOICES_MAX))]
    pub winners: Vec<i64>,
    /// A score for each choice, in their order.
    #[schemars(length(max = CHOICES_MAX))]
    pub scores: Vec<ScoreStatus>,
    /// Standing ballots: one a voter.
    pub ballots: i64,
    /// The power of all of them, a decimal string.
    pub total_power: String,
    /// Whether the quorum was reached, where there is one. A rejection quorum that is reached stops the proposal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quorum_reached: Option<bool>,
    /// Whether the leader's share reached the approval threshold, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold_reached: Option<bool>,
    /// Merkle root over the standing ballots.
    pub merkle_root: String,
    /// When the cut was made, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub cut_at: Option<String>,
    /// The address of the key that signed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed_by: Option<String>,
    /// Where the archive is from which anybody can count again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<ArchiveReference>,
}

/// What follows from the scores; `pnyx_core::outcome::OutcomeDecision` says what each is.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutcomeWord {
    NoBallots,
    Passed,
    Failed,
    Won,
    Tied,
    ConditionsNotMet,
}

/// A choice's score.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ScoreStatus {
    /// The choice.
    pub choice: String,
    /// Its score, a decimal string.
    pub score: String,
}

/// Where an archive is.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ArchiveReference {
    /// Its address: a URL, or a path in a claim.
    pub location: String,
    /// SHA-256 of its bytes, in hexadecimal digits, where it is stored and not served from the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// When it was stored and read back, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub verified_at: Option<String>,
}

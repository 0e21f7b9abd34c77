//! `GovernanceProposal`, version v1alpha1, as the API server stores it.
//!
//! Nothing is checked here beyond types and what the schema says; `resolve` makes it a proposal or says what is wrong.
//! Numbers that need exactness are decimal strings, because JSON numbers lose digits on their way through clients.

use kube::CustomResource;
use pnyx_core::proposal::{
    BODY_BYTES_MAX, CHOICES_MAX, CLOCK_SKEW_S_DEFAULT, CLOCK_SKEW_S_MAX, DISCUSSION_BYTES_MAX, NAME_BYTES_MAX,
    TITLE_BYTES_MAX,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::PowerSpec;

/// What is voted on, how it is counted, and when.
#[expect(clippy::duplicated_attributes, reason = "several columns have the same type")]
#[derive(CustomResource, JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "pnyx.dev",
    version = "v1alpha1",
    kind = "GovernanceProposal",
    namespaced,
    shortname = "gprop",
    category = "pnyx",
    derive = "PartialEq",
    doc = "A proposal that a community votes on with wallet-signed ballots.",
    printcolumn(name = "System", type_ = "string", json_path = ".spec.voting.system"),
    printcolumn(name = "Opens", type_ = "string", json_path = ".spec.window.opensAt"),
    printcolumn(name = "Closes", type_ = "string", json_path = ".spec.window.closesAt"),
    printcolumn(name = "Title", type_ = "string", json_path = ".spec.title", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct GovernanceProposalSpec {
    /// The community, as every ballot names it in its signed `space` field, such as `dao.example.eth`.
    #[schemars(length(min = 1, max = NAME_BYTES_MAX))]
    pub space: String,
    /// One line that says what is asked.
    #[schemars(length(min = 1, max = TITLE_BYTES_MAX))]
    pub title: String,
    /// The text that is voted on, in Markdown.
    #[schemars(length(max = BODY_BYTES_MAX))]
    pub body: String,
    /// Link to where the proposal is discussed.
    #[serde(default)]
    #[schemars(length(max = DISCUSSION_BYTES_MAX))]
    pub discussion: String,
    /// Who proposes: a name or an address.
    #[serde(default)]
    #[schemars(length(max = NAME_BYTES_MAX))]
    pub author: String,
    /// What voters choose from. Ballots name choices by number; the first is 1.
    #[schemars(length(min = 1, max = CHOICES_MAX), inner(length(min = 1, max = TITLE_BYTES_MAX)))]
    pub choices: Vec<String>,
    /// How ballots are counted and what decides.
    pub voting: VotingSpec,
    /// When ballots count.
    pub window: WindowSpec,
    /// How a voter's power is found.
    pub power: PowerSpec,
    /// Who signs beside keys. Without it the contracts of the first chain that a strategy names sign for their accounts,
    /// and where no strategy names one only keys sign.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signers: Option<SignersSpec>,
}

/// Contracts that sign for their own account (ERC-1271), such as Safes, as they are at the snapshot of their chain.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct SignersSpec {
    /// The chain's id in decimal digits, "1" for Ethereum.
    #[schemars(regex(pattern = r"^[1-9][0-9]{0,19}$"))]
    pub chain: String,
}

/// How ballots are counted and what decides.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct VotingSpec {
    /// How ballots are counted. Basic: For, Against and optionally Abstain. SingleChoice: one choice. Approval: any set
    /// of choices. Weighted: power divided over choices. Quadratic: as Weighted, scored by the square of the sum of
    /// square roots. RankedChoice: a full ranking, instant runoff. Copeland: a full ranking, pairwise comparison.
    pub system: VotingSystem,
    /// What must be reached beside having the most power. Without it nothing is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quorum: Option<QuorumSpec>,
    /// Share that the winner must at least have, as a decimal fraction above 0 and at most 1 with up to 6 fractional
    /// digits, such as "0.666667": For of For and Against (Basic), otherwise the leading score of all scores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^(0\.[0-9]{1,6}|1(\.0{1,6})?)$"))]
    pub approval_threshold: Option<String>,
    /// What the power of Abstain, the third choice of the Basic system, is part of. Quorum: a participation quorum
    /// only. QuorumAndThreshold: also the base of the approval threshold. Neither: nothing.
    #[serde(default)]
    pub abstentions: Abstentions,
}

/// The seven voting systems; `pnyx_core::proposal::VotingSystem` says what each is.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum VotingSystem {
    Basic,
    SingleChoice,
    Approval,
    Weighted,
    Quadratic,
    RankedChoice,
    Copeland,
}

/// What must be reached.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct QuorumSpec {
    /// Participation: the power of all ballots must be at least this. Rejection (Basic only): the proposal passes
    /// unless the power of Against exceeds this.
    pub kind: QuorumKind,
    /// The power, a decimal string such as "1000" or "0.5".
    #[schemars(regex(pattern = r"^(0|[1-9][0-9]{0,39})(\.[0-9]{1,18})?$"))]
    pub power: String,
}

/// What a quorum asks for.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuorumKind {
    Participation,
    Rejection,
}

/// What the power of Abstain is part of.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Abstentions {
    #[default]
    Quorum,
    QuorumAndThreshold,
    Neither,
}

/// When ballots count: from opensAt until just before closesAt, judged by the time at which each is stored.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "self.closesAt > self.opensAt", "message": "closesAt must be after opensAt", "fieldPath": ".closesAt"}
]))]
pub struct WindowSpec {
    /// The first instant at which a ballot counts, RFC 3339, no finer than a millisecond.
    #[schemars(extend("format" = "date-time"))]
    pub opens_at: String,
    /// The first instant at which a ballot no longer counts, RFC 3339, no finer than a millisecond.
    #[schemars(extend("format" = "date-time"))]
    pub closes_at: String,
    /// How far the time signed in a ballot may lie after the time at which it is stored.
    #[serde(default = "clock_skew_seconds_default")]
    #[schemars(range(min = 0, max = CLOCK_SKEW_S_MAX))]
    pub clock_skew_seconds: i64,
}

fn clock_skew_seconds_default() -> i64 {
    i64::try_from(CLOCK_SKEW_S_DEFAULT).expect("300 fits")
}

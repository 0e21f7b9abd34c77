//! `GovernanceProposal`, version v1alpha1, as the API server stores it.
//!
//! Nothing is checked here beyond types and what the schema says; `resolve` makes it a proposal or says what is wrong.
//! Numbers that need exactness are decimal strings, because JSON numbers lose digits on their way through clients.

use kube::CustomResource;
use pnyx_core::proposal::{
    BODY_BYTES_MAX, CHOICES_MAX, CLOCK_SKEW_S_DEFAULT, CLOCK_SKEW_S_MAX, DISCUSSION_BYTES_MAX, NAME_BYTES_MAX,
    RANKED_CHOICES_MAX, TITLE_BYTES_MAX,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    PowerSpec, ScalingSpec,
    binding::{binds, binds_optional},
    duration::DURATION_PATTERN,
    power::POWER_BYTES_MAX,
    proposal_status::GovernanceProposalStatus,
    secret::{OBJECT_NAME_BYTES_MAX, OBJECT_NAME_PATTERN},
};

/// The platform of a proposal that names none.
pub const PLATFORM_NAME_DEFAULT: &str = "default";

/// What is voted on, how it is counted, and when.
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
    status = "GovernanceProposalStatus",
    scale(
        spec_replicas_path = ".spec.scaling.shards",
        status_replicas_path = ".status.shards.ready",
        label_selector_path = ".status.selector"
    ),
    selectable = ".spec.platformRef.name",
    selectable = ".spec.space",
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Open", type_ = "string", json_path = ".status.conditions[?(@.type==\"Open\")].status"),
    printcolumn(
        name = "Keeping up",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"CaughtUp\")].status"
    ),
    printcolumn(name = "Leading", type_ = "string", json_path = ".status.leading.text"),
    printcolumn(name = "Ballots", type_ = "integer", json_path = ".status.turnout.ballots"),
    printcolumn(name = "Shards", type_ = "integer", json_path = ".status.shards.ready"),
    printcolumn(name = "Closes", type_ = "string", json_path = ".spec.window.closesAt"),
    printcolumn(name = "System", type_ = "string", json_path = ".spec.voting.system", priority = 1),
    printcolumn(name = "Opens", type_ = "string", json_path = ".spec.window.opensAt", priority = 1),
    printcolumn(name = "Platform", type_ = "string", json_path = ".spec.platformRef.name", priority = 1),
    printcolumn(name = "Title", type_ = "string", json_path = ".spec.title", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = binds("space"),
    validation = binds("title"),
    validation = binds("body"),
    validation = binds("discussion"),
    validation = binds("author"),
    validation = binds("choices"),
    validation = binds("voting"),
    validation = binds("window"),
    validation = binds("power"),
    validation = binds_optional("signers"),
    validation = binds("platformRef")
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "self.voting.system != 'Basic' || (self.choices.size() >= 2 && self.choices.size() <= 3)",
     "message": "the Basic system takes 2 or 3 choices: For, Against and optionally Abstain, in this order",
     "fieldPath": ".choices"},
    {"rule": format!("!(self.voting.system in ['RankedChoice', 'Copeland']) || \
                      (self.choices.size() >= 2 && self.choices.size() <= {RANKED_CHOICES_MAX})"),
     "message": format!("where voters rank choices there must be 2 to {RANKED_CHOICES_MAX} of them"),
     "fieldPath": ".choices"},
    {"rule": "self.voting.abstentions == 'Quorum' || (self.voting.system == 'Basic' && self.choices.size() == 3)",
     "message": "only the Basic system with a third choice, Abstain, has abstentions; leave it out or add the choice",
     "fieldPath": ".voting.abstentions"},
    {"rule": "!has(self.power.snapshot) || \
              self.power.snapshot.all(rule, !has(rule.atOrBefore) || rule.atOrBefore <= self.window.closesAt)",
     "message": "atOrBefore must not be after window.closesAt, or power could not be read before the result",
     "fieldPath": ".power.snapshot"}
]))]
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
    #[schemars(
        length(min = 1, max = CHOICES_MAX),
        inner(length(min = 1, max = TITLE_BYTES_MAX)),
        extend("x-kubernetes-validations" = [{
            "rule": "self.all(choice, self.exists_one(other, other == choice))",
            "message": "each choice must differ from the others"
        }])
    )]
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
    /// The platform that runs the vote.
    #[serde(default)]
    pub platform_ref: PlatformRef,
    /// How many verifier shards and partitions there are, when. Without it the defaults hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scaling: Option<ScalingSpec>,
    /// How long after the archive was stored and verified the topics are kept, such as "720h"; then they are deleted. It needs
    /// a platform that keeps archives outside the log. Without it they are kept as long as this resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 2, max = 16),
        regex(pattern = DURATION_PATTERN),
        extend("x-kubernetes-validations" = [{
            "rule": "duration(self) >= duration('24h')",
            "message": "retention must be at least 24h, so that the result can be checked against the log"
        }])
    )]
    pub retention: Option<String>,
    /// What becomes of the topics when this resource is deleted.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
    /// Leaves everything as it is: nothing is made, scaled, or closed. The window does not wait: ballots are accepted as
    /// long as the edge runs.
    #[serde(default)]
    pub paused: bool,
}

/// A GovernancePlatform in the same namespace.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct PlatformRef {
    /// Its name.
    #[serde(default = "platform_name_default")]
    #[schemars(length(min = 1, max = OBJECT_NAME_BYTES_MAX), regex(pattern = OBJECT_NAME_PATTERN))]
    pub name: String,
}

impl Default for PlatformRef {
    fn default() -> Self {
        Self { name: platform_name_default() }
    }
}

/// What becomes of a proposal's topics when its resource is deleted.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum DeletionPolicy {
    /// They stay. Whoever applies the same resource again finds the same vote.
    #[default]
    Retain,
    /// They are deleted, ballots and all, but only where the result is published: what nobody has counted stays.
    Delete,
}

fn platform_name_default() -> String {
    PLATFORM_NAME_DEFAULT.to_owned()
}

/// Contracts that sign for their own account (ERC-1271), such as Safes, as they are at the snapshot of their chain.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct SignersSpec {
    /// The chain's id in decimal digits, "1" for Ethereum.
    #[schemars(length(max = 20), regex(pattern = r"^[1-9][0-9]{0,19}$"))]
    pub chain: String,
}

/// How ballots are counted and what decides.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "!has(self.quorum) || self.quorum.kind != 'Rejection' || self.system == 'Basic'",
    "message": "a rejection quorum needs the Basic system, which has For and Against; use Participation",
    "fieldPath": ".quorum.kind"
}]))]
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
    #[schemars(
        length(max = 8),
        regex(pattern = r"^(0\.[0-9]{1,6}|1(\.0{1,6})?)$"),
        extend("x-kubernetes-validations" = [{
            "rule": "self.matches('[1-9]')", "message": "approvalThreshold must be above 0; leave it out to ask for none"
        }])
    )]
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
    #[schemars(
        length(max = POWER_BYTES_MAX),
        regex(pattern = r"^(0|[1-9][0-9]{0,39})(\.[0-9]{1,18})?$"),
        extend("x-kubernetes-validations" = [{
            "rule": "self.matches('[1-9]')", "message": "the quorum must be above 0; leave it out to ask for none"
        }])
    )]
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

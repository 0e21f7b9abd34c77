//! What a proposal's status says of its scaling, with what belongs to it.

use anyhow::bail;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt as _;
use pnyx_core::{proposal::ProposalError, scaling::ScalingSpec};
use pnyx_crds::{
    GovernanceProposal, GovernanceProposalStatus, ScalingStatus, conditions::proposal as types, resolve_scaling,
};

/// The conditions that a decision about scaling shows in, or waits for.
const CONDITIONS: [&str; 5] =
    [types::PREWARMED, types::CAUGHT_UP, types::SCALING_DATA_FRESH, types::UPGRADE_PENDING, types::PAUSED];

/// The last decision.
pub(super) struct Decision {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) scaling: ScalingStatus,
    /// How long ago it was made, in seconds, where that is known.
    pub(super) age_s: Option<u64>,
    /// The spec was changed, and the operator has not looked at it since.
    pub(super) is_spec_newer: bool,
    pub(super) learnt_lead: Option<String>,
    /// What the spec asks for, defaults included, or what is wrong with it.
    pub(super) spec: Result<ScalingSpec, String>,
    /// Those of [`CONDITIONS`] that there are.
    pub(super) conditions: Vec<Condition>,
}

impl Decision {
    /// What `proposal` says, `at` that time if it is of now.
    ///
    /// # Errors
    /// If nothing was decided yet, with the reason.
    pub(super) fn of(proposal: &GovernanceProposal, at: Option<Timestamp>) -> anyhow::Result<Self> {
        let (namespace, name) = (proposal.namespace().unwrap_or_default(), proposal.name_any());
        let mut status = proposal.status.clone().unwrap_or_default();
        let Some(scaling) = status.scaling.take() else {
            bail!("nothing was decided about the scaling of gprop/{name} yet: {}", why_undecided(&status));
        };
        let decided_at: Option<Timestamp> = scaling.decided_at.parse().ok();
        let age_s = at.zip(decided_at).and_then(|(at, decided_at)| {
            // A clock that is behind the operator's makes nothing older than it is.
            u64::try_from(at.duration_since(decided_at).as_secs()).ok()
        });
        let wrong = |problems: Vec<ProposalError>| {
            let told: Vec<_> = problems.iter().map(|it| format!("{}: {}", it.path, it.problem)).collect();
            told.join("; ")
        };
        let known = |kind: &&str| status.conditions.iter().find(|condition| condition.type_ == **kind).cloned();
        Ok(Self {
            namespace,
            name,
            age_s,
            is_spec_newer: proposal.metadata.generation > status.observed_generation,
            learnt_lead: status.learnt_lead,
            spec: resolve_scaling(proposal).map_err(wrong),
            conditions: CONDITIONS.iter().filter_map(known).collect(),
            scaling,
        })
    }
}

/// Shards are decided once what voters sign stands in the log.
fn why_undecided(status: &GovernanceProposalStatus) -> String {
    let of = |kind: &str| status.conditions.iter().find(|condition| condition.type_ == kind);
    let said = |condition: &Condition| match condition.message.as_str() {
        "" => condition.reason.clone(),
        message => format!("{}: {message}", condition.reason),
    };
    match (of(types::ACCEPTED), of(types::READY)) {
        (Some(accepted), _) if accepted.status == "False" => format!("it is not accepted ({})", said(accepted)),
        (Some(accepted), Some(ready)) if accepted.status != "True" => {
            format!("it is not accepted so far ({}; {})", said(accepted), said(ready))
        }
        (Some(_), Some(ready)) => {
            format!("it is accepted, and the operator has yet to look at its log ({})", said(ready))
        }
        (_, _) => "no operator has looked at it; does one run? kubectl get deployments --all-namespaces --selector \
                   app.kubernetes.io/name=pnyx"
            .to_owned(),
    }
}

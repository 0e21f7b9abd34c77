//! What runs once before anybody is bound: the trial of a proposal's strategies on their chains. The proposal comes as a
//! file, because nothing of it stands in the log yet.

use std::collections::BTreeMap;

use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{ConfigMap, ConfigMapProjection, KeyToPath, VolumeProjection},
};
use kube::Resource as _;
use pnyx_core::id::ProposalId;
use pnyx_crds::{GovernanceProposal, GovernanceProposalSpec};
use serde_json::json;

use super::{
    component::Component,
    files::FOLDER,
    part::Part,
    recount::{disrupted, fails_at_once, job},
};
use crate::kinds::ObjectKey;

/// The folder of the file, below the mount.
const PROPOSALS: &str = "proposals";

/// How `pnyx propose --only-try` ends where a strategy can never answer: asking again would bring the same.
const EXIT_NEVER_ANSWERS: i32 = 1;

/// The proposal as a file. It is called by its id: a pod whose node still has what the spec said before does not find its
/// file there and waits, and so never tries another proposal than its Job is for.
pub(super) fn config_map(
    part: &Part<'_>,
    id: ProposalId,
    owner: &ObjectKey,
    spec: &GovernanceProposalSpec,
) -> ConfigMap {
    let resource = json!({
        "apiVersion": GovernanceProposal::api_version(&()),
        "kind": GovernanceProposal::kind(&()),
        "metadata": {"name": owner.name, "namespace": owner.namespace},
        "spec": spec,
    });
    let data = BTreeMap::from([(id.to_string(), resource.to_string())]);
    ConfigMap { metadata: part.metadata(), data: Some(data), ..ConfigMap::default() }
}

/// Where a trial finds its file among those of its pod; nothing for other parts.
pub(super) fn source(part: &Part<'_>) -> Option<VolumeProjection> {
    let id = part.proposal_id().filter(|_| part.component == Component::Trial)?;
    let item = KeyToPath { key: id.to_string(), path: format!("{PROPOSALS}/{id}"), ..KeyToPath::default() };
    let file = ConfigMapProjection { name: part.name(), items: Some(vec![item]), optional: None };
    Some(VolumeProjection { config_map: Some(file), ..VolumeProjection::default() })
}

/// Tries the strategies.
pub(super) fn trial(part: &Part<'_>, id: ProposalId) -> Job {
    let words = ["propose".to_owned(), "--only-try".to_owned(), format!("{FOLDER}/{PROPOSALS}/{id}")];
    job(part, words.into(), vec![fails_at_once(part, EXIT_NEVER_ANSWERS), disrupted()])
}

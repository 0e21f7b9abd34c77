//! What runs once before anybody is bound: the trial of a proposal's strategies on their chains. The proposal comes as a
//! file, because nothing of it stands in the log yet.

use std::{collections::BTreeMap, fmt::Write as _};

use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{ConfigMap, ConfigMapProjection, KeyToPath, VolumeProjection},
};
use kube::Resource as _;
use pnyx_core::id::ProposalId;
use pnyx_crds::{GovernanceProposal, GovernanceProposalSpec};
use serde_json::{Value, json};

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
    let data = BTreeMap::from([(id.to_string(), as_yaml(&resource))]);
    ConfigMap { metadata: part.metadata(), data: Some(data), ..ConfigMap::default() }
}

/// JSON is YAML once everything is escaped that YAML does not take as it is, or may take for the end of a line.
fn as_yaml(value: &Value) -> String {
    let mut yaml = String::new();
    // In JSON such characters stand in texts alone.
    for char in value.to_string().chars() {
        match char {
            '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => {
                let _ = write!(yaml, "\\u{:04x}", u32::from(char));
            }
            char => yaml.push(char),
        }
    }
    yaml
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_comes_as_it_was_whatever_is_in_it() {
        let text = "# Why\n---\n- a: \"b\" 'c' \\d\t{{e}} \u{0}\u{7f}\u{85}\u{9f}\u{a0}\u{2028}\u{feff}\u{ffff} 🗳️ %f\r\n...\n";
        let value = json!({ text: text });
        assert_eq!(serde_saphyr::from_str::<Value>(&as_yaml(&value)).expect("YAML"), value);
        assert_eq!(serde_json::from_str::<Value>(&as_yaml(&value)).expect("JSON"), value);
    }
}

//! The CustomResourceDefinition that is installed, and what its schema says about a path.

use kube::CustomResourceExt as _;
use serde_json::Value;

use crate::GovernanceProposal;

/// The YAML of all custom resource definitions, as committed in `crds/yaml/` and printed by `pnyx crds`.
pub fn crd_yaml() -> String {
    let yaml = serde_saphyr::to_string(&GovernanceProposal::crd()).expect("a derived definition has no unusual keys");
    format!("# Generated from crds/src by `cargo xtask gen`; changes made here are lost.\n{yaml}")
}

/// One step of a path into a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// Into a field of an object.
    Field(String),
    /// Into an item of a list.
    Item(usize),
}

/// Writes a path as people do: `spec.choices[2]`.
pub(crate) fn path_text(steps: &[Step]) -> String {
    steps.iter().fold(String::new(), |path, step| match step {
        Step::Item(index) => format!("{path}[{index}]"),
        Step::Field(field) if path.is_empty() => field.clone(),
        Step::Field(field) => format!("{path}.{field}"),
    })
}

/// The fields that the schema knows in the object at `steps`; empty where it leaves them open.
pub(crate) fn known_fields(steps: &[Step]) -> Vec<String> {
    let definition = serde_json::to_value(GovernanceProposal::crd()).expect("a derived definition is plain data");
    let mut schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    for step in steps {
        schema = match step {
            Step::Item(_) => &schema["items"],
            Step::Field(field) => &schema["properties"][field],
        };
    }
    let properties = schema.get("properties").and_then(Value::as_object);
    properties.into_iter().flat_map(|properties| properties.keys().cloned()).collect()
}

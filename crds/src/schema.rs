//! The CustomResourceDefinitions that are installed, and what their schemas say about a path.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{CustomResourceExt as _, Resource as _};
use serde_json::Value;

use crate::{GovernancePlatform, GovernanceProposal};

/// What stands at the top of each generated file.
const HEADER: &str = "# Generated from crds/src by `cargo xtask gen`; changes made here are lost.\n";

/// A kind of custom resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// [`GovernanceProposal`].
    Proposal,
    /// [`GovernancePlatform`].
    Platform,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 2] = [Self::Proposal, Self::Platform];

    /// As resources name it.
    pub fn name(self) -> String {
        match self {
            Self::Proposal => GovernanceProposal::kind(&()).into_owned(),
            Self::Platform => GovernancePlatform::kind(&()).into_owned(),
        }
    }

    /// As URLs name it, such as `governanceproposals`.
    pub fn plural(self) -> String {
        match self {
            Self::Proposal => GovernanceProposal::plural(&()).into_owned(),
            Self::Platform => GovernancePlatform::plural(&()).into_owned(),
        }
    }

    /// Its definition.
    pub fn definition(self) -> CustomResourceDefinition {
        match self {
            Self::Proposal => GovernanceProposal::crd(),
            Self::Platform => GovernancePlatform::crd(),
        }
    }

    /// The YAML of its definition, as committed in `crds/yaml/`.
    pub fn yaml(self) -> String {
        let yaml = serde_saphyr::to_string(&self.definition()).expect("a derived definition has no unusual keys");
        format!("{HEADER}{yaml}")
    }

    /// The schema of its resources.
    pub fn schema(self) -> Value {
        let definition = serde_json::to_value(self.definition()).expect("a derived definition is plain data");
        definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone()
    }

    /// The fields that the schema knows in the object at `steps`; empty where it leaves them open.
    pub(crate) fn known_fields(self, steps: &[Step]) -> Vec<String> {
        let schema = self.schema();
        let at = steps.iter().fold(&schema, |schema, step| match step {
            Step::Item(_) => &schema["items"],
            Step::Field(field) => &schema["properties"][field],
        });
        let properties = at.get("properties").and_then(Value::as_object);
        properties.into_iter().flat_map(|properties| properties.keys().cloned()).collect()
    }
}

/// The YAML of all custom resource definitions, as printed by `pnyx crds`.
pub fn crd_yaml() -> String {
    Kind::ALL.map(Kind::yaml).join("---\n")
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

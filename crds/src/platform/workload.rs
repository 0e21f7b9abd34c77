//! How pods of a platform run: how many, with what, and where.
//!
//! Affinity and spread are as Kubernetes has them and are not written out in the schema: four copies of them would be most
//! of its size, and the API server says what is wrong with them as soon as a Deployment has them. They are read when pods
//! are built, so that a mistake in them is a condition of this platform and no reason that it cannot be read.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Affinity, ResourceRequirements, Toleration, TopologySpreadConstraint};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

/// Most replicas that can be asked for: what one platform needs stays far below.
const REPLICAS_MAX: u32 = 1_000;

/// Most labels, annotations, tolerations and constraints of pods.
const ENTRIES_MAX: usize = 64;

/// How pods run.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Default)]
#[serde(rename_all = "camelCase")]
pub struct WorkloadSpec {
    /// How many there are, between these bounds as open windows need them. By default 2 to 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<ReplicasSpec>,
    /// What each container is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceRequirements>,
    /// Labels of nodes that they may run on.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = ENTRIES_MAX))]
    pub node_selector: BTreeMap<String, String>,
    /// Taints of nodes that they put up with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = ENTRIES_MAX))]
    pub tolerations: Vec<Toleration>,
    /// As in a pod's spec.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any_object")]
    pub affinity: Option<Value>,
    /// As in a pod's spec. By default pods spread over nodes and zones where they can.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = ENTRIES_MAX), schema_with = "any_objects")]
    pub topology_spread_constraints: Vec<Value>,
    /// How much they matter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub priority_class_name: Option<String>,
    /// Further labels of pods. Those that the operator selects by stay its own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = ENTRIES_MAX))]
    pub pod_labels: BTreeMap<String, String>,
    /// Further annotations of pods.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = ENTRIES_MAX))]
    pub pod_annotations: BTreeMap<String, String>,
}

/// Bounds of a number of replicas.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "self.min <= self.max", "message": "min must be at most max", "fieldPath": ".min"
}]))]
pub struct ReplicasSpec {
    /// Least.
    #[serde(default = "replicas_min_default")]
    #[schemars(range(min = 1, max = REPLICAS_MAX))]
    pub min: i64,
    /// Most.
    #[serde(default = "replicas_max_default")]
    #[schemars(range(min = 1, max = REPLICAS_MAX))]
    pub max: i64,
}

impl Default for ReplicasSpec {
    fn default() -> Self {
        Self { min: replicas_min_default(), max: replicas_max_default() }
    }
}

impl WorkloadSpec {
    /// The affinity, typed.
    ///
    /// # Errors
    /// What is wrong with it, with its path in this object.
    pub fn affinity(&self) -> Result<Option<Affinity>, String> {
        self.affinity.as_ref().map(|value| read("affinity", value)).transpose()
    }

    /// The spread constraints, typed.
    ///
    /// # Errors
    /// What is wrong with the first that is wrong, with its path in this object.
    pub fn topology_spread_constraints(&self) -> Result<Vec<TopologySpreadConstraint>, String> {
        let values = self.topology_spread_constraints.iter().enumerate();
        values.map(|(index, value)| read(&format!("topologySpreadConstraints[{index}]"), value)).collect()
    }
}

/// Nothing that Kubernetes does not know is silently lost.
fn read<T: DeserializeOwned>(path: &str, value: &Value) -> Result<T, String> {
    let mut unknown = None;
    let read =
        serde_ignored::deserialize(value, |ignored| unknown = unknown.take().or_else(|| Some(ignored.to_string())));
    match (read, unknown) {
        (Err(error), _) => Err(format!("{path}: {error}")),
        (Ok(_), Some(field)) => Err(format!("{path}.{field}: is not a known field")),
        (Ok(typed), None) => Ok(typed),
    }
}

fn any_object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
}

fn any_objects(generator: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "array", "items": any_object(generator)})
}

/// One may go away without anybody noticing.
const fn replicas_min_default() -> i64 {
    2
}

const fn replicas_max_default() -> i64 {
    10
}

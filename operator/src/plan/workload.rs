//! What a Deployment's status says of its replicas.

use kube::core::DynamicObject;
use pnyx_crds::ReplicasStatus;
use serde_json::Value;

use crate::{kinds::ChildKind, observe::LiveChildren};

/// The label that says which part of a platform an object is.
pub const COMPONENT_LABEL: &str = "app.kubernetes.io/component";

/// The Deployment of a component.
pub(super) fn deployment<'a>(children: &'a LiveChildren, component: &str) -> Option<&'a DynamicObject> {
    let is_it = |object: &DynamicObject| {
        let labels = object.metadata.labels.as_ref();
        labels.and_then(|labels| labels.get(COMPONENT_LABEL)).is_some_and(|label| label == component)
    };
    let mut deployments = children.iter().filter(|(kind, _)| *kind == ChildKind::Deployment);
    deployments.find(|(_, object)| is_it(object)).map(|(_, object)| &**object)
}

/// By which a component's pods are found, as a label selector.
pub(super) fn selector(children: &LiveChildren, component: &str) -> Option<String> {
    let labels = deployment(children, component)?.data.pointer("/spec/selector/matchLabels")?.as_object()?;
    let label = |(name, value): (&String, &Value)| Some(format!("{name}={}", value.as_str()?));
    Some(labels.iter().filter_map(label).collect::<Vec<_>>().join(","))
}

/// How many replicas a component should have and has.
pub(super) fn replicas(children: &LiveChildren, component: &str) -> Option<ReplicasStatus> {
    let object = deployment(children, component)?;
    let number = |pointer: &str| object.data.pointer(pointer).and_then(Value::as_i64);
    // What its controller has not looked at yet says nothing about this generation.
    let is_current = number("/status/observedGeneration") >= object.metadata.generation;
    let ready = if is_current { number("/status/readyReplicas").unwrap_or(0) } else { 0 };
    Some(ReplicasStatus { desired: number("/spec/replicas").unwrap_or(1), ready })
}

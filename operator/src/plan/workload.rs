//! What a Deployment's status says of its replicas.

use kube::core::DynamicObject;
use pnyx_core::id::ProposalId;
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

/// Whether pods of a component are ready and run for this proposal.
pub(super) fn works_for(children: &LiveChildren, component: &str, id: ProposalId) -> bool {
    let is_ready = replicas(children, component).is_some_and(|replicas| replicas.ready > 0);
    is_ready && deployment(children, component).is_some_and(|object| runs_for(object, id))
}

/// Whether the pods of an object are told this proposal, by its id or by a file that is called by it.
pub(super) fn runs_for(object: &DynamicObject, id: ProposalId) -> bool {
    let arguments = object.data.pointer("/spec/template/spec/containers/0/args").and_then(Value::as_array);
    let id = id.to_string();
    arguments
        .into_iter()
        .flatten()
        .any(|argument| argument.as_str().and_then(|argument| argument.rsplit('/').next()) == Some(&id))
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

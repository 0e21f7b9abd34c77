//! Every child against the real API server, in a namespace that enforces `restricted`.

use kube::CustomResourceExt as _;
use pnyx_crds::{GovernancePlatform, GovernanceProposal};
use pnyx_operator::{ChildKind, plan::Child};
use pnyx_testbed::kubernetes::ControlPlane;
use serde_json::{Value, json};

use crate::{setup, support};

/// A namespace that lets only restricted pods in, and warns of workloads that would make others.
const NAMESPACE: &str = "
apiVersion: v1
kind: Namespace
metadata:
  name: governance
  labels:
    pod-security.kubernetes.io/enforce: restricted
    pod-security.kubernetes.io/warn: restricted
";

/// Field managers as the operator has them; a warning is an error.
const APPLY: [&str; 6] = [
    "apply",
    "--server-side",
    "--field-manager=pnyx-operator/children",
    "--dry-run=server",
    "--validate=strict",
    "--warnings-as-errors",
];

#[test]
fn children_are_taken_where_pods_are_restricted() {
    let control_plane = support::control_plane();
    for definition in [GovernancePlatform::crd(), GovernanceProposal::crd()] {
        let name = format!("crd/{}", definition.metadata.name.as_deref().expect("definitions have names"));
        let definition = serde_json::to_string(&definition).expect("plain data");
        control_plane.apply(&definition).expect("the API server takes our definitions");
        control_plane.kubectl(&["wait", "--for=condition=Established", &name, "--timeout=30s"]).expect("established");
    }
    control_plane.apply(NAMESPACE).expect("a namespace");
    for case in setup::cases() {
        for resource in [case.platform, case.proposal] {
            control_plane.apply(resource).expect("our own resources are valid");
        }
        let objects: Vec<_> = case.children.iter().map(Child::first_object).collect();
        try_apply(&control_plane, &objects, &APPLY).unwrap_or_else(|error| panic!("{}: {error}", case.name));
        // Pods are let in only as somebody who is there.
        let accounts = case.children.iter().filter(|child| child.kind() == ChildKind::ServiceAccount);
        let accounts: Vec<_> = accounts.map(Child::first_object).collect();
        try_apply(&control_plane, &accounts, &["apply", "--server-side"]).expect("accounts");
        let pods: Vec<_> = case.children.iter().filter_map(pod).collect();
        assert!(pods.len() >= 3, "ingest, tally and verifier have pods");
        try_apply(&control_plane, &pods, &APPLY).unwrap_or_else(|error| panic!("{}: {error}", case.name));
    }
    // What is not restricted is refused, so that the rest says something.
    let is_deployment = |child: &&Child| child.kind() == ChildKind::Deployment;
    let [minimal, ..] = setup::cases();
    let deployment = minimal.children.iter().find(is_deployment).expect("the edge");
    let mut warned = deployment.first_object();
    warned["spec"]["template"]["spec"]["securityContext"]["runAsNonRoot"] = false.into();
    let refused = try_apply(&control_plane, &[warned], &APPLY).expect_err("such pods are warned of");
    assert!(refused.contains("would violate PodSecurity"), "{refused}");
    let mut loose = pod(deployment).expect("it has pods");
    loose["spec"]["securityContext"]["runAsNonRoot"] = false.into();
    let refused = try_apply(&control_plane, &[loose], &APPLY).expect_err("such a pod is not let in");
    assert!(refused.contains("runAsNonRoot"), "{refused}");
}

/// A pod as a controller would make it.
fn pod(child: &Child) -> Option<Value> {
    let template = child.object().pointer("/spec/template")?;
    let mut metadata = template["metadata"].clone();
    metadata["name"] = child.key().name.clone().into();
    metadata["namespace"] = child.key().namespace.clone().into();
    Some(json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}))
}

/// All of them at once, because a program that starts costs more than an object.
fn try_apply(control_plane: &ControlPlane, objects: &[Value], arguments: &[&str]) -> Result<String, String> {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
    std::fs::write(file.path(), list.to_string()).expect("it can be written");
    let path = file.path().to_str().expect("a plain path");
    let arguments: Vec<&str> = arguments.iter().copied().chain(["-f", path]).collect();
    control_plane.kubectl(&arguments).map_err(|error| chain(&error))
}

/// What kubectl wrote stands in the causes.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    std::iter::once(error.to_string()).chain(causes.map(ToString::to_string)).collect::<Vec<_>>().join(": ")
}

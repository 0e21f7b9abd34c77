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
        for child in &case.children {
            apply(&control_plane, &child.first_object(), &APPLY);
            if child.kind() == ChildKind::ServiceAccount {
                control_plane.apply(&child.first_object().to_string()).expect("an account");
            }
        }
        let pods: Vec<_> = case.children.iter().filter_map(pod).collect();
        assert_eq!(
            pods.len(),
            case.children.iter().filter(|it| matches!(it.kind(), ChildKind::Deployment | ChildKind::Job)).count()
        );
        for pod in &pods {
            apply(&control_plane, pod, &APPLY);
        }
    }
    // What is not restricted is refused, so that the rest says something.
    let mut loose = setup::cases().iter().find_map(|case| case.children.iter().find_map(pod)).expect("a pod");
    loose["spec"]["securityContext"]["runAsNonRoot"] = false.into();
    let refused = try_apply(&control_plane, &loose, &APPLY).expect_err("such a pod is not let in");
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

fn apply(control_plane: &ControlPlane, object: &Value, arguments: &[&str]) {
    let applied = try_apply(control_plane, object, arguments);
    assert!(applied.is_ok(), "{} {}: {applied:?}", object["kind"], object["metadata"]["name"]);
}

fn try_apply(control_plane: &ControlPlane, object: &Value, arguments: &[&str]) -> Result<String, String> {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), object.to_string()).expect("it can be written");
    let path = file.path().to_str().expect("a plain path");
    let arguments: Vec<&str> = arguments.iter().copied().chain(["-f", path]).collect();
    control_plane.kubectl(&arguments).map_err(|error| chain(&error))
}

/// What kubectl wrote stands in the causes.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    std::iter::once(error.to_string()).chain(causes.map(ToString::to_string)).collect::<Vec<_>>().join(": ")
}

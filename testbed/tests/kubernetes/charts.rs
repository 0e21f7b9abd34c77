//! Charts are installed, and checked without a cluster.

use std::path::Path;

use pnyx_testbed::kubernetes::{ControlPlane, ControlPlaneOptions, Tool};

/// A Deployment without any care: no limits, no probes, any user.
const CARELESS: &str = r"
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: registry.test/web:latest}]}
";

fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/kubernetes"))
}

#[test]
fn a_chart_is_installed_upgraded_and_taken_away() {
    let control_plane = ControlPlane::start(ControlPlaneOptions::new()).unwrap();
    let chart = folder().join("chart").display().to_string();
    let word = || control_plane.kubectl(&["get", "configmap", "one-words", "-o", "jsonpath={.data.word}"]);
    control_plane.helm(&["install", "one", &chart, "--wait", "--timeout=60s"]).unwrap();
    assert_eq!(word().unwrap(), "hello");
    control_plane.helm(&["upgrade", "one", &chart, "--set", "word=again", "--wait", "--timeout=60s"]).unwrap();
    assert_eq!(word().unwrap(), "again");
    control_plane.helm(&["uninstall", "one", "--wait"]).unwrap();
    assert!(word().is_err());
}

#[test]
fn charts_are_checked_without_a_cluster() {
    Tool::Helm.run(folder(), &["lint", "chart"]).unwrap();
    let rendered = Tool::Helm.run(folder(), &["template", "one", "chart"]).unwrap();
    let files = tempfile::tempdir().unwrap();
    std::fs::write(files.path().join("rendered.yaml"), rendered).unwrap();
    std::fs::write(files.path().join("careless.yaml"), CARELESS).unwrap();
    Tool::KubeScore.run(files.path(), &["score", "rendered.yaml"]).unwrap();
    let refused = Tool::KubeScore.run(files.path(), &["score", "careless.yaml"]).unwrap_err();
    assert!(refused.to_string().contains("[CRITICAL]"), "{refused}");

    // A schema of our own: what Kubernetes' say is not what is tested.
    let schema = r#"{"type": "object", "required": ["data"]}"#;
    std::fs::write(files.path().join("configmap.json"), schema).unwrap();
    let conforms = |file: &str| {
        let arguments = ["-summary", "-schema-location", "{{.ResourceKind}}.json", file];
        Tool::Kubeconform.run(files.path(), &arguments)
    };
    let summary = conforms("rendered.yaml").unwrap();
    assert!(summary.contains("Valid: 1"), "{summary}");
    let refused = conforms("careless.yaml").unwrap_err();
    assert!(refused.to_string().contains("could not find schema for Deployment"), "{refused}");
}

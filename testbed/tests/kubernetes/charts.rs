//! Charts are installed, and checked without a cluster.

use std::path::Path;

use pnyx_testbed::kubernetes::{ControlPlane, ControlPlaneOptions, Tool};

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
    let scored = Tool::KubeScore.run(files.path(), &["score", "rendered.yaml"]).unwrap();
    assert!(!scored.contains("CRITICAL"), "{scored}");
    // A folder without schemas: whether it looks into them, not what they say.
    let refused = Tool::Kubeconform.run(files.path(), &["-schema-location", "none.json", "rendered.yaml"]).unwrap_err();
    assert!(refused.to_string().contains("ConfigMap"), "{refused}");
}

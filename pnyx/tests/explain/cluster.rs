//! A real API server: what is there is explained, and what is missing is told apart.

use std::process::Command;

use pnyx_testbed::kubernetes::{ControlPlane, ControlPlaneOptions};
use serde_json::{Value, json};

use crate::{explain, said, value};

/// Somebody who may do nothing.
const STRANGER: &str = "stranger";

/// Where the proposal is, and what is asked of it.
const VOTE: [&str; 3] = ["gprop/grants-round", "--namespace", "votes"];

/// What `pnyx explain scaling` says to the one who made the cluster.
fn explained(control_plane: &ControlPlane, arguments: &[&str]) -> String {
    said(&explain(arguments).env("KUBECONFIG", control_plane.kubeconfig_path()).output().unwrap())
}

/// Makes the example as it was, with its status or without. Says what its status is.
fn make(control_plane: &ControlPlane, has_status: bool) -> Value {
    let mut proposal = value();
    let status = proposal.as_object_mut().unwrap().remove("status").unwrap();
    proposal["metadata"] = json!({"name": "grants-round", "namespace": "votes"});
    control_plane.apply(&proposal.to_string()).unwrap();
    if has_status {
        let patch = json!({"status": status}).to_string();
        let line = ["patch", "gprop", "grants-round", "--namespace=votes", "--subresource=status", "--type=merge"];
        control_plane.kubectl(&[&line[..], &["--patch", &patch]].concat()).unwrap();
    }
    status
}

#[test]
fn a_decision_is_read_with_the_rights_of_who_asks() {
    let control_plane = ControlPlane::start(ControlPlaneOptions::new().user(STRANGER, &[])).unwrap();
    let unknown = explained(&control_plane, &VOTE);
    assert!(unknown.contains("does not know governanceproposals.pnyx.dev: install the chart"), "{unknown}");

    let definitions = Command::new(env!("CARGO_BIN_EXE_pnyx")).arg("crds").output().unwrap();
    control_plane.apply(&String::from_utf8(definitions.stdout).unwrap()).unwrap();
    let established = ["wait", "--for=condition=Established", "crd/governanceproposals.pnyx.dev", "--timeout=60s"];
    control_plane.kubectl(&established).unwrap();
    control_plane.kubectl(&["create", "namespace", "votes"]).unwrap();
    let missing = explained(&control_plane, &VOTE);
    assert!(missing.contains("there is no gprop/grants-round in namespace votes; kubectl get gprop"), "{missing}");

    make(&control_plane, false);
    let untouched = explained(&control_plane, &VOTE);
    assert!(untouched.contains("no operator has looked at it"), "{untouched}");

    let status = make(&control_plane, true);
    let read = explained(&control_plane, &VOTE);
    let message = status["scaling"]["message"].as_str().unwrap();
    assert!(read.contains(message) && read.ends_with("exit code 0\n"), "{read}");

    let mut command = explain(&VOTE);
    let stranger = said(&command.env("KUBECONFIG", control_plane.kubeconfig_of(STRANGER)).output().unwrap());
    assert!(stranger.contains("you may not read gprop/grants-round in namespace votes: "), "{stranger}");
    let elsewhere = explained(&control_plane, &["grants-round", "--context", "elsewhere"]);
    assert!(elsewhere.contains("the kubeconfig has no context \"elsewhere\""), "{elsewhere}");
}

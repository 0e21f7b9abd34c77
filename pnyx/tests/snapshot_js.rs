//! The unmodified Snapshot client casts ballots of all seven systems; scores equal those of its own voting classes.
//! The packages come from `testbed/snapshot-js`, installed by `cargo xtask test`.

mod common;

use std::{env, process::Command};

use common::{Dev, repository, succeed};

/// Ballots a system.
const BALLOTS: &str = "120";

#[test]
fn snapshot_js_votes_in_all_systems_and_agrees_on_the_scores() {
    let modules = env::var("PNYX_PEER_MODULES").expect(
        "PNYX_PEER_MODULES is not set: run the tests with `cargo xtask test`, which installs the Snapshot client",
    );
    let peer = repository().join("testbed/snapshot-js/peer.mjs");
    let node = || {
        let mut node = Command::new("node");
        node.arg(&peer).env("PNYX_PEER_MODULES", &modules);
        node
    };
    let directory = tempfile::tempdir().unwrap();
    let proposals = directory.path().join("proposals");
    succeed(node().arg("prepare").arg(&proposals).arg(BALLOTS));
    let proposals = proposals.display().to_string();
    let dev = Dev::start(&directory.path().join("data"), None, &[&proposals, "--open-for", "10m"]);
    let output = succeed(node().args(["vote", &dev.url, BALLOTS]));
    assert!(output.contains("7 passed, 0 failed"), "{output}");
    println!("{output}");
}

//! The unmodified Snapshot client and `pnyx load` against the processes; then the same ballots against `pnyx dev`: both
//! come to the same result, down to the root over the ballots.

use std::{env, fs, path::PathBuf, process::Command, time::Duration};

use serde_json::Value;

use crate::common::{
    Dev,
    audit::Receipts,
    ballots::Target,
    front, get_json, http,
    load::Load,
    pipeline::{Pipeline, Shape},
    proposals::{Window, copy_example, examples},
    repository, settings, succeed,
};

/// Ballots of the Snapshot client for each system.
const SNAPSHOT_BALLOTS: &str = "40";
/// Ballots of the comparison.
const BALLOTS: &str = "12000";
/// How long the proposals are open: both platforms take all ballots in it.
const OPEN_S: i64 = 90;
/// How long anything may take, on a machine that compiles beside.
const WAIT_MAX: Duration = Duration::from_secs(240);

/// Runs both.
pub(crate) fn run() {
    let pipeline = Pipeline::start(Shape::usual());
    let front = front::start(vec![pipeline.edge().to_owned()], pipeline.reads());
    snapshot_js_agrees(&pipeline, &front);

    let folder = pipeline.folder().join("examples");
    fs::create_dir(&folder).unwrap();
    let window = Window::around_now(5, OPEN_S);
    let files: Vec<PathBuf> = examples().iter().map(|example| copy_example(example, "", window, &folder)).collect();
    let dev_data = pipeline.folder().join("dev");
    let proposals = folder.display().to_string();
    let dev = Dev::start(&dev_data, None, &[&proposals, "--domain", settings::DOMAIN]);
    let targets = pipeline.propose(&files, &[]);

    let receipts = pipeline.folder().join("receipts.jsonl");
    let processes = Load::start(pipeline.folder(), "processes", |command| {
        command.args(["--url", &front]).arg("--receipts").arg(&receipts);
        arguments(command, &targets);
    });
    let embedded = Load::start(pipeline.folder(), "embedded", |command| {
        command.args(["--url", &dev.url]);
        arguments(command, &targets);
    });
    let processes = processes.finish(WAIT_MAX);
    processes.assert_good();
    embedded.finish(WAIT_MAX).assert_good();

    let receipts = Receipts::verify(&front, &receipts);
    let mut found = 0;
    for target in &targets {
        let cores = [&front, &dev.url].map(|url| core(url, target));
        assert_eq!(cores[0], cores[1], "{}: processes and one process differ", target.name);
        found += receipts.audit(&front, &target.id);
        pipeline.assert_recount_agrees(target);
    }
    assert_eq!(found, receipts.len());
    println!(
        "{} ballots, {found} receipts found: the same {} results from processes and from one process",
        processes.number("sent"),
        targets.len()
    );
}

fn arguments(command: &mut Command, targets: &[Target]) {
    command.args(["--ballots", BALLOTS, "--seed", "7", "--counted-within", "40s", "--until-final"]);
    for target in targets {
        command.args(["--proposal", &target.id]);
    }
}

fn snapshot_js_agrees(pipeline: &Pipeline, front: &str) {
    let modules = env::var("PNYX_PEER_MODULES").expect(
        "PNYX_PEER_MODULES is not set: run the tests with `cargo xtask test`, which installs the Snapshot client",
    );
    let node = || {
        let mut node = Command::new("node");
        node.arg(repository().join("testbed/snapshot-js/peer.mjs")).env("PNYX_PEER_MODULES", &modules);
        node
    };
    let folder = pipeline.folder().join("peer");
    succeed(node().arg("prepare").arg(&folder).arg(SNAPSHOT_BALLOTS));
    pipeline.propose_only(&[folder], &["--open-for", "20m"]);
    http::poll("the peer's proposals at the edge and at both replicas", WAIT_MAX, || {
        let is_there = |url: &String| {
            let listed = http::try_json(&format!("{url}/v1/proposals?limit=100"));
            listed.is_some_and(|page| page["proposals"].as_array().is_some_and(|listed| listed.len() == 7))
        };
        pipeline.reads().iter().all(is_there).then_some(())
    });
    let output = succeed(node().args(["vote", front, SNAPSHOT_BALLOTS]));
    assert!(output.contains("7 passed, 0 failed"), "{output}");
    println!("{output}");
}

/// The part of a result that follows from the ballots alone.
fn core(url: &str, target: &Target) -> Value {
    get_json(&format!("{url}/v1/proposals/{}/result", target.id))["core"].clone()
}

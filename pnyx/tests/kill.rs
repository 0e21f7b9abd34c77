//! `pnyx dev` is killed with -9 at ten random moments under load and started again: nothing acknowledged is missing,
//! totals are exact, the recount agrees, the audit passes and finds every receipt.

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

mod common;

use std::{
    path::Path,
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use common::{Dev, audit::Receipts, get_json, pnyx, repository};

/// How often the process is killed.
const KILLS: u32 = 10;
/// Ballots sent meanwhile; unacknowledged ones are sent again.
const BALLOTS: &str = "100000";
/// Ballots a second: slow enough for all kills to happen while ballots are being sent.
const RATE: &str = "3000";
/// The window: the load, the kills and a margin for a slow machine.
const OPEN_FOR: &str = "140s";
/// How long the load may take after the last kill: every ballot is sent again for at most 60 s.
const LOAD_WAIT_MAX: Duration = Duration::from_secs(300);
/// How long the result may take after the load is over.
const RESULT_WAIT_MAX: Duration = Duration::from_secs(300);

#[test]
fn ten_kills_lose_nothing_that_was_acknowledged() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let receipts = directory.path().join("receipts.jsonl");
    let examples = repository().join("examples").display().to_string();
    let arguments = [examples.as_str(), "--open-for", OPEN_FOR];
    let mut dev = Dev::start(&data, None, &arguments);
    let address = dev.address();
    let mut load = pnyx();
    load.args(["load", "--url", &dev.url, "--ballots", BALLOTS, "--rate", RATE, "--seed", "11", "--resend-for", "60s"]);
    load.arg("--receipts").arg(&receipts).stdout(Stdio::piped()).stderr(Stdio::piped());
    let load = load.spawn().unwrap();
    wait_until_ballots_arrive(&dev);
    for kill in 0..KILLS {
        thread::sleep(pseudo_random_pause(kill));
        dev.kill();
        dev = Dev::start(&data, Some(&address), &arguments);
    }
    let output = finish(load);
    assert!(output.contains("expected  = served, to the last unit"), "{output}");
    assert!(output.contains("sent again"), "no kill fell into the sending: {output}");
    let audited = audit_everything(&dev, &receipts);
    println!("{output}\n{audited}");
}

/// The load signs all ballots first; kills before the first is sent would show nothing.
fn wait_until_ballots_arrive(dev: &Dev) {
    let start = Instant::now();
    let url = format!("{}/v1/proposals/grants-round/progress", dev.url);
    while get_json(&url)["accepted"] == 0 {
        assert!(start.elapsed() < LOAD_WAIT_MAX, "the load sent nothing");
        thread::sleep(Duration::from_millis(50));
    }
}

/// Waits for the results, then audits every archive with the receipts that belong to it.
fn audit_everything(dev: &Dev, receipts: &Path) -> String {
    let receipts = Receipts::verify(&dev.url, receipts);
    let proposals = get_json(&format!("{}/v1/proposals", dev.url))["proposals"].as_array().unwrap().clone();
    let mut audited = 0;
    for proposal in &proposals {
        let id = proposal["id"].as_str().unwrap();
        wait_until_final(dev, id);
        audited += receipts.audit(&dev.url, id);
    }
    assert_eq!(audited, receipts.len());
    format!("{} proposals audited, {audited} receipts found in their archives", proposals.len())
}

fn wait_until_final(dev: &Dev, id: &str) {
    let url = format!("{}/v1/proposals/{id}", dev.url);
    let start = Instant::now();
    loop {
        let phase = get_json(&url)["phase"].as_str().unwrap().to_owned();
        if phase == "final" {
            return;
        }
        assert_ne!(phase, "disputed", "the recount differs from the live tally of {id}");
        assert!(start.elapsed() < RESULT_WAIT_MAX, "{id} is still {phase}");
        thread::sleep(Duration::from_millis(500));
    }
}

fn finish(mut load: Child) -> String {
    let start = Instant::now();
    while load.try_wait().unwrap().is_none() {
        if start.elapsed() > LOAD_WAIT_MAX {
            load.kill().unwrap();
            panic!("the load did not end within {LOAD_WAIT_MAX:?}");
        }
        thread::sleep(Duration::from_millis(100));
    }
    let output = load.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", common::everything(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// 0.3 to 2.5 s, from a fixed sequence so that a failure can be repeated as nearly as a race can.
fn pseudo_random_pause(kill: u32) -> Duration {
    let scrambled = kill.wrapping_mul(2_654_435_761).wrapping_add(40_503) >> 7;
    Duration::from_millis(300 + u64::from(scrambled % 2_200))
}

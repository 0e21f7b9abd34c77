//! The example of the README, from the deployment of its token to the audit of its result.

use std::{fs, path::Path, time::Duration};

use alloy_primitives::U256;
use pnyx_testbed::evm::{Block, Fault, FaultyEndpoint, Lie};
use serde_json::{Value, json};

use crate::{
    common::{Dev, everything, get, get_json, http, pnyx, succeed},
    rig::{Chain, PROPOSAL, await_counted, demo_wallet, example_path, target, url, vote, voter, whole},
};

/// The window. Only the first three ballots have to fall into it.
const OPEN_FOR: &str = "60s";

/// How long the result may take: the rest of the window, grace, drain and recount, on a busy machine.
const RESULT_WAIT_MAX: Duration = Duration::from_secs(240);

/// Has 200 tokens, half a one more at the last moment, and only that half a second later.
const HOLDER: u8 = 1;

/// Has 300 tokens and 2 of the chain's own currency.
const RICH: u8 = 2;

/// Gets the holder's 200, a second too late.
const LATE: u8 = 9;

/// Never has anything.
const POOR: u8 = 12;

#[test]
fn power_is_what_the_chain_said_when_the_window_opened() {
    let chain = Chain::start();
    let example = fs::read_to_string(example_path()).unwrap();
    assert!(example.contains(&format!("address: \"{}\"", chain.token)), "the example reads {}", chain.token);
    chain.evm.fund(demo_wallet(RICH), whole(2)).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let dev = chain.dev(&directory.path().join("data"), &chain.evm.url(), OPEN_FOR);
    ballots_are_taken_before_the_snapshot_is_final(&dev, directory.path());
    let pinned = move_tokens_at_the_opening(&chain, target(&dev).opens_at_s);
    await_counted(&dev, 3);
    ballots_count_with_the_powers_of(&dev, pinned);
    power_is_explained(&dev, pinned);
    a_wallet_without_power_is_told_before_it_signs(&dev);
    the_result_says_where_power_was_read(&dev, pinned, directory.path());
    an_auditor_asks_the_chain_again(&chain, &dev, directory.path());
    assert!(dev.interrupt(), "Ctrl-C must end with exit code 0");
}

fn ballots_are_taken_before_the_snapshot_is_final(dev: &Dev, folder: &Path) {
    for (wallet, choice) in [(HOLDER, "For"), (RICH, "Against"), (LATE, "For")] {
        let said = vote(dev, folder, wallet, choice);
        assert!(said.contains("with a power that is not known yet"), "{said}");
    }
    let snapshot = get_json(&url(dev, ""))["snapshot"].clone();
    assert!(snapshot["pins"].is_null(), "{snapshot}");
    let waiting_for = snapshot["waitingFor"].as_str().unwrap();
    assert!(waiting_for.contains("the last block of chain 31337 at or before"), "{waiting_for}");
    let progress = get_json(&url(dev, "/progress"));
    assert_eq!(progress["accepted"], 3, "{progress}");
    assert_eq!(progress["verified"], 0, "{progress}");
    let voter = voter(dev, HOLDER);
    assert!(voter["power"].is_null(), "{voter}");
    assert!(voter["powerMissing"].as_str().unwrap().contains("not final yet"), "{voter}");
    for metric in ["pnyx_recount_unpinned_proposals", "pnyx_verifier_unpinned_proposals"] {
        assert_eq!(http::metric(&dev.url, metric), Some(1.0), "{metric}");
    }
}

/// A block of the very second in which the window opens still belongs to the snapshot, the next one does not.
fn move_tokens_at_the_opening(chain: &Chain, opens_at_s: u64) -> Block {
    chain.evm.set_next_timestamp(opens_at_s).unwrap();
    let in_time = chain.mint(demo_wallet(HOLDER), whole(1) / U256::from(2));
    chain.evm.set_next_timestamp(opens_at_s + 1).unwrap();
    let too_late = chain.transfer(demo_wallet(HOLDER), demo_wallet(LATE), whole(200));
    chain.evm.finalize(too_late.block_number).unwrap();
    let pinned = chain.evm.block(in_time.block_number).unwrap().unwrap();
    assert_eq!(pinned.timestamp_s, opens_at_s);
    pinned
}

fn ballots_count_with_the_powers_of(dev: &Dev, pinned: Block) {
    let proposal = get_json(&url(dev, ""));
    let snapshot = &proposal["snapshot"];
    assert!(snapshot["waitingFor"].is_null(), "{snapshot}");
    let pin = &snapshot["pins"][0];
    assert_eq!(pin["chain"], "31337", "{snapshot}");
    assert_eq!(pin["block"], pinned.number, "{snapshot}");
    assert_eq!(pin["blockHash"], pinned.hash.to_string(), "{snapshot}");
    let tally = &proposal["tally"];
    assert_eq!(tally["scores"], json!(["200.5", "302", "0"]), "{tally}");
    assert_eq!(tally["totalPower"], "502.5", "{tally}");
    assert_eq!(tally["ballots"], 2, "{tally}");
    assert_eq!(tally["rejected"], json!({ "noPower": 1 }), "{tally}");
}

fn power_is_explained(dev: &Dev, pinned: Block) {
    let holder = explained(dev, HOLDER);
    assert_eq!(holder["power"], "200.5", "{holder}");
    let strategies = holder["powerByStrategy"].as_array().unwrap();
    let names: Vec<&str> = strategies.iter().map(|strategy| strategy["strategy"].as_str().unwrap()).collect();
    assert_eq!(names, ["erc20-balance-of", "eth-balance"]);
    let read = &strategies[0]["reads"][0];
    assert_eq!(read["chain"], "31337", "{read}");
    assert_eq!(read["block"], pinned.number, "{read}");
    assert_eq!(read["blockHash"], pinned.hash.to_string(), "{read}");
    assert_eq!(read["raw"], "200500000000000000000", "{read}");
    assert_eq!(read["decimals"], 18, "{read}");
    assert_eq!(read["power"], "200.5", "{read}");
    assert!(read["explanation"].is_null(), "{read}");

    let rich = explained(dev, RICH);
    let powers = [0, 1].map(|index| rich["powerByStrategy"][index]["power"].as_str().unwrap().to_owned());
    assert_eq!(powers, ["300", "2"], "{rich}");
    assert!(rich["powerByStrategy"][1]["reads"][0]["contract"].is_null(), "{rich}");

    let late = explained(dev, LATE);
    assert_eq!(late["power"], "0", "{late}");
    let read = &late["powerByStrategy"][0]["reads"][0];
    assert_eq!(read["explanation"], "nothing was held at this block", "{read}");
    let mut explain = pnyx();
    explain.args(["explain", "power", "--proposal", PROPOSAL, "--url", &dev.url]);
    let for_people = succeed(explain.args(["--voter", &demo_wallet(LATE).to_string()]));
    assert!(for_people.contains(&format!("chain 31337, block {}", pinned.number)), "{for_people}");
    assert!(for_people.contains("nothing was held at this block"), "{for_people}");
}

fn explained(dev: &Dev, wallet: u8) -> Value {
    let mut explain = pnyx();
    explain.args(["explain", "power", "--json", "--proposal", PROPOSAL, "--url", &dev.url]);
    let output = succeed(explain.args(["--voter", &demo_wallet(wallet).to_string()]));
    serde_json::from_str(&output).unwrap()
}

fn a_wallet_without_power_is_told_before_it_signs(dev: &Dev) {
    let mut vote = pnyx();
    vote.args(["vote", PROPOSAL, "--choice", "For", "--demo-wallet", &POOR.to_string(), "--url", &dev.url]);
    let output = vote.output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", everything(&output));
    let said = everything(&output);
    assert!(said.contains("has no power in") && said.contains("nothing was signed"), "{said}");
    assert_eq!(get_json(&url(dev, "/progress"))["accepted"], 3, "nothing may have been sent");
}

fn the_result_says_where_power_was_read(dev: &Dev, pinned: Block, folder: &Path) {
    http::poll("the result", RESULT_WAIT_MAX, || {
        let proposal = http::try_json(&url(dev, ""))?;
        assert_ne!(proposal["phase"], "disputed", "{proposal}");
        (proposal["phase"] == "final").then_some(())
    });
    let result = get_json(&url(dev, "/result"));
    assert_eq!(result["core"]["totalPower"], "502.5", "{result}");
    let provenance = &result["provenance"];
    assert_eq!(provenance["rejected"], json!({ "noPower": 1 }), "{provenance}");
    let pin = &provenance["chains"]["pins"]["chains"][0];
    assert_eq!(pin["network"], "31337", "{provenance}");
    assert_eq!(pin["block"], pinned.number, "{provenance}");
    assert_eq!(pin["hash"], pinned.hash.to_string(), "{provenance}");
    assert_eq!(pin["timestampSeconds"], pinned.timestamp_s, "{provenance}");
    let root = provenance["chains"]["powersRoot"].as_str().unwrap();
    assert_eq!(root.len(), "0x".len() + 64, "{root}");

    let archive = get(&url(dev, "/archive"));
    let kinds = |kind: &str| archive.lines().filter(|line| line.contains(&format!("\"kind\":\"{kind}\""))).count();
    assert_eq!((kinds("pins"), kinds("power")), (1, 3), "one line for each who signed, also for the one without power");
    let audited = succeed(pnyx().args(["audit", &url(dev, "/archive")]));
    assert!(audited.contains("VALID in") && audited.contains("from the chains at the pins"), "{audited}");

    let changed = folder.join("changed.jsonl");
    fs::write(&changed, archive.replacen("\"power\":\"200.5\"", "\"power\":\"201.5\"", 1)).unwrap();
    let output = pnyx().arg("audit").arg(&changed).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", everything(&output));
}

/// Whoever has an endpoint need not believe what the archive says of power, and an endpoint that is none of its chain, or
/// lies, makes no archive valid.
fn an_auditor_asks_the_chain_again(chain: &Chain, dev: &Dev, folder: &Path) {
    let file = folder.join("archive.jsonl");
    fs::write(&file, get(&url(dev, "/archive"))).unwrap();
    let audit = |flags: &[&str]| {
        let mut audit = pnyx();
        audit.arg("audit").arg(&file);
        flags.iter().for_each(|flag| {
            audit.args(["--chain", flag]);
        });
        audit
    };
    let honest = chain.flag(&chain.evm.url());
    let audited = succeed(&mut audit(&[&honest]));
    assert!(audited.contains("VALID in") && audited.contains("looked up again on the chains"), "{audited}");
    assert!(audited.contains("3 voters"), "{audited}");
    let report: Value = serde_json::from_str(&succeed(audit(&[&honest]).arg("--json"))).unwrap();
    assert_eq!(report["power"], "chains", "{report}");

    // Not a word about the archive: nobody was asked.
    let refused = |code: i32, flags: &[&str], expected: &[&str]| {
        let output = audit(flags).output().unwrap();
        let said = everything(&output);
        assert_eq!(output.status.code(), Some(code), "{said}");
        expected.iter().for_each(|part| assert!(said.contains(part), "{part:?} is not in {said}"));
        assert!(!said.contains("VALID in"), "{said}");
    };
    refused(2, &["1=http://127.0.0.1:1"], &["chain 31337", "--chain 31337=URL"]);
    refused(2, &[&chain.flag("http://127.0.0.1:1")], &["chain 31337", "endpoint-1 cannot be reached"]);

    // The same id and the same token, but a history of its own.
    let other = Chain::start();
    other.pass(target(dev).opens_at_s);
    refused(1, &[&other.flag(&other.evm.url())], &["INVALID", "power was read at block", "another chain of that id"]);

    let liar = FaultyEndpoint::start(&chain.evm).unwrap();
    let lie = Lie::Erc20 { token: chain.token, holder: demo_wallet(RICH), raw: whole(301) };
    liar.set(&[Fault::Lie(lie)]).unwrap();
    let named = format!("{} has 302 by the archive and 303 by the chains", demo_wallet(RICH));
    refused(1, &[&chain.flag(&liar.url())], &["INVALID", "1 of 3 voters", &named]);
}

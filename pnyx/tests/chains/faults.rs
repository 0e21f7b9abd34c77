//! Every fault of an endpoint while ballots keep coming: none is rejected for it, metrics and readers are told why within
//! seconds, all are counted once the endpoint is well, and the totals are exact.

use std::{
    thread,
    time::{Duration, Instant},
};

use alloy_primitives::U256;
use pnyx_testbed::evm::{Fault, FaultyEndpoint, Lie, Pruned};
use serde_json::json;

use crate::{
    common::{Dev, get_json, http},
    rig::{COUNTED_WAIT_MAX, Chain, target, url},
    steady::{self, Steady},
};

/// Within this metrics and readers know what is wrong: from the moment when the fault began, which every ballot meets that
/// comes from then on.
const TOLD_WITHIN: Duration = Duration::from_secs(5);

/// How long the test looks, to say how late it was.
const TOLD_WAIT_MAX: Duration = Duration::from_secs(40);

/// Ballots that are acknowledged at least while a fault goes on.
const BALLOTS_MIN: u64 = 100;

/// The least rate that is load: an endpoint is asked again with each ballot.
const RATE_MIN: f64 = 50.0;

/// A fault, the outcomes of requests to an endpoint that has it, and what readers are told. Without outcomes there is none
/// for as long as a request may take, and the metrics say that the chain does not answer.
type Case = (Fault, &'static [&'static str], &'static str);

fn cases() -> Vec<Case> {
    vec![
        (Fault::Dead, &["unreachable"], "cannot be reached"),
        (Fault::Silent, &[], "has not answered for 2 s"),
        (Fault::Slow(Duration::from_secs(6)), &[], "has not answered for 2 s"),
        (Fault::TooManyRequests { retry_after_s: 1 }, &["status"], "answered with HTTP status 429"),
        (Fault::Unavailable, &["status"], "answered with HTTP status 503"),
        (Fault::TruncatedJson, &["malformed"], "gave an answer that is none"),
        (Fault::CutBody, &["malformed", "unreachable"], "endpoint-1 "),
        (Fault::WrongChainId(5), &["wrong-chain"], "serves chain 5"),
        (Fault::OtherHash, &["unknown-block"], "does not have the block"),
        (Fault::StuckAt(1), &["unknown-block"], "does not have the block"),
        (Fault::PrunedHistory(Pruned::MissingTrieNode), &["pruned-state"], "does not keep the block's state"),
        (Fault::PrunedHistory(Pruned::HeaderNotFound), &["unknown-block"], "does not have the block"),
        (Fault::BodyMax(100), &["status"], "answered with HTTP status 413"),
    ]
}

#[test]
fn no_fault_under_load_rejects_a_ballot() {
    let chain = Chain::start();
    let endpoint = FaultyEndpoint::start(&chain.evm).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let proposal = steady::prepare(&chain, directory.path());
    let data = directory.path().join("data");
    let dev = Dev::start(&data, None, &[&proposal, "--chain", &chain.flag(&endpoint.url())]);
    let steady = Steady::start(&dev, &target(&dev));
    await_all(&dev, &steady);
    for (fault, outcomes, reason) in cases() {
        if matches!(fault, Fault::WrongChainId(_)) {
            // Only behind a URL that failed may be another server.
            let before = failures(&dev, &["unreachable"]);
            endpoint.set(&[Fault::Dead]).unwrap();
            http::poll("a failure", COUNTED_WAIT_MAX, || (failures(&dev, &["unreachable"]) > before).then_some(()));
        }
        let (accepted, before) = (steady.accepted(), failures(&dev, outcomes));
        endpoint.set(std::slice::from_ref(&fault)).unwrap();
        let began = Instant::now();
        await_told(&dev, &format!("{fault:?}"), "unreachable", reason, || match outcomes {
            [] => http::metric(&dev.url, "pnyx_tally_chain_answering") == Some(0.0),
            _ => failures(&dev, outcomes) > before,
        });
        let told = began.elapsed();
        while steady.accepted() < accepted + BALLOTS_MIN {
            thread::sleep(Duration::from_millis(20));
        }
        let waiting = http::metric(&dev.url, "pnyx_verifier_power_waiting_ballots").unwrap();
        nothing_is_rejected(&dev);
        endpoint.heal().unwrap();
        let healed = Instant::now();
        await_all(&dev, &steady);
        println!("{fault:?}: told after {told:.1?}, {waiting} in hand, all counted {:.1?} after it", healed.elapsed());
        assert!(waiting > 0.0, "{fault:?} held nothing back");
        assert!(told < TOLD_WITHIN, "{fault:?}: told after {told:.1?}");
    }
    totals_are_exact(&dev, steady);
}

#[test]
fn no_liar_under_load_changes_a_total() {
    let chain = Chain::start();
    let endpoints: Vec<FaultyEndpoint> = (0..3).map(|_| FaultyEndpoint::start(&chain.evm).unwrap()).collect();
    let directory = tempfile::tempdir().unwrap();
    let proposal = steady::prepare(&chain, directory.path());
    let flags: Vec<String> = endpoints.iter().map(|endpoint| chain.flag(&endpoint.url())).collect();
    let mut arguments = vec![proposal.as_str(), "--chain-agreement", "2"];
    flags.iter().for_each(|flag| arguments.extend(["--chain", flag]));
    let dev = Dev::start(&directory.path().join("data"), None, &arguments);
    let steady = Steady::start(&dev, &target(&dev));
    await_all(&dev, &steady);

    let lie = |number: u64| Fault::Lie(Lie::Constant { contract: chain.token, number: U256::from(number) });
    let (accepted, began) = (steady.accepted(), Instant::now());
    endpoints[0].set(&[lie(7)]).unwrap();
    let reason = "endpoint-1 is left out because it contradicted the other endpoints";
    await_told(&dev, "one liar", "answering", reason, || has_contradicted(&dev, "endpoint-1"));
    let told = began.elapsed();
    while steady.accepted() < accepted + BALLOTS_MIN {
        thread::sleep(Duration::from_millis(20));
    }
    await_all(&dev, &steady);
    println!("one liar of three: told after {told:.1?}");
    assert!(told < TOLD_WITHIN, "{told:?}");

    let (accepted, began) = (steady.accepted(), Instant::now());
    endpoints[1].set(&[lie(8)]).unwrap();
    let reason = "disagreement: endpoint-2, endpoint-3 contradict each other";
    await_told(&dev, "two liars", "stopped", reason, || http::metric(&dev.url, "pnyx_chain_stopped") == Some(1.0));
    let told = began.elapsed();
    while steady.accepted() < accepted + BALLOTS_MIN {
        thread::sleep(Duration::from_millis(20));
    }
    nothing_is_rejected(&dev);
    endpoints.iter().for_each(|endpoint| endpoint.heal().unwrap());
    await_all(&dev, &steady);
    println!("two liars of three: told after {told:.1?}");
    assert!(told < TOLD_WITHIN, "{told:?}");
    totals_are_exact(&dev, steady);
}

/// Waits until metrics and readers know.
fn await_told(dev: &Dev, what: &str, status: &str, reason: &str, is_in_metrics: impl Fn() -> bool) {
    http::poll(&format!("{what} in metrics"), TOLD_WAIT_MAX, || is_in_metrics().then_some(()));
    http::poll(&format!("{what}: {status}, {reason}"), TOLD_WAIT_MAX, || {
        let chain = http::try_json(&url(dev, ""))?["snapshot"]["chains"][0].clone();
        let is_told = chain["reason"].as_str().is_some_and(|told| told.contains(reason));
        (chain["status"] == status && is_told).then_some(())
    });
}

/// Waits until all that was acknowledged before now is counted, and none of it rejected.
fn await_all(dev: &Dev, steady: &Steady) {
    let accepted = steady.accepted();
    http::poll(&format!("counting of {accepted} ballots"), COUNTED_WAIT_MAX, || {
        let progress = http::try_json(&url(dev, "/progress"))?;
        (progress["counted"].as_u64()? >= accepted).then_some(())
    });
    nothing_is_rejected(dev);
}

fn nothing_is_rejected(dev: &Dev) {
    let progress = get_json(&url(dev, "/progress"));
    assert_eq!(progress["rejected"], json!({}), "{progress}");
}

fn totals_are_exact(dev: &Dev, steady: Steady) {
    let (ballots, rate) = steady.finish();
    println!("{ballots} ballots, {rate:.0} a second");
    http::poll("counting of all", COUNTED_WAIT_MAX, || {
        http::try_json(&url(dev, "/progress")).filter(|progress| progress["counted"] == ballots)
    });
    let tally = get_json(&url(dev, ""))["tally"].clone();
    assert_eq!((&tally["ballots"], &tally["rejected"]), (&json!(ballots), &json!({})), "{tally}");
    assert_eq!(tally["scores"], steady::scores(ballots), "{tally}");
    assert!(rate >= RATE_MIN, "{rate:.0} ballots a second are no load");
}

/// Requests to the first endpoint that came to one of these.
fn failures(dev: &Dev, outcomes: &[&str]) -> f64 {
    let metrics = get_metrics(dev);
    let is_meant = |line: &&str| {
        let is_of = |outcome: &&str| line.contains(&format!("endpoint=\"endpoint-1\",outcome=\"{outcome}\""));
        line.starts_with("pnyx_chain_requests_total{") && outcomes.iter().any(is_of)
    };
    metrics.lines().filter(is_meant).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

/// Whether the metrics say that an endpoint contradicted those that agree.
fn has_contradicted(dev: &Dev, endpoint: &str) -> bool {
    let label = format!("endpoint=\"{endpoint}\"");
    let is_meant = |line: &&str| line.starts_with("pnyx_chain_contradictions_total{") && line.contains(&label);
    get_metrics(dev).lines().filter(is_meant).any(|line| !line.ends_with(" 0"))
}

fn get_metrics(dev: &Dev) -> String {
    http::try_get(&format!("{}/metrics", dev.url)).map(|answer| answer.body).unwrap_or_default()
}

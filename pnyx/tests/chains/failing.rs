//! An endpoint that fails: ballots are taken and wait, none is rejected for it, and all are counted once it is well.

use pnyx_testbed::evm::{Fault, FaultyEndpoint};
use serde_json::json;

use crate::{
    common::{Dev, get_json, http},
    rig::{COUNTED_WAIT_MAX, Chain, await_chain, await_counted, has_failed, target, url, vote, voter},
};

/// Long enough for everything: nothing here waits for the close.
const OPEN_FOR: &str = "30m";

#[test]
fn ballots_wait_for_a_chain_and_none_is_rejected() {
    let chain = Chain::start();
    let endpoint = FaultyEndpoint::start(&chain.evm).unwrap();
    endpoint.set(&[Fault::Dead]).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let dev = chain.dev(&directory.path().join("data"), &endpoint.url(), OPEN_FOR);
    chain.pass(target(&dev).opens_at_s);

    // Nobody can say which block it is.
    for wallet in [1, 2] {
        vote(&dev, directory.path(), wallet, "For");
    }
    nothing_is_decided(&dev, 2, 0, "unreachable");
    await_chain(&dev, "unreachable", "endpoint-1 cannot be reached");
    assert_eq!(http::metric(&dev.url, "pnyx_tally_chain_answering"), Some(0.0));
    assert!(get_json(&url(&dev, ""))["snapshot"]["pins"].is_null());
    endpoint.heal().unwrap();
    await_counted(&dev, 2);

    // The block is known, and nobody can say what stands in it.
    let faults: [(u8, Fault, &str, &str); 3] = [
        (3, Fault::Dead, "unreachable", "cannot be reached"),
        (4, Fault::Unavailable, "status", "answered with HTTP status 503"),
        (5, Fault::TruncatedJson, "malformed", "gave an answer that is none"),
    ];
    for (wallet, fault, outcome, reason) in faults {
        let counted = u64::from(wallet) - 1;
        endpoint.set(&[fault]).unwrap();
        vote(&dev, directory.path(), wallet, "For");
        http::poll("a ballot that waits for its power", COUNTED_WAIT_MAX, || {
            http::metric(&dev.url, "pnyx_verifier_power_waiting_ballots").filter(|ballots| *ballots >= 1.0)
        });
        nothing_is_decided(&dev, counted + 1, counted, outcome);
        await_chain(&dev, "unreachable", reason);
        let voter = voter(&dev, wallet);
        assert!(voter["power"].is_null(), "{voter}");
        assert!(voter["powerMissing"].as_str().unwrap().contains("did not answer in time"), "{voter}");
        endpoint.heal().unwrap();
        await_counted(&dev, counted + 1);
        await_chain(&dev, "answering", "");
    }
    let tally = get_json(&url(&dev, ""))["tally"].clone();
    assert_eq!(tally["scores"], json!(["2000", "0", "0"]), "200, 300, 400, 500 and 600: {tally}");
    assert_eq!(tally["rejected"], json!({}), "{tally}");
    assert_eq!(http::metric(&dev.url, "pnyx_verifier_power_waiting_ballots"), Some(0.0));
}

/// So many ballots are taken and so many counted, none is rejected, and the metrics say what the endpoint fails at.
fn nothing_is_decided(dev: &Dev, accepted: u64, counted: u64, outcome: &str) {
    let progress = get_json(&url(dev, "/progress"));
    assert_eq!(progress["accepted"], accepted, "{progress}");
    assert_eq!(progress["counted"], counted, "{progress}");
    assert_eq!(progress["rejected"], json!({}), "{progress}");
    http::poll(&format!("an outcome {outcome}"), COUNTED_WAIT_MAX, || {
        let metrics = http::try_get(&format!("{}/metrics", dev.url))?.body;
        has_failed(&metrics, "endpoint-1", outcome).then_some(())
    });
}

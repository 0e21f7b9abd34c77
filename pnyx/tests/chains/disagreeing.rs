//! Endpoints that contradict each other: who lies among enough honest ones is named and left out, and where nobody can say
//! who lies nothing is counted.

use alloy_primitives::U256;
use pnyx_testbed::evm::{Fault, FaultyEndpoint, Lie};
use serde_json::json;

use crate::{
    common::{Dev, get_json},
    rig::{Chain, await_chain, await_counted, demo_wallet, example, target, url, vote, whole},
};

#[test]
fn a_liar_is_left_out_and_two_stop_the_counting() {
    let chain = Chain::start();
    let endpoints: Vec<FaultyEndpoint> = (0..3).map(|_| FaultyEndpoint::start(&chain.evm).unwrap()).collect();
    // The first is asked first, because nothing is known of any.
    endpoints[0].set(&[lie(&chain, 1, whole(7_000))]).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let flags: Vec<String> = endpoints.iter().map(|endpoint| chain.flag(&endpoint.url())).collect();
    let example = example();
    let mut arguments = vec![example.as_str(), "--open-for", "30m", "--chain-agreement", "2"];
    flags.iter().for_each(|flag| arguments.extend(["--chain", flag]));
    let dev = Dev::start(&directory.path().join("data"), None, &arguments);
    vote(&dev, directory.path(), 1, "For");
    chain.pass(target(&dev).opens_at_s);
    await_counted(&dev, 1);
    assert_eq!(get_json(&url(&dev, ""))["tally"]["scores"], json!(["200", "0", "0"]), "what the honest two say");
    await_chain(&dev, "answering", "endpoint-1 is left out because it contradicted the other endpoints");

    // Of the two that are left one lies as well.
    endpoints[1].set(&[lie(&chain, 2, U256::ZERO)]).unwrap();
    vote(&dev, directory.path(), 2, "For");
    await_chain(&dev, "stopped", "disagreement: endpoint-2, endpoint-3 contradict each other");
    let progress = get_json(&url(&dev, "/progress"));
    assert_eq!((&progress["counted"], &progress["rejected"]), (&json!(1), &json!({})), "{progress}");
    endpoints[1].heal().unwrap();
    await_counted(&dev, 2);
    assert_eq!(get_json(&url(&dev, ""))["tally"]["scores"], json!(["500", "0", "0"]));
    await_chain(&dev, "answering", "endpoint-1 is left out");
}

fn lie(chain: &Chain, wallet: u8, raw: U256) -> Fault {
    Fault::Lie(Lie::Erc20 { token: chain.token, holder: demo_wallet(wallet), raw })
}

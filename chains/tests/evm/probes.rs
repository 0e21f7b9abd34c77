//! Probing endpoints: what they fail at is found without anybody waiting for it, and nothing is concluded from it.

use pnyx_chains::{Chains, Failure, Probe};
use pnyx_core::chain::{BlockHash, Pin};
use pnyx_testbed::evm::{Fault, FaultyEndpoint, Pruned};

use crate::rig::{Rig, chains, only};

async fn ask(chains: &Chains, probe: Probe) -> Result<(), Failure> {
    only(chains).probed()[0].ask(probe).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_look_ups_would_fail_at_is_found() {
    let rig = Rig::start();
    rig.evm.mine(3).unwrap();
    let pin = rig.pin_head();
    let endpoint = FaultyEndpoint::start(&rig.evm).unwrap();
    for (fault, outcome) in [
        (Fault::Dead, "unreachable"),
        (Fault::TooManyRequests { retry_after_s: 9 }, "status"),
        (Fault::Unavailable, "status"),
        (Fault::TruncatedJson, "malformed"),
        (Fault::WrongChainId(5), "wrong-chain"),
        (Fault::OtherHash, "unknown-block"),
        (Fault::StuckAt(1), "unknown-block"),
        (Fault::PrunedHistory(Pruned::MissingTrieNode), "pruned-state"),
        (Fault::GasCap(3_000_000), "gas-clamped"),
    ] {
        // New each time: nothing is known of the endpoint, nor is it left alone.
        let chains = chains([(rig.id(), vec![endpoint.url()], 1)]);
        endpoint.set(std::slice::from_ref(&fault)).unwrap();
        let failure = ask(&chains, Probe::State(pin)).await.unwrap_err();
        assert_eq!(failure.outcome(), outcome, "{fault:?}: {failure}");
        let trouble = only(&chains).status().endpoints[0].trouble.clone();
        let is_told = fault != Fault::GasCap(3_000_000);
        assert_eq!(trouble.is_some(), is_told, "{fault:?}: {trouble:?}");
        endpoint.heal().unwrap();
    }
    let chains = chains([(rig.id(), vec![endpoint.url()], 1)]);
    for probe in [Probe::State(pin), Probe::Signatures(pin), Probe::Finalized] {
        ask(&chains, probe).await.unwrap();
    }
    // Enough for every look-up, and not for an ERC-6492 wrapper.
    endpoint.set(&[Fault::GasCap(12_500_000)]).unwrap();
    ask(&chains, Probe::State(pin)).await.unwrap();
    assert_eq!(ask(&chains, Probe::Signatures(pin)).await.unwrap_err().outcome(), "gas-clamped");
    endpoint.heal().unwrap();
    assert!(only(&chains).status().endpoints[0].answered_at.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_leaves_nobody_out_and_stops_nothing() {
    let rig = Rig::start();
    rig.evm.mine(3).unwrap();
    let pin = rig.pin_head();
    let elsewhere = Pin { hash: BlockHash::new([7; 32]), ..pin };
    let chains = chains([(rig.id(), vec![rig.evm.url(), rig.evm.url()], 2)]);
    let probed = only(&chains).probed();
    assert_eq!(probed.iter().map(|probed| probed.name().as_str()).collect::<Vec<_>>(), ["a", "b"]);
    probed[0].ask(Probe::State(pin)).await.unwrap();
    probed[1].ask(Probe::State(elsewhere)).await.unwrap_err();
    let status = only(&chains).status();
    assert!(!status.is_stopped());
    probed[1].ask(Probe::State(pin)).await.unwrap();
    assert_eq!(only(&chains).status().endpoints[1].trouble, None);
}

//! Whatever endpoints fail at: it delays, it never decides, and everything goes on once they are well again.

use std::time::{Duration, Instant};

use alloy_primitives::{Address, U256};
use pnyx_chains::{ChainError, ChainPower, Chains, Failure};
use pnyx_core::chain::Pin;
use pnyx_testbed::evm::{Fault, FaultyEndpoint, Lie, Pruned, Refusal};

use crate::rig::{Rig, account, chains, erc20, on_chain, only, power, units, voter};

/// Longest time from the end of a short fault to the next answer: after a few failures the breaker's pauses are a second
/// or two, and nobody has asked to be left alone for longer.
const HEALED_WITHIN: Duration = Duration::from_secs(5);

struct Held {
    rig: Rig,
    token: Address,
    pin: Pin,
    endpoints: Vec<FaultyEndpoint>,
}

impl Held {
    /// Account n has n raw units of a token; endpoints in front of the node.
    fn new(endpoints: usize) -> Self {
        let rig = Rig::start();
        let token = rig.token(18);
        (1..4).for_each(|number| rig.mint(token, account(number), U256::from(number)));
        let pin = rig.pin_head();
        let endpoints = (0..endpoints).map(|_| FaultyEndpoint::start(&rig.evm).unwrap()).collect();
        Self { rig, token, pin, endpoints }
    }

    fn chains(&self, agreement: usize) -> Chains {
        chains([(self.rig.id(), self.endpoints.iter().map(FaultyEndpoint::url).collect(), agreement)])
    }

    fn power(&self, chains: &Chains) -> ChainPower {
        power(chains, &[on_chain(self.rig.id(), erc20(self.token, 18))], &[self.pin])
    }

    fn lie(&self, raw: u64) -> Fault {
        Fault::Lie(Lie::Erc20 { token: self.token, holder: account(2), raw: U256::from(raw) })
    }
}

async fn is_right(power: &ChainPower) {
    let voters = [1, 2, 3, 9].map(|number| voter(account(number)));
    let expected = [1, 2, 3, 0].map(|number| units(U256::from(number)));
    assert_eq!(power.powers(&voters).await.unwrap(), expected);
}

/// Asks until the chain is read again.
async fn await_healed(power: &ChainPower) {
    let healed = Instant::now();
    while let Err(error) = power.powers(&[voter(account(2))]).await {
        assert!(healed.elapsed() < HEALED_WITHIN, "{error}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    is_right(power).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_fault_becomes_a_fact_and_all_heal() {
    let held = Held::new(1);
    let chains = held.chains(1);
    let power = held.power(&chains);
    is_right(&power).await;
    for (fault, outcomes) in [
        (Fault::Dead, ["unreachable"].as_slice()),
        (Fault::TooManyRequests { retry_after_s: 1 }, &["status"]),
        (Fault::Unavailable, &["status"]),
        (Fault::TruncatedJson, &["malformed"]),
        (Fault::CutBody, &["malformed", "unreachable"]),
        (Fault::WrongChainId(5), &["wrong-chain"]),
        (Fault::OtherHash, &["unknown-block"]),
        (Fault::StuckAt(1), &["unknown-block"]),
        (Fault::PrunedHistory(Pruned::MissingTrieNode), &["pruned-state"]),
        (Fault::PrunedHistory(Pruned::HeaderNotFound), &["unknown-block"]),
        (Fault::BodyMax(100), &["status"]),
    ] {
        held.endpoints[0].set(std::slice::from_ref(&fault)).unwrap();
        // The chain id is asked for again only after a failure.
        if matches!(fault, Fault::WrongChainId(_)) {
            held.endpoints[0].set(&[Fault::Dead]).unwrap();
            power.powers(&[voter(account(2))]).await.unwrap_err();
            held.endpoints[0].set(std::slice::from_ref(&fault)).unwrap();
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let error = power.powers(&[voter(account(2))]).await.unwrap_err();
        assert!(matches!(error, ChainError::Unavailable { .. }), "{fault:?}: {error}");
        let trouble = only(&chains).status().endpoints[0].trouble.clone().map(|trouble| trouble.outcome());
        assert!(trouble.is_some_and(|trouble| outcomes.contains(&trouble)), "{fault:?}: {trouble:?}, {error}");
        held.endpoints[0].heal().unwrap();
        await_healed(&power).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_endpoint_answers_for_one_that_fails() {
    let held = Held::new(2);
    for fault in [
        Fault::Dead,
        Fault::Silent,
        Fault::Slow(Duration::from_secs(2)),
        Fault::TooManyRequests { retry_after_s: 60 },
        Fault::TruncatedJson,
        Fault::WrongChainId(5),
        Fault::PrunedHistory(Pruned::MissingTrieNode),
    ] {
        held.endpoints[0].set(std::slice::from_ref(&fault)).unwrap();
        let chains = held.chains(1);
        let power = held.power(&chains);
        let started = Instant::now();
        is_right(&power).await;
        assert!(started.elapsed() < Duration::from_secs(10), "{fault:?}: {:?}", started.elapsed());
        held.endpoints[0].heal().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_after_is_respected() {
    let held = Held::new(1);
    let chains = held.chains(1);
    let power = held.power(&chains);
    held.endpoints[0].set(&[Fault::TooManyRequests { retry_after_s: 30 }]).unwrap();
    for _ in 0..5 {
        power.powers(&[voter(account(2))]).await.unwrap_err();
    }
    assert_eq!(held.endpoints[0].requests(), 1, "it asked to be left alone");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asked_to_be_left_alone_is_asked_again_when_the_time_is_over() {
    let held = Held::new(1);
    let chains = held.chains(1);
    let power = held.power(&chains);
    is_right(&power).await;
    held.endpoints[0].reset_counts();
    held.endpoints[0].set(&[Fault::TooManyRequests { retry_after_s: 2 }]).unwrap();
    let refused = Instant::now();
    power.powers(&[voter(account(2))]).await.unwrap_err();
    let trouble = only(&chains).status().endpoints[0].trouble.clone().unwrap();
    assert_eq!(trouble, Failure::Status { status: 429, retry_after: Some(Duration::from_secs(2)) });
    held.endpoints[0].heal().unwrap();
    while power.powers(&[voter(account(2))]).await.is_err() {
        assert!(refused.elapsed() < HEALED_WITHIN);
        assert_eq!(held.endpoints[0].requests(), 1, "not before the time is over");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(refused.elapsed() >= Duration::from_secs(2), "{:?}", refused.elapsed());
    is_right(&power).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_liar_among_three_is_named_and_left_out() {
    let held = Held::new(3);
    held.endpoints[1].set(&[held.lie(77)]).unwrap();
    let chains = held.chains(2);
    let power = held.power(&chains);
    for _ in 0..6 {
        is_right(&power).await;
    }
    let status = only(&chains).status();
    let outcomes: Vec<_> =
        status.endpoints.iter().map(|endpoint| endpoint.trouble.as_ref().map(|trouble| trouble.outcome())).collect();
    assert_eq!(outcomes[0], None);
    assert_eq!(outcomes[1], Some("left-out"), "left out as soon as it was asked");
    assert_eq!(outcomes[2], None);
    assert!(!status.is_stopped());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_different_liars_stop_the_chain() {
    let held = Held::new(3);
    held.endpoints[0].set(&[held.lie(77)]).unwrap();
    held.endpoints[2].set(&[held.lie(78)]).unwrap();
    let chains = held.chains(2);
    let power = held.power(&chains);
    for _ in 0..2 {
        let error = power.powers(&[voter(account(2))]).await.unwrap_err();
        assert!(matches!(error, ChainError::Contradiction { .. }), "{error}");
        assert!(only(&chains).status().is_stopped());
        // Whom they do not lie about is looked up, and that settles nothing.
        assert_eq!(power.powers(&[voter(account(3))]).await.unwrap(), [units(U256::from(3))]);
        assert!(only(&chains).status().is_stopped());
    }
    held.endpoints[0].heal().unwrap();
    // Among others, as those do who wait with it.
    is_right(&power).await;
    assert!(!only(&chains).status().is_stopped());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_endpoint_is_believed_alone_only_if_one_is_enough() {
    let held = Held::new(2);
    held.endpoints[1].set(&[Fault::Dead]).unwrap();
    let chains = held.chains(2);
    let error = held.power(&chains).powers(&[voter(account(2))]).await.unwrap_err();
    assert!(matches!(error, ChainError::Unavailable { .. }), "{error}");
    is_right(&held.power(&held.chains(1))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn less_gas_than_the_rules_fix_decides_nothing() {
    let held = Held::new(1);
    let odd = held.rig.evm.deploy(held.rig.contracts.get("OddToken"), &[]).unwrap();
    let who = account(5);
    held.rig.send("OddToken", odd, "mint(address,uint256)", &[who.into(), 4_u64.into()]);
    held.rig.send("OddToken", odd, "takeGas(address,uint256)", &[who.into(), 4_000_000_u64.into()]);
    let pin = held.rig.pin_head();
    let chains = held.chains(1);
    let power = power(&chains, &[on_chain(held.rig.id(), erc20(odd, 18))], &[pin]);
    held.endpoints[0].set(&[Fault::GasCap(3_000_000)]).unwrap();
    let error = power.powers(&[voter(who)]).await.unwrap_err();
    assert_eq!(error.failures()[0].failure.outcome(), "gas-clamped", "{error}");
    // Who needs no more than is granted is looked up all the same.
    assert_eq!(power.powers(&[voter(account(6))]).await.unwrap(), [units(U256::ZERO)]);
    held.endpoints[0].heal().unwrap();
    assert_eq!(power.powers(&[voter(who)]).await.unwrap(), [units(U256::from(4))]);
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_shrink_to_what_an_endpoint_takes() {
    let held = Held::new(1);
    held.endpoints[0].set(&[Fault::BodyMax(6_000)]).unwrap();
    let chains = held.chains(1);
    let voters: Vec<_> = (0..1_000).map(account).map(voter).collect();
    let found = held.power(&chains).powers(&voters).await.unwrap();
    assert_eq!(found[..4], [0, 1, 2, 3].map(|number| units(U256::from(number))));
}

/// A proxy that refuses long requests with an error as of an outage, in front of a healthy node.
#[tokio::test(flavor = "multi_thread")]
async fn batches_shrink_also_where_nobody_says_that_they_are_too_large() {
    let held = Held::new(1);
    let voters: Vec<_> = (0..1_000).map(account).map(voter).collect();
    for refusal in
        [Refusal::Status(500), Refusal::Status(502), Refusal::Status(504), Refusal::LimitExceeded, Refusal::HangUp]
    {
        held.endpoints[0].set(&[Fault::Overlong { len_max: 6_000, refusal }]).unwrap();
        let chains = held.chains(1);
        let power = held.power(&chains);
        let found = power.powers(&voters).await.unwrap_or_else(|error| panic!("{refusal:?}: {error}"));
        assert_eq!(found[..4], [0, 1, 2, 3].map(|number| units(U256::from(number))), "{refusal:?}");
        // What was learnt is kept: as many again need no more calls than there are parts.
        held.endpoints[0].reset_counts();
        power.powers(&voters).await.unwrap();
        let calls = held.endpoints[0].calls("eth_call");
        assert!(calls <= 30, "{refusal:?}: {calls} calls");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_refuses_what_others_answer_is_asked_after_them() {
    let held = Held::new(2);
    held.endpoints[0].set(&[Fault::Overlong { len_max: 6_000, refusal: Refusal::Status(502) }]).unwrap();
    let chains = held.chains(1);
    let power = held.power(&chains);
    let voters: Vec<_> = (0..700).map(account).map(voter).collect();
    for _ in 0..20 {
        power.powers(&voters).await.unwrap();
    }
    assert!(held.endpoints[0].calls("eth_call") <= 4, "{} calls", held.endpoints[0].calls("eth_call"));
    assert_eq!(held.endpoints[1].calls("eth_call"), 20, "all in one call each");
    let trouble = only(&chains).status().endpoints[0].trouble.clone().map(|trouble| trouble.outcome());
    assert_eq!(trouble, Some("status"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_does_not_shrink_batches() {
    let held = Held::new(1);
    let chains = held.chains(1);
    let power = held.power(&chains);
    let voters: Vec<_> = (0..700).map(account).map(voter).collect();
    for refusal in [Refusal::Status(502), Refusal::LimitExceeded] {
        held.endpoints[0].set(&[Fault::Overlong { len_max: 0, refusal }]).unwrap();
        for _ in 0..3 {
            power.powers(&voters).await.unwrap_err();
        }
        let requests = held.endpoints[0].requests();
        assert!(requests < 60, "{refusal:?}: {requests} requests to an endpoint that is out");
        held.endpoints[0].heal().unwrap();
        await_healed(&power).await;
        held.endpoints[0].reset_counts();
        power.powers(&voters).await.unwrap();
        assert_eq!(held.endpoints[0].calls("eth_call"), 1, "{refusal:?}: all in one call");
    }
}

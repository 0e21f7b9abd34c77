//! Power from a chain and contracts that sign, with a process for each component: ballots are taken before anybody knows the
//! block and wait in Kafka, a shard process that dies meanwhile is missed by nobody, and the result is what the chain says to
//! whoever asks it.

use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use alloy_primitives::{Address, B256};
use pnyx_core::{ballot, id::Voter, signing::SigningKey};
use pnyx_testbed::evm::{Fault, FaultyEndpoint, OddWallet, Safe, SafeContracts};
use serde_json::{Value, json};

use crate::{
    chain_rig::{Chain, PROPOSAL, example_path, whole},
    common::{
        ballots::{Ballot, Target, now_s},
        get_json, http,
        pipeline::{Pipeline, Role, Shape},
        pnyx,
        proposals::Window,
        succeed,
    },
};

/// Wallets that hold tokens, the first of them one, the next two, and so on.
const VOTERS: u64 = 24;
/// Safes that hold tokens and vote with a ballot each, all for the first choice; and as many records that only claim to be
/// theirs.
const SAFES: u64 = 6;
/// What each Safe holds.
const SAFE_TOKENS: u64 = 10;
/// What a wallet holds that accepts everything where the node makes up no miner, so that endpoints may differ about it.
const FICKLE_TOKENS: u64 = 10;
/// Within this readers are told that endpoints do.
const TOLD_WITHIN: Duration = Duration::from_secs(5);
/// How long the window is open: everything before the result falls into it, also on a busy machine.
const OPEN_FOR_S: i64 = 180;
/// How long a ballot may take to be counted once its block is known: a killed member of a group is noticed after a while.
const COUNTED_WAIT_MAX: Duration = Duration::from_secs(120);
/// How long the result may take: the rest of the window, grace, drain and recount.
const RESULT_WAIT_MAX: Duration = Duration::from_secs(420);

/// Votes with powers of a chain.
pub(crate) fn powers_come_from_it() {
    let chain = Chain::start();
    let flag = chain.flag(&chain.evm.url());
    let endpoints = [(); 2].map(|()| FaultyEndpoint::start(&chain.evm).unwrap());
    let [one, other] = [0, 1].map(|index: usize| chain.flag(&endpoints[index].url()));
    let of_both = ["--chain", &one, "--chain", &other, "--chain-agreement", "2"];
    let mut pipeline = Pipeline::start(Shape { brokers: 1, roles: vec![Role::Ingest], can_be_cut: false });
    for role in [Role::Verifier, Role::Verifier, Role::Tally, Role::Tally, Role::Recount] {
        pipeline.add(role, &of_both);
    }
    pipeline.wait_until_all_ready();
    let target = pipeline.propose(&[write_example(&pipeline)], &["--chain", &flag]).remove(0);
    let ballots: Vec<Ballot> =
        (1..=VOTERS).map(|number| target.ballot(&format!("holder {number}"), now_s(), choice_of(number))).collect();
    for (number, ballot) in (1..).zip(&ballots) {
        chain.mint(holder(ballot), whole(number));
    }
    let safes = make_safes(&chain);
    let fickle = make_fickle(&chain);
    let (before, after) = ballots.split_at(ballots.len() / 2);
    let (safes_before, safes_after) = safes.split_at(safes.len() / 2);
    cast(&pipeline, before);
    claim(&pipeline, &target, safes_before);
    they_wait_and_why_is_told(&pipeline, &target, before.len() + 2 * safes_before.len());
    let shards = pipeline.of(Role::Verifier)[0];
    pipeline.kill(shards);

    chain.pass(target.opens_at_s);
    chain.transfer(holder(&ballots[0]), holder(&ballots[1]), whole(1));
    claim(&pipeline, &target, safes_after);
    cast(&pipeline, after);
    wait_until_counted(&pipeline, &target, VOTERS + SAFES);
    pipeline.spawn(shards);
    pipeline.wait_until_ready(shards);
    endpoints_that_differ_over_a_wallet_are_told(&pipeline, &target, &endpoints, fickle);
    let expected = expected_scores();
    for url in pipeline.reads() {
        let proposal = get_json(&of(&url, &target));
        assert_eq!(proposal["tally"]["scores"], expected, "{proposal}");
        assert_eq!(proposal["tally"]["rejected"], json!({ "contractRefused": SAFES }), "{proposal}");
        assert!(proposal["snapshot"]["waitingFor"].is_null(), "{proposal}");
    }

    final_result_is(&pipeline, &target, &expected);
    pipeline.assert_recount_agrees(&target);
    let archive = format!("{}/archive", of(&pipeline.reads()[0], &target));
    let audited = |more: &[&str]| -> Value {
        let output = succeed(pnyx().args(["audit", "--json", &archive]).args(more));
        serde_json::from_str(&output).unwrap()
    };
    for (more, power) in [(&[][..], "recorded"), (&["--chain", flag.as_str()][..], "chains")] {
        let report = audited(more);
        assert_eq!((&report["valid"], &report["power"]), (&json!(true), &json!(power)), "{report}");
        assert_eq!(report["ballots"], VOTERS + SAFES + 1, "{report}");
        assert_eq!(report["contractSignatures"], json!({ "asked": 2 * SAFES + 1, "evidence": power }), "{report}");
    }
    pipeline.assert_nobody_ended();
}

/// The example of the README, open now.
fn write_example(pipeline: &Pipeline) -> PathBuf {
    let Window { opens_at, closes_at } = Window::around_now(60, OPEN_FOR_S);
    let text = fs::read_to_string(example_path()).unwrap();
    let lines = text.lines().map(|line| match line.trim_start().split_once(':').map(|(key, _)| key) {
        Some("opensAt") => format!("    opensAt: \"{opens_at}\""),
        Some("closesAt") => format!("    closesAt: \"{closes_at}\""),
        _ => line.to_owned(),
    });
    let file = pipeline.folder().join(format!("{PROPOSAL}.yaml"));
    fs::write(&file, lines.collect::<Vec<_>>().join("\n")).unwrap();
    file
}

/// Every third votes against.
const fn choice_of(number: u64) -> u8 {
    if number.is_multiple_of(3) { 2 } else { 1 }
}

fn expected_scores() -> Value {
    let score = |choice: u8| (1..=VOTERS).filter(|number| choice_of(*number) == choice).sum::<u64>().to_string();
    let first: u64 = (1..=VOTERS).filter(|number| choice_of(*number) == 1).sum();
    json!([(first + SAFES * SAFE_TOKENS + FICKLE_TOKENS).to_string(), score(2), score(3)])
}

fn owner() -> SigningKey {
    SigningKey::from_bytes([1; 32]).unwrap()
}

fn make_safes(chain: &Chain) -> Vec<Safe> {
    let owner = Address::from(*owner().address().as_bytes());
    let contracts = SafeContracts::deploy(&chain.evm).unwrap();
    let safes = (0..SAFES).map(|salt| contracts.make(&chain.evm, &[owner], 1, salt).unwrap());
    let safes: Vec<Safe> = safes.collect();
    for safe in &safes {
        chain.mint(safe.address, whole(SAFE_TOKENS));
    }
    safes
}

fn make_fickle(chain: &Chain) -> Address {
    let arguments = [OddWallet::AcceptsWithoutMiner.into(), Address::ZERO.into()];
    let fickle = chain.evm.deploy(chain.contracts.get("OddWallet"), &arguments).unwrap();
    chain.mint(fickle, whole(FICKLE_TOKENS));
    fickle
}

/// The tallies have the endpoints for themselves: they are told of what the verifiers meet because they ask as well.
fn endpoints_that_differ_over_a_wallet_are_told(
    pipeline: &Pipeline,
    target: &Target,
    endpoints: &[FaultyEndpoint; 2],
    fickle: Address,
) {
    endpoints[0].set(&[Fault::Miner(Address::ZERO)]).unwrap();
    endpoints[1].set(&[Fault::Miner(Address::repeat_byte(7))]).unwrap();
    post(pipeline, claimed(target, fickle, now_s(), &|_| vec![7; 65]));
    let began = Instant::now();
    for url in pipeline.reads() {
        http::poll(&format!("the disagreement at {url}"), COUNTED_WAIT_MAX, || {
            let chain = http::try_json(&of(&url, target))?["snapshot"]["chains"][0].clone();
            let is_told = chain["reason"].as_str().is_some_and(|reason| {
                reason.starts_with("disagreement over a voter's contract: endpoint-1, endpoint-2")
            });
            (chain["status"] == "answering" && is_told).then_some(())
        });
    }
    let told = began.elapsed();
    println!("endpoints that differ over a wallet: told after {told:.1?}");
    assert!(told < TOLD_WITHIN, "{told:?}");
    endpoints[1].set(&[Fault::Miner(Address::ZERO)]).unwrap();
    wait_until_counted(pipeline, target, VOTERS + SAFES + 1);
}

/// A ballot of each Safe as its owner signs, and one a second older that is signed by nobody.
fn claim(pipeline: &Pipeline, target: &Target, safes: &[Safe]) {
    for safe in safes {
        let owner = owner();
        let sign = |hash: B256| owner.sign_digest(hash.0);
        let signed = |digest: B256| safe.sign(digest, &[(Address::from(*owner.address().as_bytes()), &sign)]);
        post(pipeline, claimed(target, safe.address, now_s(), &signed));
        post(pipeline, claimed(target, safe.address, now_s() - 1, &|_| vec![7; 65]));
    }
}

/// A ballot for the first choice in an account's name.
fn claimed(target: &Target, account: Address, signed_at_s: u64, sign: &dyn Fn(B256) -> Vec<u8>) -> Vec<u8> {
    let voter = Voter::new(account.0.0);
    let unsigned =
        ballot::compose(voter, &target.space, signed_at_s, target.id.parse().unwrap(), "1", "", "test").unwrap();
    unsigned.body_with(&sign(B256::from(*unsigned.digest().as_bytes())))
}

fn holder(ballot: &Ballot) -> Address {
    ballot.voter.parse().unwrap()
}

fn of(reads: &str, target: &Target) -> String {
    format!("{reads}/v1/proposals/{}", target.id)
}

fn cast(pipeline: &Pipeline, ballots: &[Ballot]) {
    for ballot in ballots {
        let accepted = post(pipeline, ballot.body.clone());
        assert_eq!(accepted.json()["id"], ballot.digest.as_str());
    }
}

fn post(pipeline: &Pipeline, body: Vec<u8>) -> http::Answer {
    http::poll("acceptance of a ballot", COUNTED_WAIT_MAX, || {
        http::post(pipeline.edge(), body.clone()).filter(http::Answer::is_success)
    })
}

fn they_wait_and_why_is_told(pipeline: &Pipeline, target: &Target, ballots: usize) {
    for url in pipeline.reads() {
        let progress = get_json(&format!("{}/progress", of(&url, target)));
        assert_eq!((&progress["accepted"], &progress["verified"]), (&json!(ballots), &json!(0)), "{progress}");
        let snapshot = http::poll("a look at the chain", COUNTED_WAIT_MAX, || {
            let snapshot = http::try_json(&of(&url, target))?["snapshot"].clone();
            (snapshot["chains"][0]["status"] == "answering").then_some(snapshot)
        });
        assert!(snapshot["pins"].is_null(), "{snapshot}");
        let waiting_for = snapshot["waitingFor"].as_str().unwrap();
        assert!(waiting_for.contains("the last block of chain 31337"), "{snapshot}");
    }
}

fn wait_until_counted(pipeline: &Pipeline, target: &Target, ballots: u64) {
    for url in pipeline.reads() {
        http::poll(&format!("counting of all ballots at {url}"), COUNTED_WAIT_MAX, || {
            http::try_json(&of(&url, target)).filter(|proposal| proposal["tally"]["ballots"] == ballots)
        });
    }
}

fn final_result_is(pipeline: &Pipeline, target: &Target, expected: &Value) {
    for url in pipeline.reads() {
        let result = http::poll(&format!("the result at {url}"), RESULT_WAIT_MAX, || {
            let proposal = http::try_json(&of(&url, target))?;
            assert_ne!(proposal["phase"], "disputed", "{proposal}");
            (proposal["phase"] == "final").then(|| get_json(&format!("{}/result", of(&url, target))))
        });
        assert_eq!(&result["core"]["scores"], expected, "{result}");
        assert_eq!(result["provenance"]["chains"]["pins"]["chains"][0]["network"], "31337", "{result}");
    }
}

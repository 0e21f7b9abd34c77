//! Wallets that are contracts: each gets the documented verdict, in the tally as in the recount and in an audit that
//! asks the chain again; and a flood of garbage that names one of them holds nobody back.

use alloy_primitives::{Address, B256, U256};
use pnyx_core::{ballot, id::Voter, signing::SigningKey};
use pnyx_testbed::evm::{Argument, Fault, FaultyEndpoint, OddWallet, PlannedSafe, Safe, SafeContracts, SafeOwner};
use serde_json::{Value, json};
use std::time::Duration;

use crate::{
    common::{
        Dev,
        ballots::{Target, now_s},
        get, get_json, http, pnyx, succeed,
    },
    rig::{COUNTED_WAIT_MAX, Chain, PROPOSAL, await_chain, await_counted, example, target, url, vote, whole},
};

/// The window. All ballots have to fall into it.
const OPEN_FOR: &str = "75s";

/// How long the result may take: the rest of the window, grace, drain and recount, on a busy machine.
const RESULT_WAIT_MAX: Duration = Duration::from_secs(240);

/// Ballots of the flood: several batches of one account.
const FLOOD: u64 = 300;

/// What every account of a case holds but the one that holds nothing.
const TOKENS: u64 = 10;

/// What ERC-6492 wrappers end with.
const WRAPPED: [u8; 2] = [0x64, 0x92];

fn key(number: u8) -> SigningKey {
    SigningKey::from_bytes([number; 32]).unwrap()
}

fn address_of(key: &SigningKey) -> Address {
    Address::from(*key.address().as_bytes())
}

type Sign<'a> = Box<dyn Fn(B256) -> Vec<u8> + 'a>;

/// An account, how its ballot is signed, and what is to become of it.
struct Case<'a> {
    name: &'static str,
    account: Address,
    sign: Sign<'a>,
    becomes: Becomes,
}

/// What becomes of a ballot.
#[derive(Clone, Copy)]
enum Becomes {
    /// It stands, its signature proven in this way.
    Standing(&'static str),
    /// It is rejected for this.
    Rejected(&'static str),
}

use Becomes::{Rejected, Standing};

fn by_key<'a>(key: SigningKey) -> Sign<'a> {
    Box::new(move |digest| key.sign_digest(digest.0).to_vec())
}

fn garbage<'a>(len: usize) -> Sign<'a> {
    Box::new(move |_| vec![7; len])
}

/// As the owners of a Safe sign.
fn by_owners<'a>(safe: Safe, numbers: &'a [u8]) -> Sign<'a> {
    Box::new(move |digest| {
        let keys: Vec<SigningKey> = numbers.iter().map(|number| key(*number)).collect();
        let signers: Vec<_> = keys.iter().map(|key| (address_of(key), |hash: B256| key.sign_digest(hash.0))).collect();
        let owners: Vec<SafeOwner<'_>> = signers.iter().map(|(owner, sign)| (*owner, sign as _)).collect();
        safe.sign(digest, &owners)
    })
}

/// A signature with what makes its account.
fn wrapped(factory: Address, calldata: &[u8], signature: &[u8]) -> Vec<u8> {
    let word = |number: usize| U256::from(number).to_be_bytes::<32>();
    let mut bytes = factory.into_word().to_vec();
    bytes.extend(word(3 * 32));
    bytes.extend(word(4 * 32 + calldata.len().next_multiple_of(32)));
    for part in [calldata, signature] {
        bytes.extend(word(part.len()));
        bytes.extend(part);
        bytes.resize(bytes.len().next_multiple_of(32), 0);
    }
    bytes.extend(WRAPPED.repeat(16));
    bytes
}

impl Chain {
    fn deploy(&self, name: &str, arguments: &[Argument]) -> Address {
        self.evm.deploy(self.contracts.get(name), arguments).unwrap()
    }

    fn odd_wallet(&self, odd: OddWallet) -> Address {
        self.deploy("OddWallet", &[odd.into(), Address::ZERO.into()])
    }
}

/// By a key in 64 bytes (EIP-2098).
fn by_key_in_short<'a>(key: SigningKey) -> Sign<'a> {
    Box::new(move |digest| {
        let signature = key.sign_digest(digest.0);
        let mut compact = signature[..64].to_vec();
        compact[32] |= if signature[64] == 28 { 0x80 } else { 0 };
        compact
    })
}

/// Two Safes of wallet 1, which wallet 2 gets once voting has begun.
fn safes_to_change(chain: &Chain, safes: &SafeContracts) -> [Safe; 2] {
    [4, 5].map(|salt| safes.make(&chain.evm, &[address_of(&key(1))], 1, salt).unwrap())
}

/// Wallets 1 and 2 own the Safes, wallet 1 the others.
fn cases<'a>(chain: &'a Chain, safes: &SafeContracts, changing: &[Safe; 2]) -> Vec<Case<'a>> {
    let owner = address_of(&key(1));
    let owners = [owner, address_of(&key(2))];
    let [safe, short] = [1, 2].map(|salt| safes.make(&chain.evm, &owners, 2, salt).unwrap());
    let PlannedSafe { safe: planned, factory, calldata } = safes.plan(&chain.evm, &owners, 2, 3);
    let unmade: Sign<'_> = {
        let sign = by_owners(planned, &[1, 2]);
        Box::new(move |digest| wrapped(factory, &calldata, &sign(digest)))
    };
    let old = chain.deploy("OldWallet", &[owner.into()]);
    let delegate = chain.deploy("DelegateWallet", &[]);
    let [delegating, delegating_too] = [3, 4].map(|number| address_of(&key(number)));
    for account in [delegating, delegating_too] {
        chain.evm.delegate(account, delegate).unwrap();
    }
    let set_other = chain.contracts.get("DelegateWallet").calldata("setOther(address)", &[owner.into()]);
    chain.evm.send(delegating_too, &set_other).unwrap();
    let case = |name, account, sign, becomes| Case { name, account, sign, becomes };
    vec![
        case("safe", safe.address, by_owners(safe, &[1, 2]), Standing("eip1271")),
        case("safe, one signature short", short.address, by_owners(short, &[1]), Rejected("contractRefused")),
        case("safe that is not made", planned.address, unmade, Standing("eip6492")),
        case("old wallet", old, by_key(key(1)), Standing("eip1271Legacy")),
        case("delegating account, own key", delegating, by_key(key(3)), Standing("key")),
        case("delegating account, its delegate's rule", delegating_too, by_key(key(1)), Standing("eip1271")),
        case("reverting", chain.odd_wallet(OddWallet::Reverts), garbage(65), Rejected("contractRefused")),
        case("burner", chain.odd_wallet(OddWallet::BurnsAllGas), garbage(65), Rejected("contractRefused")),
        case(
            "answering a megabyte",
            chain.odd_wallet(OddWallet::ReturnsMegabyte),
            garbage(65),
            Rejected("contractRefused"),
        ),
        case("owner changed behind the pin", changing[0].address, by_owners(changing[0], &[1]), Standing("eip1271")),
        case("new owner", changing[1].address, by_owners(changing[1], &[2]), Rejected("contractRefused")),
        case("plain account, own key", address_of(&key(7)), by_key(key(7)), Standing("key")),
        case("plain account, own key in short", address_of(&key(8)), by_key_in_short(key(8)), Standing("key")),
        case("plain account", address_of(&key(5)), garbage(130), Rejected("unsupportedSignature")),
        case("nobody", address_of(&key(6)), garbage(130), Rejected("signerWithoutPower")),
    ]
}

/// The body of a ballot for the first choice.
fn body(target: &Target, account: Address, signed_at_s: u64, sign: &Sign<'_>) -> Vec<u8> {
    let proposal = target.id.parse().unwrap();
    let voter = Voter::new(account.0.0);
    let unsigned = ballot::compose(voter, &target.space, signed_at_s, proposal, "1", "", "pnyx-test").unwrap();
    unsigned.body_with(&sign(B256::from(*unsigned.digest().as_bytes())))
}

fn post(dev: &Dev, body: Vec<u8>) {
    let answer = http::post(&dev.url, body).unwrap();
    assert!(answer.is_success(), "{answer:?}");
}

fn of_voter(dev: &Dev, account: Address) -> Value {
    get_json(&url(dev, &format!("/voters/{account}")))
}

#[test]
fn each_wallet_gets_its_verdict_and_the_recount_agrees() {
    let chain = Chain::start();
    let safes = SafeContracts::deploy(&chain.evm).unwrap();
    let changing = safes_to_change(&chain, &safes);
    let cases = cases(&chain, &safes, &changing);
    for case in cases.iter().filter(|case| case.name != "nobody") {
        chain.mint(case.account, whole(TOKENS));
    }
    let directory = tempfile::tempdir().unwrap();
    let dev = chain.dev(&directory.path().join("data"), &chain.evm.url(), OPEN_FOR);
    let target = target(&dev);
    chain.pass(target.opens_at_s);
    for safe in changing {
        safes.replace_owner(&chain.evm, safe, &[address_of(&key(1))], address_of(&key(2))).unwrap();
    }
    for case in &cases {
        post(&dev, body(&target, case.account, now_s(), &case.sign));
    }
    await_counted(&dev, cases.len() as u64);
    verdicts_are_explained(&dev, &cases);
    the_result_has_what_contracts_said(&chain, &dev, &cases);
    assert!(dev.interrupt(), "Ctrl-C must end with exit code 0");
}

fn verdicts_are_explained(dev: &Dev, cases: &[Case<'_>]) {
    for case in cases {
        let voter = of_voter(dev, case.account);
        match case.becomes {
            Standing(check) => {
                assert_eq!(voter["signature"]["check"], check, "{}: {voter}", case.name);
                assert_eq!(voter["signature"]["block"].is_null(), check == "key", "{}: {voter}", case.name);
                assert_eq!(voter["ballot"]["power"], TOKENS.to_string(), "{}: {voter}", case.name);
            }
            Rejected(reason) => {
                assert!(voter["ballot"].is_null(), "{}: {voter}", case.name);
                assert_eq!(voter["rejections"][0]["reason"], reason, "{}: {voter}", case.name);
            }
        }
    }
    let mut explain = pnyx();
    explain.args(["explain", "ballot", "--proposal", PROPOSAL, "--url", &dev.url]);
    let said = succeed(explain.args(["--voter", &cases[0].account.to_string()]));
    assert!(said.contains("by the account's contract, asked on chain 31337 at block"), "{said}");
}

fn the_result_has_what_contracts_said(chain: &Chain, dev: &Dev, cases: &[Case<'_>]) {
    http::poll("the result", RESULT_WAIT_MAX, || {
        let proposal = http::try_json(&url(dev, ""))?;
        assert_ne!(proposal["phase"], "disputed", "{proposal}");
        (proposal["phase"] == "final").then_some(())
    });
    let result = get_json(&url(dev, "/result"));
    let standing = cases.iter().filter(|case| matches!(case.becomes, Standing(_))).count() as u64;
    assert_eq!(result["core"]["ballots"], standing, "{result}");
    assert_eq!(result["core"]["totalPower"], (standing * TOKENS).to_string(), "{result}");
    let provenance = &result["provenance"];
    let rejected = json!({ "unsupportedSignature": 1, "signerWithoutPower": 1, "contractRefused": 5 });
    assert_eq!(provenance["rejected"], rejected, "{provenance}");
    assert!(provenance["chains"]["signaturesRoot"].is_string(), "{provenance}");

    let archive = get(&url(dev, "/archive"));
    let kinds = |kind: &str| archive.lines().filter(|line| line.contains(&format!("\"kind\":\"{kind}\""))).count();
    let by_keys = cases.iter().filter(|case| matches!(case.becomes, Standing("key"))).count();
    let asked = cases.len() - by_keys - 1;
    assert_eq!((kinds("power"), kinds("contractSignature")), (cases.len(), asked));
    let audited = succeed(pnyx().args(["audit", &url(dev, "/archive")]));
    assert!(audited.contains("VALID in") && audited.contains("as the archive has it from their chain"), "{audited}");
    let flag = chain.flag(&chain.evm.url());
    let asked_again = succeed(pnyx().args(["audit", &url(dev, "/archive"), "--json", "--chain", &flag]));
    let report: Value = serde_json::from_str(&asked_again).unwrap();
    assert_eq!(report["contractSignatures"], json!({ "asked": asked, "evidence": "chains" }), "{report}");
}

#[test]
fn a_flood_that_names_a_burner_holds_nobody_back() {
    let chain = Chain::start();
    let safes = SafeContracts::deploy(&chain.evm).unwrap();
    let safe = safes.make(&chain.evm, &[address_of(&key(1))], 1, 1).unwrap();
    let burner = chain.odd_wallet(OddWallet::BurnsAllGas);
    for account in [safe.address, burner] {
        chain.mint(account, whole(TOKENS));
    }
    let directory = tempfile::tempdir().unwrap();
    let dev = chain.dev(&directory.path().join("data"), &chain.evm.url(), "30m");
    let target = target(&dev);
    chain.pass(target.opens_at_s);
    let signed_at_s = now_s();
    for number in 0..FLOOD {
        post(&dev, body(&target, burner, signed_at_s - number, &garbage(65)));
    }
    post(&dev, body(&target, safe.address, signed_at_s, &by_owners(safe, &[1])));
    for wallet in 1..=5 {
        vote(&dev, directory.path(), wallet, "For");
    }
    http::poll("ballots that others than the burner sent", COUNTED_WAIT_MAX, || {
        let tally = http::try_json(&url(&dev, ""))?["tally"].clone();
        (tally["ballots"] == 6).then_some(())
    });
    await_counted(&dev, FLOOD + 6);
    let tally = get_json(&url(&dev, ""))["tally"].clone();
    assert_eq!(tally["rejected"], json!({ "contractRefused": FLOOD }), "{tally}");
    assert_eq!(tally["scores"][0], "2010", "200, 300, 400, 500, 600 and the Safe's 10: {tally}");
    assert_eq!(http::metric(&dev.url, "pnyx_verifier_deferred_total"), Some(FLOOD as f64 + 1.0));
    http::poll("nothing that waits for a contract", COUNTED_WAIT_MAX, || {
        http::metric(&dev.url, "pnyx_verifier_deferred_lag_records").filter(|records| *records == 0.0)
    });
}

/// A wallet may look at what nodes make up for a call, so that honest endpoints differ about it. Its ballot waits, and why is
/// told; nobody else waits, and no endpoint is left out.
#[test]
fn endpoints_that_differ_over_a_wallet_hold_nobody_else_back() {
    let chain = Chain::start();
    let endpoints = [(); 2].map(|()| FaultyEndpoint::start(&chain.evm).unwrap());
    let fickle = chain.odd_wallet(OddWallet::AcceptsWithoutMiner);
    chain.mint(fickle, whole(TOKENS));
    let directory = tempfile::tempdir().unwrap();
    let flags = endpoints.each_ref().map(|endpoint| chain.flag(&endpoint.url()));
    let file = example();
    let mut arguments = vec![file.as_str(), "--open-for", "30m", "--chain-agreement", "2"];
    flags.iter().for_each(|flag| arguments.extend(["--chain", flag]));
    let dev = Dev::start(&directory.path().join("data"), None, &arguments);
    let target = target(&dev);
    chain.pass(target.opens_at_s);
    let miner = |index: usize, byte| endpoints[index].set(&[Fault::Miner(Address::repeat_byte(byte))]).unwrap();
    miner(0, 0);
    miner(1, 7);
    post(&dev, body(&target, fickle, now_s(), &garbage(65)));
    let said = "disagreement over a voter's contract: endpoint-1, endpoint-2 contradict each other";
    await_chain(&dev, "answering", said);
    vote(&dev, directory.path(), 1, "For");
    http::poll("a plain ballot", COUNTED_WAIT_MAX, || {
        (http::try_json(&url(&dev, ""))?["tally"]["ballots"] == 1).then_some(())
    });
    assert!(http::metric(&dev.url, "pnyx_chain_signer_contradictions_total").is_some_and(|times| times > 0.0));
    assert_eq!(get_json(&url(&dev, "/progress"))["lag"], 1, "the wallet's ballot waits");
    miner(1, 0);
    await_counted(&dev, 2);
    assert_eq!(get_json(&url(&dev, ""))["tally"]["scores"][0], "210", "200 and the wallet's 10");
}

//! Signatures of accounts that contracts speak for: what each contract says at the pin is a fact, twice in a row, alone
//! and among others.

use alloy_primitives::{Address, B256, U256, address};
use pnyx_chains::{CODE_CACHE_BYTES_DEFAULT, ChainError, ChainSignatures, Chains, SignatureQuestion};
use pnyx_core::{
    chain::{Pin, Pins},
    id::{Digest, ProposalId},
    signature_check::{
        ContractCheck,
        SignatureRuling::{self, Accepted, NoContract, Refused},
    },
    signing::SigningKey,
};
use pnyx_testbed::evm::{
    Argument, EvmOptions, Fault, FaultyEndpoint, Lie, OddWallet, PlannedSafe, Safe, SafeContracts, SafeOwner,
};

use crate::rig::{Rig, account, chains, only, voter};

const DIGEST: [u8; 32] = [0xd1; 32];

/// Who asks contracts about signatures: a part of the rules.
const CALLER: Address = address!("f4d9599afd90b5038b18e3b551bc21a97ed21c37");

/// Length of its code, another part: the same whoever else is asked, for contracts can look at it.
const CALLERS_CODE_BYTES: u8 = 120;

/// What ERC-6492 wrappers end with.
const WRAPPED: [u8; 32] = [
    0x64, 0x92, 0x64, 0x92, 0x64, 0x92, 0x64, 0x92, 0x64, 0x92, 0x64, 0x92, 0x64, 0x92, 0x64, 0x92, 0x64, 0x92, 0x64,
    0x92, 0x64, 0x92, 0x64, 0x92, 0x64, 0x92, 0x64, 0x92, 0x64, 0x92, 0x64, 0x92,
];

/// A signature to ask about, and what should be said of it.
struct Case {
    name: &'static str,
    signer: Address,
    signature: Vec<u8>,
    ruling: SignatureRuling,
}

fn case(name: &'static str, signer: Address, signature: Vec<u8>, ruling: SignatureRuling) -> Case {
    Case { name, signer, signature, ruling }
}

fn key(number: u8) -> SigningKey {
    SigningKey::from_bytes([number; 32]).unwrap()
}

fn address_of(key: &SigningKey) -> Address {
    Address::from(*key.address().as_bytes())
}

/// The signature of the digest by a key, as a plain account would give it.
fn signed(key: &SigningKey) -> Vec<u8> {
    key.sign_digest(DIGEST).to_vec()
}

/// What owners sign for a Safe.
fn signed_by(safe: Safe, keys: &[&SigningKey]) -> Vec<u8> {
    let signers: Vec<_> = keys.iter().map(|key| (address_of(key), |hash: B256| key.sign_digest(hash.0))).collect();
    let owners: Vec<SafeOwner<'_>> = signers.iter().map(|(owner, sign)| (*owner, sign as _)).collect();
    safe.sign(B256::from(DIGEST), &owners)
}

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
    bytes.extend(WRAPPED);
    bytes
}

async fn rulings(chains: &Chains, pin: &Pin, cases: &[Case]) -> Vec<SignatureRuling> {
    ask(chains, pin, cases).await.unwrap()
}

async fn ask(chains: &Chains, pin: &Pin, cases: &[Case]) -> Result<Vec<SignatureRuling>, ChainError> {
    let questions: Vec<_> = cases.iter().map(question).collect();
    only(chains).signatures(pin, &questions).await
}

fn question(case: &Case) -> SignatureQuestion<'_> {
    SignatureQuestion { signer: voter(case.signer), digest: Digest::new(DIGEST), signature: &case.signature }
}

/// Each alone and all together, twice, with and without a cache: always what is expected.
async fn all_are_right(chains: &Chains, pin: &Pin, cases: &[Case]) {
    let pins = Pins::new(ProposalId::new([1; 32]), [*pin]).unwrap();
    let cached = ChainSignatures::new(chains, pin.chain, &pins).unwrap().cached(chains, CODE_CACHE_BYTES_DEFAULT);
    assert_eq!(cached.pin(), pin);
    let expected: Vec<_> = cases.iter().map(|case| (case.name, case.ruling)).collect();
    let named = |rulings: Vec<SignatureRuling>| -> Vec<_> {
        cases.iter().zip(rulings).map(|(case, ruling)| (case.name, ruling)).collect()
    };
    let questions: Vec<_> = cases.iter().map(question).collect();
    for _ in 0..2 {
        assert_eq!(named(rulings(chains, pin, cases).await), expected);
        assert_eq!(named(cached.rulings(&questions).await.unwrap()), expected);
        for case in cases {
            assert_eq!(rulings(chains, pin, std::slice::from_ref(case)).await, [case.ruling], "{} alone", case.name);
        }
    }
}

fn owner_wallet(rig: &Rig, name: &str, key: &SigningKey) -> Address {
    rig.evm.deploy(rig.contracts.get(name), &[address_of(key).into()]).unwrap()
}

fn odd_wallet(rig: &Rig, odd: OddWallet, neighbour: Address) -> Address {
    rig.evm.deploy(rig.contracts.get("OddWallet"), &[odd.into(), neighbour.into()]).unwrap()
}

const EIP_1271: SignatureRuling = Accepted(ContractCheck::Eip1271);
const LEGACY: SignatureRuling = Accepted(ContractCheck::Eip1271Legacy);
const EIP_6492: SignatureRuling = Accepted(ContractCheck::Eip6492);

#[tokio::test(flavor = "multi_thread")]
async fn wallets_accept_their_owners_signatures_and_no_others() {
    let rig = Rig::start();
    let (one, two, other) = (key(1), key(2), key(3));
    let safes = SafeContracts::deploy(&rig.evm).unwrap();
    let owners = [address_of(&one), address_of(&two)];
    let [safe, approving] = [1, 2].map(|salt| safes.make(&rig.evm, &owners, 2, salt).unwrap());
    safes.approve(&rig.evm, approving, &owners, B256::from(DIGEST)).unwrap();
    let owned = owner_wallet(&rig, "OwnerWallet", &one);
    let old = owner_wallet(&rig, "OldWallet", &one);
    let delegate = rig.evm.deploy(rig.contracts.get("DelegateWallet"), &[]).unwrap();
    rig.evm.delegate(owners[1], delegate).unwrap();
    rig.send("DelegateWallet", owners[1], "setOther(address)", &[owners[0].into()]);
    let token = rig.token(18);
    let pin = rig.pin_head();
    let mut swapped = signed_by(safe, &[&one, &two]);
    swapped.rotate_left(65);
    let cases = [
        case("safe", safe.address, signed_by(safe, &[&one, &two]), EIP_1271),
        case("safe, one signature short", safe.address, signed_by(safe, &[&one]), Refused),
        case("safe, another's signature", safe.address, signed_by(safe, &[&one, &other]), Refused),
        case("safe, owners in the wrong order", safe.address, swapped, Refused),
        case("safe, the owners' own signatures", safe.address, [signed(&one), signed(&two)].concat(), Refused),
        case("safe, another safe's", safe.address, signed_by(approving, &[&one, &two]), Refused),
        case("safe, not approved", safe.address, vec![], Refused),
        case("safe, approved on the chain", approving.address, vec![], EIP_1271),
        case("wallet", owned, signed(&one), EIP_1271),
        case("wallet, another's", owned, signed(&other), Refused),
        case("wallet, none", owned, vec![], Refused),
        case("wallet, long", owned, [signed(&one), vec![0; 8_000]].concat(), Refused),
        case("old wallet", old, signed(&one), LEGACY),
        case("old wallet, another's", old, signed(&other), Refused),
        case("delegating account, own key", owners[1], signed(&two), EIP_1271),
        case("delegating account, its delegate's rule", owners[1], signed(&one), EIP_1271),
        case("delegating account, another's", owners[1], signed(&other), Refused),
        case("plain account", owners[0], signed(&one), NoContract),
        case("plain account, nothing", account(1), vec![], NoContract),
        case("contract that is no wallet", token, signed(&one), Refused),
        case("wallet of a later block", owner_wallet(&rig, "OwnerWallet", &one), signed(&one), NoContract),
    ];
    all_are_right(&rig.chains(), &pin, &cases).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_answers_refuse_and_harm_nobody() {
    let rig = Rig::start();
    let one = key(1);
    let owned = owner_wallet(&rig, "OwnerWallet", &one);
    let kinds = [
        ("yes", OddWallet::Not, EIP_1271),
        ("reverts", OddWallet::Reverts, Refused),
        ("reverts with magic", OddWallet::RevertsWithMagic, Refused),
        ("reverts with a megabyte", OddWallet::RevertsWithMegabyte, Refused),
        ("nothing", OddWallet::ReturnsNothing, Refused),
        ("4 bytes", OddWallet::Returns4Bytes, Refused),
        ("64 bytes", OddWallet::Returns64Bytes, Refused),
        ("more than magic", OddWallet::ReturnsMoreThanMagic, Refused),
        ("old magic to the new question", OddWallet::ReturnsOldMagic, Refused),
        ("a megabyte", OddWallet::ReturnsMegabyte, Refused),
        ("burns all gas", OddWallet::BurnsAllGas, Refused),
        ("hits invalid", OddWallet::HitsInvalid, Refused),
        ("takes gas", OddWallet::TakesGas, EIP_1271),
        // By the two steps of the rule, however it is batched.
        ("with little gas", OddWallet::AcceptsWithLittleGas, EIP_1271),
        ("with much gas", OddWallet::AcceptsWithMuchGas, EIP_1271),
        // Others in the same batch, the neighbour among them, leave no trace.
        ("warm neighbour", OddWallet::AcceptsIfNeighbourIsWarm, Refused),
    ];
    let mut cases = vec![case("first", owned, signed(&one), EIP_1271)];
    for (name, odd, ruling) in kinds {
        cases.push(case(name, odd_wallet(&rig, odd, owned), vec![7; 65], ruling));
    }
    for odd in [OddWallet::AcceptsIfCallersCodeIsAsLong, OddWallet::AcceptsSlowlyIfCallersCodeIsAsLong] {
        let len = Address::with_last_byte(CALLERS_CODE_BYTES);
        cases.push(case("caller's code, in a batch and alone", odd_wallet(&rig, odd, len), vec![], EIP_1271));
    }
    cases.push(case("fixed caller", odd_wallet(&rig, OddWallet::AcceptsIfNeighbourAsks, CALLER), vec![], EIP_1271));
    cases.push(case("last", owned, signed(&one), EIP_1271));
    let pin = rig.pin_head();
    all_are_right(&rig.chains(), &pin, &cases).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pinned_block_decides() {
    let rig = Rig::start();
    let (one, two) = (key(1), key(2));
    let safes = SafeContracts::deploy(&rig.evm).unwrap();
    let owners = [address_of(&one)];
    let [safe, approving] = [1, 2].map(|salt| safes.make(&rig.evm, &owners, 1, salt).unwrap());
    let odd = odd_wallet(&rig, OddWallet::AcceptsInEvenBlocks, Address::ZERO);
    let before = rig.evm.head().unwrap();
    safes.replace_owner(&rig.evm, safe, &owners, address_of(&two)).unwrap();
    safes.approve(&rig.evm, approving, &owners, B256::from(DIGEST)).unwrap();
    let after = rig.evm.head().unwrap();
    rig.evm.finalize(after.number + 1).unwrap();
    let next = rig.evm.block(after.number + 1).unwrap().unwrap();
    let chains = rig.chains();
    for (block, is_before) in [(before, true), (after, false), (next, false)] {
        let [old, new] = if is_before { [EIP_1271, Refused] } else { [Refused, EIP_1271] };
        let even = if block.number % 2 == 0 { EIP_1271 } else { Refused };
        let cases = [
            case("old owner", safe.address, signed_by(safe, &[&one]), old),
            case("new owner", safe.address, signed_by(safe, &[&two]), new),
            case("approved on the chain", approving.address, vec![], new),
            case("by block", odd, vec![1], even),
        ];
        all_are_right(&chains, &rig.pin(block), &cases).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wallets_that_are_not_made_sign_by_a_wrapper() {
    let rig = Rig::start();
    let (one, two, other) = (key(1), key(2), key(3));
    let factory = rig.evm.deploy(rig.contracts.get("WalletFactory"), &[]).unwrap();
    let wallets = rig.contracts.get("WalletFactory");
    let make = |salt: u64| wallets.calldata("make(address,uint256)", &[address_of(&one).into(), salt.into()]);
    let wallet = |salt: u64| {
        let arguments: [Argument; 2] = [address_of(&one).into(), salt.into()];
        let word = rig.evm.call(factory, &wallets.calldata("addressOf(address,uint256)", &arguments)).unwrap();
        Address::from_slice(&word[12..])
    };
    let safes = SafeContracts::deploy(&rig.evm).unwrap();
    let PlannedSafe { safe, factory: safe_factory, calldata } =
        safes.plan(&rig.evm, &[address_of(&one), address_of(&two)], 2, 5);
    let (unmade, made) = (wallet(1), wallet(2));
    rig.evm.send(factory, &make(2)).unwrap();
    let closed = owner_wallet(&rig, "ClosedWallet", &one);
    let open = rig.contracts.get("ClosedWallet").calldata("open()", &[]);
    let burner = odd_wallet(&rig, OddWallet::BurnsAllGas, Address::ZERO);
    let pin = rig.pin_head();
    let sign = signed(&one);
    let mut cut = wrapped(factory, &make(1), &sign);
    cut.remove(40);
    let cases = [
        case("not made", unmade, wrapped(factory, &make(1), &sign), EIP_6492),
        case("not made, another's", unmade, wrapped(factory, &make(1), &signed(&other)), NoContract),
        case("not made, another is made", unmade, wrapped(factory, &make(3), &sign), NoContract),
        case("not made, without a wrapper", unmade, sign.clone(), NoContract),
        case("not made, broken", unmade, cut.clone(), NoContract),
        case("not made, no factory", unmade, wrapped(account(1), &make(1), &sign), NoContract),
        case("not made, a burner for a factory", unmade, wrapped(burner, &make(1), &sign), NoContract),
        case(
            "safe, not made",
            safe.address,
            wrapped(safe_factory, &calldata, &signed_by(safe, &[&one, &two])),
            EIP_6492,
        ),
        case("safe, short", safe.address, wrapped(safe_factory, &calldata, &signed_by(safe, &[&one])), NoContract),
        case("made", made, wrapped(factory, &make(2), &sign), EIP_6492),
        case("made, no wrapper", made, sign.clone(), EIP_1271),
        case("made, another's", made, wrapped(factory, &make(2), &signed(&other)), Refused),
        case("made, broken", made, cut, Refused),
        case("closed", closed, sign.clone(), Refused),
        case("closed, opened", closed, wrapped(closed, &open, &sign), EIP_6492),
        case("closed, opened by another's", closed, wrapped(closed, &open, &signed(&two)), Refused),
        case("closed, not opened", closed, wrapped(account(1), &[], &sign), Refused),
        case("plain account", address_of(&one), wrapped(factory, &make(1), &sign), NoContract),
    ];
    all_are_right(&rig.chains(), &pin, &cases).await;
    let head = rig.evm.head().unwrap();
    assert_eq!(rig.evm.rpc("eth_getCode", serde_json::json!([unmade, "latest"])).unwrap(), "0x", "{head:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_may_have_other_owners_on_another_chain() {
    let rigs = [31_337, 10].map(|chain| Rig::with(EvmOptions::new().chain_id(chain)));
    let keys = [key(1), key(2)];
    // The same deployer's first contract has the same address everywhere.
    let [here, there] = [0, 1].map(|index| owner_wallet(&rigs[index], "OwnerWallet", &keys[index]));
    assert_eq!(here, there);
    for (index, rig) in rigs.iter().enumerate() {
        let pin = rig.pin_head();
        let cases = [
            case("its owner", here, signed(&keys[index]), EIP_1271),
            case("the other chain's", here, signed(&keys[1 - index]), Refused),
        ];
        all_are_right(&rig.chains(), &pin, &cases).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_good_and_bad_signatures_are_told_apart() {
    let rig = Rig::start();
    let (one, two, other) = (key(1), key(2), key(3));
    let safes = SafeContracts::deploy(&rig.evm).unwrap();
    let made = safes.make_many(&rig.evm, &[address_of(&one), address_of(&two)], 2, 0..90).unwrap();
    let pin = rig.pin_head();
    let mut cases = Vec::new();
    for (index, safe) in made.into_iter().enumerate() {
        let (keys, ruling) = match index % 3 {
            0 => ([&one, &other], Refused),
            _ => ([&one, &two], EIP_1271),
        };
        let mut signature = signed_by(safe, &keys);
        // A Safe does not mind what follows; bytes bound a batch, too.
        signature.resize(if index % 10 == 0 { 8_000 } else { signature.len() }, 0);
        cases.push(case("safe", safe.address, signature, ruling));
        cases.push(case("plain account", account(index as u64), vec![1; 65], NoContract));
    }
    let chains = rig.chains();
    for _ in 0..2 {
        let expected: Vec<_> = cases.iter().map(|case| case.ruling).collect();
        assert_eq!(rulings(&chains, &pin, &cases).await, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_endpoints_fail_at_decides_nothing() {
    let rig = Rig::start();
    let one = key(1);
    let owned = owner_wallet(&rig, "OwnerWallet", &one);
    let greedy = odd_wallet(&rig, OddWallet::TakesGas, Address::ZERO);
    let pin = rig.pin_head();
    let cases = [case("good", owned, signed(&one), EIP_1271), case("bad", owned, signed(&key(2)), Refused)];
    let endpoints = [(); 3].map(|()| FaultyEndpoint::start(&rig.evm).unwrap());
    let configured = |count: usize, agreement| {
        chains([(rig.id(), endpoints.iter().take(count).map(FaultyEndpoint::url).collect(), agreement)])
    };
    for fault in [Fault::Dead, Fault::TooManyRequests { retry_after_s: 1 }, Fault::TruncatedJson, Fault::OtherHash] {
        endpoints[0].set(std::slice::from_ref(&fault)).unwrap();
        let error = ask(&configured(1, 1), &pin, &cases).await.unwrap_err();
        assert!(matches!(error, ChainError::Unavailable { .. }), "{fault:?}: {error}");
        endpoints[0].heal().unwrap();
    }
    // Less gas than the rules fix is an error for whoever needs it, and for nobody else.
    endpoints[0].set(&[Fault::GasCap(3_000_000)]).unwrap();
    let chains_of_one = configured(1, 1);
    assert_eq!(rulings(&chains_of_one, &pin, &cases[..1]).await, [EIP_1271]);
    let needy = [case("takes gas", greedy, vec![], EIP_1271)];
    let error = ask(&chains_of_one, &pin, &needy).await.unwrap_err();
    assert_eq!(error.failures()[0].failure.outcome(), "gas-clamped", "{error}");
    endpoints[0].heal().unwrap();
    assert_eq!(rulings(&chains_of_one, &pin, &needy).await, [EIP_1271]);
    // One that lies that the contract accepts everything, by another code: it is left out.
    let yes = U256::from(0x1626_ba7e_u64) << 224;
    endpoints[1].set(&[Fault::Lie(Lie::Constant { contract: owned, number: yes })]).unwrap();
    let chains_of_three = configured(3, 2);
    for _ in 0..6 {
        assert_eq!(rulings(&chains_of_three, &pin, &cases).await, [EIP_1271, Refused]);
    }
    let outcome = |index: usize| {
        let endpoint = &only(&chains_of_three).status().endpoints[index];
        endpoint.trouble.as_ref().map(|trouble| trouble.outcome())
    };
    assert_eq!([0, 1, 2].map(outcome), [None, Some("left-out"), None]);
    let error = ask(&configured(2, 2), &pin, &cases).await.unwrap_err();
    assert!(matches!(error, ChainError::Contradiction { .. }), "{error}");
}

/// Nodes make up parts of a block for a call. A contract that looks at them has honest endpoints contradict each other: whoever
/// could have one left out by that, or the chain stopped, would stop others' ballots.
#[tokio::test(flavor = "multi_thread")]
async fn endpoints_that_differ_about_a_voters_contract_are_outvoted_and_no_more() {
    let rig = Rig::start();
    let endpoints = [(); 3].map(|()| FaultyEndpoint::start(&rig.evm).unwrap());
    let fickle = odd_wallet(&rig, OddWallet::AcceptsWithoutMiner, Address::ZERO);
    let pin = rig.pin_head();
    let cases = [case("looks at the miner", fickle, vec![], EIP_1271)];
    endpoints[1].set(&[Fault::Miner(Address::repeat_byte(7))]).unwrap();
    for endpoint in [&endpoints[0], &endpoints[2]] {
        endpoint.set(&[Fault::Miner(Address::ZERO)]).unwrap();
    }
    let configured =
        |count: usize| chains([(rig.id(), endpoints.iter().take(count).map(FaultyEndpoint::url).collect(), 2)]);
    let of_three = configured(3);
    for _ in 0..6 {
        assert_eq!(rulings(&of_three, &pin, &cases).await, [EIP_1271]);
    }
    let of_two = configured(2);
    let error = ask(&of_two, &pin, &cases).await.unwrap_err();
    assert!(matches!(error, ChainError::Contradiction { .. }), "{error}");
    assert!(error.may_be_the_question());
    for (chains, differing) in [(of_three, &[][..]), (of_two, &["a", "b"])] {
        let status = only(&chains).status();
        assert_eq!(status.differing.iter().map(ToString::to_string).collect::<Vec<_>>(), differing);
        assert!(!status.is_stopped(), "{status:?}");
        assert!(status.endpoints.iter().all(|endpoint| endpoint.trouble.is_none()), "{status:?}");
    }
}

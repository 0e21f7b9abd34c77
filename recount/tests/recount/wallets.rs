//! Keys and wallets through the recount of a real chain: what its pinned block says decides, and nothing else does.

use std::{collections::BTreeSet, num::NonZeroUsize, sync::Arc};

use alloy_primitives::{Address, B256};
use pnyx_backbone::clock;
use pnyx_chains::Chains;
use pnyx_core::{
    chain::{Pin, Pins},
    id::RecordHash,
    merkle::{RootBuilder, record_leaf},
    proposal::Definition,
    rejection::Rejection,
    result::{Cut, CutPartition},
    signature_check::{ContractCheck, SignatureRuling},
};
use pnyx_recount::{Recounted, recount};
use pnyx_testbed::evm::{OddWallet, Safe, SafeContracts, SafeOwner};
use pnyx_verification::{Caching, Sources};

use crate::{
    chain::{Rig, address_of, by_key, chains, record_of, voter, with_signers},
    pipeline::{Platform, window_closing_in},
    sample::wallet,
};

const EIP_1271: SignatureRuling = SignatureRuling::Accepted(ContractCheck::Eip1271);

type Ballot<'a> = (Address, &'a dyn Fn(B256) -> Vec<u8>);

/// Counts a ballot of each for the first choice, of a proposal where contracts sign as of this pin.
async fn recounted(chains: &Chains, pin: Pin, ballots: &[Ballot<'_>]) -> Recounted {
    let accounts: Vec<Address> = ballots.iter().map(|(account, _)| *account).collect();
    let definition = with_signers(&accounts, &pin, window_closing_in(600_000));
    let platform = Platform::start().await;
    platform.propose(&definition).await;
    let mut root = RootBuilder::default();
    for (account, sign) in ballots {
        let record = record_of(&definition, *account, clock::now().0 / 1_000 - 5, sign);
        root.push(&record_leaf(RecordHash::of(&record)));
        platform.append(&definition, record).await;
    }
    let partition = CutPartition { end_offset: ballots.len() as u64, records_root: root.root() };
    let (proposal, partitions) = (definition.proposal().id(), vec![partition]);
    let cut = Cut { proposal, decided_at: clock::now(), partitions };
    let sources = sources(chains, pin, &definition);
    recount(&platform.log, &definition, &cut, &sources, NonZeroUsize::MIN, |_| {}).await.unwrap()
}

fn sources(chains: &Chains, pin: Pin, definition: &Definition) -> Sources {
    let pins = Arc::new(Pins::new(definition.proposal().id(), [pin]).unwrap());
    Sources::of(definition.proposal(), Some(&pins), chains, Caching::Bypassed).unwrap()
}

/// Whose ballots stand.
fn standing(recounted: &Recounted) -> BTreeSet<Address> {
    recounted.ballots.iter().map(|ballot| Address::from(*ballot.voter.as_bytes())).collect()
}

/// What the contract of an account said, if it was asked.
fn said(recounted: &Recounted, account: Address) -> Option<SignatureRuling> {
    recounted.signatures.iter().find(|said| said.voter == voter(account)).map(|said| said.ruling)
}

/// The same signature in 64 bytes (EIP-2098).
fn compact(signature: &[u8]) -> Vec<u8> {
    let mut compact = signature[..64].to_vec();
    compact[32] |= if signature[64] == 28 { 0x80 } else { 0 };
    compact
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_sign_where_contracts_may_and_odd_answers_refuse() {
    let rig = Rig::start(31_337);
    let [megabyte, by_block] =
        [OddWallet::ReturnsMegabyte, OddWallet::AcceptsInEvenBlocks].map(|it| rig.odd_wallet(it));
    let [plain, short] = [1, 2].map(|number| address_of(&wallet(number)));
    let anything = |_: B256| vec![7; 65];
    let in_short = |digest| compact(&by_key(2)(digest));
    let ballots: [Ballot<'_>; 4] =
        [(plain, &by_key(1)), (short, &in_short), (megabyte, &anything), (by_block, &anything)];
    let chains = chains([(rig.id(), rig.evm.url())]);
    for _ in 0..2 {
        let pin = rig.pin_head();
        let recounted = recounted(&chains, pin, &ballots).await;
        let accepts = pin.number.0.is_multiple_of(2);
        let by_contract = accepts.then_some(by_block);
        assert_eq!(standing(&recounted), [plain, short].into_iter().chain(by_contract).collect());
        assert_eq!(said(&recounted, megabyte), Some(SignatureRuling::Refused));
        assert_eq!(said(&recounted, by_block), Some(if accepts { EIP_1271 } else { SignatureRuling::Refused }));
        assert_eq!((said(&recounted, plain), said(&recounted, short)), (None, None), "keys need no chain");
        let refused = recounted.provenance.rejected[&Rejection::ContractRefused];
        assert_eq!(refused, if accepts { 1 } else { 2 });
        rig.evm.mine(1).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_signers_chain_says_who_owns_an_address() {
    let rigs = [31_337, 10].map(Rig::start);
    // The same deployer's first contract has the same address everywhere.
    let [here, there] = [0, 1].map(|index| {
        let owner = address_of(&wallet(if index == 0 { 1 } else { 2 }));
        rigs[index].deploy("OwnerWallet", &[owner.into()])
    });
    assert_eq!(here, there);
    let chains = chains([(rigs[0].id(), rigs[0].evm.url()), (rigs[1].id(), rigs[1].evm.url())]);
    for (rig, owner) in rigs.iter().zip([1, 2]) {
        let pin = rig.pin_head();
        for key in [1, 2] {
            let recounted = recounted(&chains, pin, &[(here, &by_key(key))]).await;
            let ruling = if key == owner { EIP_1271 } else { SignatureRuling::Refused };
            assert_eq!(said(&recounted, here), Some(ruling), "key {key} on chain {}", pin.chain);
            assert_eq!(standing(&recounted).contains(&here), key == owner);
        }
    }
}

/// As the only owner of a Safe signs.
fn for_safe(safe: Safe, number: u8) -> impl Fn(B256) -> Vec<u8> {
    move |digest| {
        let key = wallet(number);
        let sign = |hash: B256| key.sign_digest(hash.0);
        let owners: [SafeOwner<'_>; 1] = [(address_of(&key), &sign)];
        safe.sign(digest, &owners)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_owners_as_of_the_pin_sign_whoever_owns_it_later() {
    let rig = Rig::start(31_337);
    let owner = address_of(&wallet(1));
    let safes = SafeContracts::deploy(&rig.evm).unwrap();
    let safe = safes.make(&rig.evm, &[owner], 1, 1).unwrap();
    let before = rig.evm.head().unwrap();
    safes.replace_owner(&rig.evm, safe, &[owner], address_of(&wallet(2))).unwrap();
    let after = rig.pin_head();
    let chains = chains([(rig.id(), rig.evm.url())]);
    for (pin, owner) in [(rig.pin(before), 1), (after, 2)] {
        for key in [1, 2] {
            let recounted = recounted(&chains, pin, &[(safe.address, &for_safe(safe, key))]).await;
            let ruling = if key == owner { EIP_1271 } else { SignatureRuling::Refused };
            assert_eq!(said(&recounted, safe.address), Some(ruling), "key {key} at block {}", pin.number);
            assert_eq!(standing(&recounted).contains(&safe.address), key == owner);
        }
    }
}

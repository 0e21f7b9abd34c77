//! Golden encodings and ids, and that every field is part of the id.

use std::collections::BTreeSet;

use alloy_primitives::U256;
use expect_test::{ExpectFile, expect_file};
use pnyx_core::{
    chain::{BlockNumber, ContractAddress, SnapshotRule},
    proposal::{
        Abstentions, ChainRead, ChainStrategy, Decimals, Fraction, MethodName, Proposal, ProposalParts, Quorum,
        Strategy, TokenId, VotingSystem, canonical_encoding,
    },
    time::{TimestampMs, Window},
};

use super::support::{basic, chain, erc20, on_chains, power, whitelist, whitelist_weighted};

fn samples() -> Vec<ProposalParts> {
    let mut lists = basic();
    lists.name = "grants-round".to_owned();
    lists.title = "Fund the spring grants round 🗳".to_owned();
    lists.voting.quorum = Some(Quorum::Participation(power("1000.5")));
    lists.voting.approval_threshold = Fraction::from_millionths(666_667);
    lists.voting.abstentions = Abstentions::QuorumAndThreshold;
    lists.strategies =
        vec![whitelist(&[0xab, 0x01]), whitelist_weighted(&[(0xff, "1250.5"), (0x02, "0.000000000000000001")])];

    let mut ranked = basic();
    ranked.platform = "votes.example.org".to_owned();
    ranked.choices = ["Ana", "Ben", "Cleo", "Dan"].map(str::to_owned).to_vec();
    ranked.voting.system = VotingSystem::RankedChoice;
    (ranked.body, ranked.discussion, ranked.author) = <(String, String, String)>::default();
    ranked.clock_skew_s = 0;

    let mut rejection = basic();
    rejection.voting.quorum = Some(Quorum::Rejection(power("1")));
    rejection.voting.abstentions = Abstentions::Neither;
    vec![basic(), lists, ranked, rejection]
}

/// Every way to read a chain.
fn reads() -> [ChainRead; 6] {
    let address = ContractAddress::new([0xc0; 20]);
    let decimals = |number| Decimals::new(number).unwrap();
    [
        ChainRead::Erc20BalanceOf { address, decimals: decimals(6) },
        ChainRead::Erc20Votes { address, decimals: decimals(18) },
        ChainRead::Erc721 { address },
        ChainRead::Erc1155BalanceOf { address, token_id: TokenId(U256::from(7)), decimals: decimals(0) },
        ChainRead::EthBalance,
        ChainRead::ContractCall { address, method: MethodName::new("stakedOf").unwrap(), decimals: decimals(24) },
    ]
}

fn chain_samples() -> Vec<ProposalParts> {
    let mut multichain = on_chains();
    multichain.name = "all-reads".to_owned();
    let members = reads()
        .into_iter()
        .zip([1, 10].into_iter().cycle())
        .map(|(read, number)| ChainStrategy { network: chain(number), read });
    multichain.strategies = vec![Strategy::Multichain(members.collect())];
    vec![on_chains(), multichain]
}

#[test]
fn encodings_and_ids_stay() {
    check(samples(), &expect_file!["../golden/proposal-v1.txt"]);
    check(chain_samples(), &expect_file!["../golden/proposal-chains-v1.txt"]);
}

fn check(samples: Vec<ProposalParts>, golden: &ExpectFile) {
    let lines = samples.into_iter().map(|parts| {
        let encoding = alloy_primitives::hex::encode(canonical_encoding(&parts));
        let name = parts.name.clone();
        let proposal = Proposal::new(parts).unwrap();
        format!("{name} {}\n{} {encoding}\n", proposal.system().name(), proposal.id())
    });
    golden.assert_eq(&lines.collect::<String>());
}

#[test]
fn every_field_binds() {
    let changes: [fn(&mut ProposalParts); 23] = [
        |_| (),
        |parts| parts.platform.push('x'),
        |parts| parts.namespace.push('x'),
        |parts| parts.name.push('x'),
        |parts| parts.space.push('x'),
        |parts| parts.title.push('x'),
        |parts| parts.body.push('x'),
        |parts| parts.discussion.push('x'),
        |parts| parts.author.push('x'),
        |parts| parts.choices[1].push('x'),
        |parts| parts.choices.swap(0, 1),
        |parts| parts.choices.truncate(2),
        |parts| parts.voting.system = VotingSystem::SingleChoice,
        |parts| parts.voting.quorum = Some(Quorum::Participation(power("1"))),
        |parts| parts.voting.quorum = Some(Quorum::Rejection(power("1"))),
        |parts| parts.voting.approval_threshold = Fraction::from_millionths(1),
        |parts| parts.voting.abstentions = Abstentions::Neither,
        |parts| parts.window = Window::new(TimestampMs(1), parts.window.closes_at()).unwrap(),
        |parts| parts.window = Window::new(parts.window.opens_at(), TimestampMs(u64::MAX)).unwrap(),
        |parts| parts.strategies = vec![whitelist(&[1])],
        |parts| parts.strategies.push(whitelist(&[1])),
        |parts| parts.strategies = vec![whitelist_weighted(&[(1, "1")])],
        |parts| parts.clock_skew_s = 299,
    ];
    let ids: BTreeSet<_> = changes
        .iter()
        .map(|change| {
            let mut parts = basic();
            change(&mut parts);
            Proposal::new(parts).unwrap().id()
        })
        .collect();
    assert_eq!(ids.len(), changes.len());
}

#[test]
fn every_read_of_a_chain_binds() {
    let one = |read| {
        let mut parts = on_chains();
        parts.strategies = vec![Strategy::OnChain(ChainStrategy { network: chain(1), read })];
        parts.snapshots.remove(&chain(10));
        parts
    };
    let other = ContractAddress::new([0xc1; 20]);
    let (address, decimals) = (ContractAddress::new([0xc0; 20]), Decimals::NONE);
    let method = |name| MethodName::new(name).unwrap();
    let varied = [
        ChainRead::Erc20BalanceOf { address: other, decimals: Decimals::new(6).unwrap() },
        ChainRead::Erc20BalanceOf { address, decimals },
        ChainRead::Erc20Votes { address, decimals },
        ChainRead::Erc721 { address: other },
        ChainRead::Erc1155BalanceOf { address, token_id: TokenId(U256::from(8)), decimals },
        ChainRead::ContractCall { address, method: method("stakedOf"), decimals },
        ChainRead::ContractCall { address, method: method("stakedof"), decimals },
    ];
    let mut all: Vec<ProposalParts> = reads().into_iter().chain(varied).map(one).collect();
    all.push(on_chains());
    let changes: [fn(&mut ProposalParts); 6] = [
        |parts| parts.strategies[1] = Strategy::Multichain(vec![erc20(1), erc20(10)]),
        |parts| parts.strategies[1] = Strategy::OnChain(erc20(10)),
        |parts| *parts.snapshots.get_mut(&chain(1)).unwrap() = SnapshotRule::AtOrBefore(TimestampMs(1)),
        |parts| *parts.snapshots.get_mut(&chain(1)).unwrap() = SnapshotRule::Block(BlockNumber(1)),
        |parts| *parts.snapshots.get_mut(&chain(1)).unwrap() = SnapshotRule::Block(BlockNumber(2)),
        |parts| *parts.snapshots.get_mut(&chain(10)).unwrap() = SnapshotRule::AtOrBefore(TimestampMs(130_000_000)),
    ];
    for change in changes {
        let mut parts = on_chains();
        change(&mut parts);
        all.push(parts);
    }
    let count = all.len();
    let ids: BTreeSet<_> = all.into_iter().map(|parts| Proposal::new(parts).unwrap().id()).collect();
    assert_eq!(ids.len(), count);
}

#[test]
fn texts_do_not_run_into_each_other() {
    let shifted = |namespace: &str, name: &str| {
        let mut parts = basic();
        (parts.namespace, parts.name) = (namespace.to_owned(), name.to_owned());
        Proposal::new(parts).unwrap().id()
    };
    assert_ne!(shifted("ab", "c"), shifted("a", "bc"));
}

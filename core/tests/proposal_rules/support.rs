//! A sound proposal for tests to change.

use std::collections::{BTreeMap, BTreeSet};

use pnyx_core::{
    chain::{BlockNumber, ChainId, ContractAddress, SnapshotRule},
    id::Voter,
    power::Power,
    proposal::{Abstentions, ChainRead, ChainStrategy, Decimals, ProposalParts, Strategy, Voting, VotingSystem},
    time::{TimestampMs, Window},
};

pub(crate) fn power(text: &str) -> Power {
    Power::parse(text).unwrap()
}

pub(crate) fn basic() -> ProposalParts {
    ProposalParts {
        platform: "dev".to_owned(),
        namespace: "demo".to_owned(),
        name: "fee-switch".to_owned(),
        space: "dao.example.eth".to_owned(),
        title: "Turn on the fee".to_owned(),
        body: "Shall the fee be turned on?\n\tYes or no.\r\n".to_owned(),
        discussion: "https://forum.example.org/t/17".to_owned(),
        author: "ana.eth".to_owned(),
        choices: ["For", "Against", "Abstain"].map(str::to_owned).to_vec(),
        voting: Voting {
            system: VotingSystem::Basic,
            quorum: None,
            approval_threshold: None,
            abstentions: Abstentions::Quorum,
        },
        window: Window::new(TimestampMs(1_764_590_400_000), TimestampMs(1_765_195_200_000)).unwrap(),
        strategies: vec![Strategy::Ticket(power("1"))],
        snapshots: BTreeMap::new(),
        clock_skew_s: 300,
    }
}

pub(crate) fn whitelist(heads: &[u8]) -> Strategy {
    Strategy::Whitelist(heads.iter().map(|head| Voter::new([*head; 20])).collect::<BTreeSet<_>>())
}

pub(crate) fn whitelist_weighted(powers: &[(u8, &str)]) -> Strategy {
    let powers = powers.iter().map(|(head, text)| (Voter::new([*head; 20]), power(text)));
    Strategy::WhitelistWeighted(powers.collect::<BTreeMap<_, _>>())
}

pub(crate) fn chain(number: u64) -> ChainId {
    ChainId::new(number).unwrap()
}

pub(crate) fn erc20(chain_number: u64) -> ChainStrategy {
    let address = ContractAddress::new([0xc0; 20]);
    ChainStrategy {
        network: chain(chain_number),
        read: ChainRead::Erc20BalanceOf { address, decimals: Decimals::new(6).unwrap() },
    }
}

/// A sound proposal that reads the chains 1 and 10.
pub(crate) fn on_chains() -> ProposalParts {
    let mut parts = basic();
    parts.name = "on-chains".to_owned();
    parts.strategies =
        vec![Strategy::OnChain(erc20(1)), Strategy::Multichain(vec![erc20(10), erc20(1)]), whitelist(&[1])];
    parts.snapshots = BTreeMap::from([
        (chain(1), SnapshotRule::AtOrBefore(parts.window.opens_at())),
        (chain(10), SnapshotRule::Block(BlockNumber(130_000_000))),
    ]);
    parts
}

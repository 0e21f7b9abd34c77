//! A sound proposal for tests to change.

use std::collections::{BTreeMap, BTreeSet};

use pnyx_core::{
    id::Voter,
    power::Power,
    proposal::{Abstentions, ProposalParts, Strategy, Voting, VotingSystem},
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

//! Golden encodings and ids, and that every field is part of the id.

use std::collections::BTreeSet;

use expect_test::expect_file;
use pnyx_core::{
    proposal::{Abstentions, Fraction, Proposal, ProposalParts, Quorum, VotingSystem, canonical_encoding},
    time::{TimestampMs, Window},
};

use super::support::{basic, power, whitelist, whitelist_weighted};

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

#[test]
fn encodings_and_ids_stay() {
    let lines = samples().into_iter().map(|parts| {
        let encoding = alloy_primitives::hex::encode(canonical_encoding(&parts));
        let name = parts.name.clone();
        let proposal = Proposal::new(parts).unwrap();
        format!("{name} {}\n{} {encoding}\n", proposal.system().name(), proposal.id())
    });
    expect_file!["../golden/proposal-v1.txt"].assert_eq(&lines.collect::<String>());
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
fn texts_do_not_run_into_each_other() {
    let shifted = |namespace: &str, name: &str| {
        let mut parts = basic();
        (parts.namespace, parts.name) = (namespace.to_owned(), name.to_owned());
        Proposal::new(parts).unwrap().id()
    };
    assert_ne!(shifted("ab", "c"), shifted("a", "bc"));
}

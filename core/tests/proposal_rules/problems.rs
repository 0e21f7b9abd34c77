//! Every problem of a proposal, as its author reads it.

use expect_test::{Expect, expect};
use pnyx_core::{
    chain::{BlockNumber, SnapshotRule},
    id::Voter,
    power::Power,
    proposal::{
        Abstentions, BODY_BYTES_MAX, CHAIN_READS_MAX, CLOCK_SKEW_S_MAX, LISTED_VOTERS_MAX, MULTICHAIN_STRATEGIES_MAX,
        NAME_BYTES_MAX, Proposal, ProposalParts, Quorum, Strategy, TITLE_BYTES_MAX, VotingSystem,
    },
};

use super::support::{basic, chain, erc20, on_chains, power, whitelist, whitelist_weighted};

fn check(change: impl FnOnce(&mut ProposalParts), expected: &Expect) {
    let mut parts = basic();
    change(&mut parts);
    let problems = Proposal::new(parts).err().unwrap_or_default();
    let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
    expected.assert_eq(&lines.join("\n"));
}

fn many(count: usize) -> Vec<String> {
    (1..=count).map(|number| format!("Choice {number}")).collect()
}

#[test]
fn sound_proposals() {
    let none = expect![[""]];
    check(|_| (), &none);
    check(|parts| parts.choices.truncate(2), &none);
    check(|parts| parts.voting.quorum = Some(Quorum::Rejection(power("5"))), &none);
    check(|parts| parts.voting.abstentions = Abstentions::Neither, &none);
    check(|parts| parts.clock_skew_s = 0, &none);
    check(|parts| parts.clock_skew_s = CLOCK_SKEW_S_MAX, &none);
    check(|parts| (parts.author, parts.discussion, parts.body) = <(String, String, String)>::default(), &none);
    check(|parts| parts.strategies = vec![Strategy::Ticket(Power::max())], &none);
    for system in VotingSystem::ALL.into_iter().filter(|system| *system != VotingSystem::Basic) {
        let (least, most) = if system.is_ranked() { (2, 20) } else { (1, 64) };
        for count in [least, most] {
            check(
                |parts| {
                    parts.voting.system = system;
                    parts.choices = many(count);
                },
                &none,
            );
        }
    }
}

#[test]
fn texts() {
    check(
        |parts| {
            for text in [&mut parts.platform, &mut parts.namespace, &mut parts.name, &mut parts.space, &mut parts.title]
            {
                text.clear();
            }
        },
        &expect![[r#"
            platform: must not be empty
            metadata.namespace: must not be empty
            metadata.name: must not be empty
            spec.space: must not be empty
            spec.title: must not be empty"#]],
    );
    check(
        |parts| {
            parts.space = "dao\0eth".to_owned();
            parts.title = "two\nlines".to_owned();
            parts.body = "a bell: \u{7}".to_owned();
            parts.discussion = " https://forum.example.org".to_owned();
            parts.author = "\u{85}".to_owned();
        },
        &expect![[r#"
            spec.space: must be one line without control characters; remove line breaks and tabs
            spec.title: must be one line without control characters; remove line breaks and tabs
            spec.body: must not have control characters other than line breaks and tabs; remove them
            spec.discussion: must not begin or end with white space; remove it
            spec.author: must be one line without control characters; remove line breaks and tabs
            spec.author: must not begin or end with white space; remove it"#]],
    );
    check(
        |parts| {
            parts.name = "é".repeat(NAME_BYTES_MAX / 2 + 1);
            parts.title = "x".repeat(TITLE_BYTES_MAX + 1);
            parts.body = "x".repeat(BODY_BYTES_MAX + 1);
        },
        &expect![[r#"
            metadata.name: must be at most 253 bytes of UTF-8; it has 254
            spec.title: must be at most 256 bytes of UTF-8; it has 257
            spec.body: must be at most 40000 bytes of UTF-8; it has 40001"#]],
    );
}

#[test]
fn choices() {
    check(
        |parts| parts.choices.clear(),
        &expect![
            "spec.choices: the basic system takes 2 to 3 choices (For, Against and optionally Abstain, in this order); there are 0"
        ],
    );
    check(
        |parts| parts.choices = many(4),
        &expect![
            "spec.choices: the basic system takes 2 to 3 choices (For, Against and optionally Abstain, in this order); there are 4"
        ],
    );
    check(
        |parts| {
            parts.voting.system = VotingSystem::SingleChoice;
            parts.choices = ["For", "", "For", "", "x\ty", "For "]
                .map(str::to_owned)
                .into_iter()
                .chain(["y".repeat(257)])
                .collect();
        },
        &expect![[r#"
            spec.choices[1]: must not be empty
            spec.choices[2]: "For" appears twice (first at choices[0])
            spec.choices[3]: must not be empty
            spec.choices[4]: must be one line without control characters; remove line breaks and tabs
            spec.choices[5]: must not begin or end with white space; remove it
            spec.choices[6]: must be at most 256 bytes of UTF-8; it has 257"#]],
    );
    check(
        |parts| {
            parts.voting.system = VotingSystem::Approval;
            parts.choices = many(65);
        },
        &expect!["spec.choices: the approval system takes 1 to 64 choices; there are 65"],
    );
    for (system, count, expected) in [
        (VotingSystem::Quadratic, 0, expect!["spec.choices: the quadratic system takes 1 to 64 choices; there are 0"]),
        (
            VotingSystem::RankedChoice,
            21,
            expect!["spec.choices: the ranked-choice system takes 2 to 20 choices; there are 21"],
        ),
        (VotingSystem::Copeland, 1, expect!["spec.choices: the copeland system takes 2 to 20 choices; there are 1"]),
    ] {
        check(
            |parts| {
                parts.voting.system = system;
                parts.choices = many(count);
            },
            &expected,
        );
    }
}

#[test]
fn voting() {
    check(
        |parts| {
            parts.voting.system = VotingSystem::Copeland;
            parts.voting.quorum = Some(Quorum::Rejection(power("5")));
            parts.voting.abstentions = Abstentions::QuorumAndThreshold;
        },
        &expect![[r#"
            spec.voting.quorum: a rejection quorum needs the basic system, here it is copeland; use participation
            spec.voting.abstentions: only the basic system with a third choice, Abstain, has abstentions; leave it out or add the choice"#]],
    );
    check(
        |parts| {
            parts.choices.truncate(2);
            parts.voting.quorum = Some(Quorum::Participation(Power::ZERO));
            parts.voting.abstentions = Abstentions::Neither;
        },
        &expect![[r#"
            spec.voting.quorum: must be above 0; leave the quorum out to ask for none
            spec.voting.abstentions: only the basic system with a third choice, Abstain, has abstentions; leave it out or add the choice"#]],
    );
    check(
        |parts| parts.clock_skew_s = CLOCK_SKEW_S_MAX + 1,
        &expect!["spec.window.clockSkewSeconds: must be 0 to 3600; it is 3601, and 300 is usual"],
    );
}

#[test]
fn strategies() {
    check(
        |parts| parts.strategies.clear(),
        &expect!["spec.power.strategies: must have at least one strategy, or nobody has power"],
    );
    check(
        |parts| parts.strategies = vec![whitelist(&[1]); 9],
        &expect!["spec.power.strategies: must be at most 8 strategies; there are 9"],
    );
    check(
        |parts| {
            parts.strategies = vec![
                whitelist(&[]),
                whitelist_weighted(&[]),
                Strategy::Ticket(Power::ZERO),
                whitelist_weighted(&[(0xab, "0"), (0xcd, "1"), (0xef, "0")]),
            ];
        },
        &expect![[r#"
            spec.power.strategies[0].whitelist.addresses: must name at least one address; leave the strategy out if it gives nobody power
            spec.power.strategies[1].whitelistWeighted.addresses: must name at least one address; leave the strategy out if it gives nobody power
            spec.power.strategies[2].ticket.value: must be above 0, or nobody has power by it
            spec.power.strategies[3].whitelistWeighted.addresses.0xABaBaBaBABabABabAbAbABAbABabababaBaBABaB: must be above 0; leave the address out to give it no power
            spec.power.strategies[3].whitelistWeighted.addresses.0xeFEfeFEfeFeFEFEFEfefeFeFefEfEfEfeFEFEFEf: must be above 0; leave the address out to give it no power"#]],
    );
    check(
        |parts| parts.strategies = vec![Strategy::Ticket(Power::max()), whitelist(&[1])],
        &expect![
            "spec.power.strategies: the strategies' highest powers must add up to less than 2^192 units of 10^-18; lower them"
        ],
    );
    let listed = |count| {
        let voters = (0..count).map(|number: usize| {
            let mut address = [0; 20];
            address[12..].copy_from_slice(&u64::try_from(number).unwrap().to_be_bytes());
            Voter::new(address)
        });
        Strategy::Whitelist(voters.collect())
    };
    check(|parts| parts.strategies = vec![listed(LISTED_VOTERS_MAX - 2), whitelist(&[1, 2])], &expect![[""]]);
    check(
        |parts| parts.strategies = vec![listed(LISTED_VOTERS_MAX - 2), whitelist(&[1, 2]), whitelist(&[1])],
        &expect!["spec.power.strategies: must list at most 8000 addresses in all lists together; there are 8001"],
    );
}

#[test]
fn chains() {
    let none = expect![[""]];
    let check = |change: fn(&mut ProposalParts), expected: &Expect| {
        check(
            |parts| {
                *parts = on_chains();
                change(parts);
            },
            expected,
        );
    };
    check(|_| (), &none);
    check(
        |parts| {
            parts.strategies = vec![Strategy::Multichain(vec![erc20(1); MULTICHAIN_STRATEGIES_MAX]); 2];
            parts.snapshots.remove(&chain(10));
        },
        &none,
    );
    check(|parts| *parts.snapshots.get_mut(&chain(1)).unwrap() = SnapshotRule::Block(BlockNumber(u64::MAX)), &none);
    check(
        |parts| *parts.snapshots.get_mut(&chain(1)).unwrap() = SnapshotRule::AtOrBefore(parts.window.closes_at()),
        &none,
    );
    check(
        |parts| {
            parts.strategies.push(Strategy::Multichain(Vec::new()));
            parts.strategies.push(Strategy::Multichain(vec![erc20(1); MULTICHAIN_STRATEGIES_MAX + 1]));
            parts.strategies.push(Strategy::Multichain(vec![erc20(1); CHAIN_READS_MAX]));
            parts.snapshots.clear();
            parts.snapshots.insert(chain(5), SnapshotRule::AtOrBefore(parts.window.closes_at().saturating_add_ms(1)));
        },
        &expect![[r#"
            spec.power.strategies: must read chains at most 16 times for a voter; there are 28 reads
            spec.power.strategies[3].multichain.strategies: must have at least one strategy; leave multichain out if it gives nobody power
            spec.power.strategies[4].multichain.strategies: must be at most 8 strategies; there are 9
            spec.power.strategies[5].multichain.strategies: must be at most 8 strategies; there are 16
            spec.power.snapshot: must say at which block chain 1 is read
            spec.power.snapshot: must say at which block chain 10 is read
            spec.power.snapshot: no strategy reads chain 5; remove its snapshot
            spec.power.snapshot: atOrBefore of chain 5 must not be after closesAt"#]],
    );
}

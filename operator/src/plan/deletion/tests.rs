//! When a deletion waits, for what, and what is said where it gives up.

use std::collections::BTreeMap;

use expect_test::{Expect, expect};
use pnyx_core::{
    counting::{CountingRules, Totals},
    decisions::{Decision, DecisionBook},
    id::Root,
    outcome::outcome,
    proposal::Definition,
    result::{Cut, CutPartition, Dispute, Provenance, PublishedResult, ResultCore},
    signing::SigningKey,
    stored_archive::StoredArchive,
    time::TimestampMs,
};
use pnyx_crds::{GovernanceProposal, resolve};
use proptest::prelude::*;
use serde_json::json;

use super::*;

/// The window is the hour after this.
const OPENS_AT: &str = "2026-11-22T10:00:00Z";

/// How far a vote came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Come {
    Defined,
    Cut,
    Disputed,
    Counted,
    Archived,
}

const LIMIT: Duration = Duration::from_secs(60);

fn at(minute: i64, second: i64) -> Timestamp {
    let opens_at: Timestamp = OPENS_AT.parse().expect("RFC 3339");
    opens_at + SignedDuration::from_secs(60 * minute + second)
}

fn decided(come: Come) -> (ProposalId, ProposalDecisions) {
    let resource: GovernanceProposal = serde_json::from_value(json!({
        "metadata": {"name": "vote", "namespace": "n"},
        "spec": {
            "space": "dao.eth", "title": "A vote", "body": "", "choices": ["yes", "no"],
            "voting": {"system": "SingleChoice"},
            "window": {"opensAt": OPENS_AT, "closesAt": "2026-11-22T11:00:00Z"},
            "power": {"strategies": [{"ticket": {"value": "1"}}]},
        },
    }))
    .expect("a proposal");
    let proposal = resolve(&resource, "test", None).expect("a proposal of the core");
    let (id, rules) = (proposal.id(), CountingRules::of(&proposal));
    let outcome = outcome(&proposal.parts().voting, rules, &Totals::empty(rules));
    let mut book = DecisionBook::default();
    book.record(0, Decision::Definition(Box::new(Definition::new(proposal, 4, 1).expect("within bounds"))));
    let partitions = vec![CutPartition { end_offset: 0, records_root: Root::new([0; 32]) }];
    let cut = Cut { proposal: id, decided_at: TimestampMs(0), partitions };
    if come != Come::Defined {
        book.record(1, Decision::Cut(cut.clone()));
    }
    if come == Come::Disputed {
        let differences = vec!["scores".to_owned()];
        book.record(2, Decision::Dispute(Dispute::new(id, differences)));
    }
    if matches!(come, Come::Counted | Come::Archived) {
        let core = ResultCore { proposal: id, ballots: 0, outcome, ballots_root: Root::new([7; 32]) };
        let provenance = Provenance { cut, records: 0, rejected: BTreeMap::new(), chains: None };
        let key = SigningKey::from_bytes([1; 32]).expect("a key");
        book.record(2, Decision::Result(Box::new(PublishedResult::sign(core, provenance, &key))));
    }
    if come == Come::Archived {
        let stored = StoredArchive::new(id, format!("{id}.jsonl"), 1, [1; 32], TimestampMs(0)).expect("short");
        book.record(3, Decision::Archive(stored));
    }
    (id, book.get(id).expect("it is defined").clone())
}

/// Of a vote that has all it needs, asked to go when its window had been open for half an hour.
fn facts<'a>(policy: DeletionPolicy, log: LogSays<'a>, topics: &'a TopicsSeen) -> Facts<'a> {
    let asked_at = at(30, 0);
    Facts {
        policy,
        is_paused: false,
        has_platform: true,
        has_verifiers: true,
        keeps_archives: Some(false),
        log,
        topics,
        asked_at,
        limit: LIMIT,
    }
}

fn words(deletion: &Deletion) -> String {
    match deletion {
        Deletion::Unasked | Deletion::Unheld => "not asked".to_owned(),
        Deletion::Waits(what) => format!("waits until {what}"),
        Deletion::RemovesTopics(_) => "removes its topics".to_owned(),
        Deletion::Goes { undone } if undone.is_empty() => "goes".to_owned(),
        Deletion::Goes { undone } => format!("goes: {}", undone.join("; ")),
    }
}

/// One line for each policy.
fn check(log: LogSays<'_>, change: impl Fn(&mut Facts<'_>), topics: &TopicsSeen, now: Timestamp, expected: &Expect) {
    let lines = [DeletionPolicy::Retain, DeletionPolicy::Delete].map(|policy| {
        let mut facts = facts(policy, log, topics);
        change(&mut facts);
        format!("{policy:?}: {}\n", words(&decide(&facts, now)))
    });
    expected.assert_eq(&lines.concat());
}

fn verified(to: Timestamp) -> TopicsSeen {
    TopicsSeen { verified_to: Some(since_epoch(to)), is_followed: true, ..TopicsSeen::default() }
}

#[test]
fn what_came_before_is_verified_first() {
    let (id, decisions) = decided(Come::Defined);
    let stands = LogSays::Stands(id, &decisions);
    let (before, since) = (verified(at(30, 0)), verified(at(30, 1)));
    let waits = expect![[r#"
        Retain: waits until the ballots that came before it are verified
        Delete: waits until the ballots that came before it are verified
    "#]];
    check(stands, |_| {}, &before, at(30, 5), &waits);
    check(stands, |_| {}, &TopicsSeen::default(), at(30, 59), &waits);
    let goes = expect![[r#"
        Retain: goes
        Delete: goes: its topics stay in the log, because only what is counted, and archived where that is asked for, is removed
    "#]];
    check(stands, |_| {}, &since, at(30, 5), &goes);
    // Before the window nobody has voted.
    check(stands, |facts| facts.asked_at = at(-9, 0), &TopicsSeen::default(), at(-9, 1), &goes);
    check(
        stands,
        |_| {},
        &before,
        at(31, 0),
        &expect![[r#"
            Retain: goes: waited for no longer than 60 s; not waited until the ballots that came before it are verified
            Delete: goes: waited for no longer than 60 s; not waited until the ballots that came before it are verified; its topics stay in the log, because only what is counted, and archived where that is asked for, is removed
        "#]],
    );
}

#[test]
fn after_the_window_the_result_is_waited_for() {
    let (id, decisions) = decided(Come::Cut);
    let waits = expect![[r#"
        Retain: waits until its result is published
        Delete: waits until its result is published
    "#]];
    // A cut ends the window, whatever clocks show.
    check(LogSays::Stands(id, &decisions), |_| {}, &verified(at(30, 0)), at(30, 5), &waits);
    let (id, decisions) = decided(Come::Defined);
    check(LogSays::Stands(id, &decisions), |facts| facts.asked_at = at(60, 0), &verified(at(60, 9)), at(60, 9), &waits);
    let (id, decisions) = decided(Come::Disputed);
    check(
        LogSays::Stands(id, &decisions),
        |_| {},
        &verified(at(30, 0)),
        at(30, 5),
        &expect![[r#"
            Retain: goes: its recount differs from the live tally, and no result is published
            Delete: goes: its recount differs from the live tally, and no result is published; its topics stay in the log, because only what is counted, and archived where that is asked for, is removed
        "#]],
    );
}

#[test]
fn topics_go_once_they_are_counted() {
    let (id, decisions) = decided(Come::Counted);
    let stands = LogSays::Stands(id, &decisions);
    let there = TopicsSeen { is_followed: true, ..TopicsSeen::default() };
    check(
        stands,
        |_| {},
        &there,
        at(30, 5),
        &expect![[r#"
        Retain: goes
        Delete: removes its topics
    "#]],
    );
    let removed = TopicsSeen { are_removed: true, ..there.clone() };
    check(
        stands,
        |_| {},
        &removed,
        at(30, 5),
        &expect![[r#"
        Retain: goes
        Delete: goes
    "#]],
    );
    check(
        stands,
        |_| {},
        &there,
        at(31, 0),
        &expect![[r#"
        Retain: goes
        Delete: goes: waited for no longer than 60 s; its topics could not all be removed from the log
    "#]],
    );
    check(
        stands,
        |facts| facts.is_paused = true,
        &there,
        at(30, 5),
        &expect![[r#"
        Retain: goes
        Delete: goes: it is paused, so its topics stay in the log
    "#]],
    );
    // The log of a platform that is gone is followed as long as it answers.
    check(
        stands,
        |facts| facts.has_platform = false,
        &TopicsSeen::default(),
        at(30, 5),
        &expect![[r#"
        Retain: goes
        Delete: goes: its platform is gone and its log cannot be reached, so its topics stay there
    "#]],
    );
}

#[test]
fn what_cannot_come_is_not_waited_for() {
    let (id, decisions) = decided(Come::Defined);
    let stands = LogSays::Stands(id, &decisions);
    let unread = |is_recorded, has_result| LogSays::Unread { is_recorded, has_result };
    let none = TopicsSeen::default();
    let says = |log, change: fn(&mut Facts<'_>)| {
        let mut facts = facts(DeletionPolicy::Retain, log, &none);
        change(&mut facts);
        words(&decide(&facts, at(30, 5)))
    };
    assert_eq!(says(stands, |facts| facts.has_platform = false), "goes: its platform is gone");
    assert_eq!(says(stands, |facts| facts.has_verifiers = false), "goes: its verifiers are gone");
    assert_eq!(says(stands, |facts| facts.is_paused = true), "goes: it is paused, so nothing was waited for");
    assert_eq!(says(LogSays::Nothing, |_| {}), "goes");
    assert_eq!(says(unread(false, false), |_| {}), "goes");
    assert_eq!(says(unread(true, true), |_| {}), "goes");
    assert_eq!(says(unread(true, false), |_| {}), "waits until its log can be read");
    assert_eq!(
        says(unread(true, true), |facts| facts.policy = DeletionPolicy::Delete),
        "waits until its log can be read"
    );
    assert_eq!(
        says(unread(true, false), |facts| facts.has_platform = false),
        "goes: its platform is gone, and with it the log"
    );
    assert_eq!(
        says(unread(true, false), |facts| facts.is_paused = true),
        "goes: it is paused, so nothing was waited for"
    );
}

#[test]
fn topics_stay_until_the_archive_is_where_it_should_be() {
    let (id, counted) = decided(Come::Counted);
    let (_, archived) = decided(Come::Archived);
    let topics = TopicsSeen { is_followed: true, ..TopicsSeen::default() };
    let keeps = |facts: &mut Facts<'_>| facts.keeps_archives = Some(true);
    let expected = expect![[r#"
        Retain: goes
        Delete: waits until its archive is stored
    "#]];
    check(LogSays::Stands(id, &counted), keeps, &topics, at(30, 1), &expected);
    let expected = expect![[r#"
        Retain: goes
        Delete: goes: waited for no longer than 60 s; not waited until its archive is stored; its topics stay in the log, because only what is counted, and archived where that is asked for, is removed
    "#]];
    check(LogSays::Stands(id, &counted), keeps, &topics, at(31, 0), &expected);
    let expected = expect![[r#"
        Retain: goes
        Delete: removes its topics
    "#]];
    check(LogSays::Stands(id, &archived), keeps, &topics, at(30, 1), &expected);
    // A platform that is gone says nothing, and its log may still be reached.
    let gone = |facts: &mut Facts<'_>| (facts.has_platform, facts.keeps_archives) = (false, None);
    let expected = expect![[r#"
        Retain: goes
        Delete: waits until its archive is stored
    "#]];
    check(LogSays::Stands(id, &counted), gone, &topics, at(30, 1), &expected);
}

#[test]
fn what_a_platform_said_of_archives_is_remembered_when_it_is_gone() {
    let mut observed = crate::plan::proposal::tests::observed(crate::plan::proposal::tests::Book::Defined);
    let remembered = |keeps_archives| TopicsSeen { keeps_archives, ..TopicsSeen::default() };
    assert_eq!(keeps_archives(&observed, &remembered(Some(true))), Some(false), "it is there and names no place");
    for platform in [PlatformSeen::Missing, PlatformSeen::Unreadable] {
        observed.platform = platform;
        for said in [None, Some(false), Some(true)] {
            assert_eq!(keeps_archives(&observed, &remembered(said)), said);
        }
    }
}

proptest! {
    #[test]
    fn no_deletion_waits_for_ever_and_nothing_uncounted_is_removed(
        come in prop::sample::select(vec![Come::Defined, Come::Cut, Come::Disputed, Come::Counted, Come::Archived]),
        read in 0..3_u8,
        flags in prop::array::uniform8(any::<bool>()),
        asked in -90..90_i64,
        waited_s in 0..120_i64,
    ) {
        let (id, decisions) = decided(come);
        let [is_kept, is_paused, has_platform, has_verifiers, keeps_archives, is_followed, are_removed, is_verified] =
            flags;
        let keeps_archives = [Some(keeps_archives), None][usize::from(waited_s % 3 == 0)];
        let is_counted = matches!(come, Come::Counted | Come::Archived);
        let log = match read {
            0 => LogSays::Nothing,
            1 => LogSays::Unread { is_recorded: is_followed, has_result: are_removed },
            _ => LogSays::Stands(id, &decisions),
        };
        let (asked_at, now) = (at(asked, 0), at(asked, waited_s));
        let verified_to = is_verified.then(|| since_epoch(now));
        let topics = TopicsSeen { is_followed, are_removed, verified_to, ..TopicsSeen::default() };
        let policy = if is_kept { DeletionPolicy::Retain } else { DeletionPolicy::Delete };
        let facts = Facts {
            policy,
            is_paused,
            has_platform,
            has_verifiers,
            keeps_archives,
            log,
            topics: &topics,
            asked_at,
            limit: LIMIT,
        };
        match decide(&facts, now) {
            Deletion::Goes { undone } => {
                // Whoever asked for topics to go is told where they stay.
                let has_topics = read == 2 && !is_kept && !(is_counted && are_removed);
                prop_assert!(!has_topics || !undone.is_empty());
            }
            other => {
                prop_assert!(waited_s < 60, "{other:?} beyond the limit");
                if let Deletion::RemovesTopics(_) = other {
                    prop_assert!(is_counted && read == 2 && !is_kept && !is_paused && !are_removed);
                    prop_assert!(come == Come::Archived || keeps_archives == Some(false));
                }
            }
        }
    }
}

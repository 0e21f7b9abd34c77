//! What is planned for a proposal, by what its log says and by the clock.

mod trials;

use std::sync::Arc;

use expect_test::{Expect, expect};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::core::DynamicObject;
use pnyx_core::{
    decisions::{Decision, DecisionBook},
    proposal::Definition,
};
use pnyx_crds::{GovernancePlatform, GovernanceProposal, LeadingStatus, resolve};
use serde_json::json;

use super::*;
use crate::{
    build,
    kinds::{ChildKind, Key, ObjectKey, Primary},
    observe::{PlatformSeen, Seen, Standing},
    plan::{COMPONENT_LABEL, FINALIZER, OWNER_LABEL, Owner},
    validate::{self, OwnImage},
};

/// What is known of the log.
#[derive(Clone, Copy)]
pub(in crate::plan) enum Book {
    Unread,
    Empty,
    Defined,
}

#[test]
fn nothing_runs_before_the_definition_stands_in_the_log() {
    let before = "2026-11-22T09:00:00Z";
    check(
        &observed(Book::Unread),
        before,
        expect![[r#"
            Accepted Unknown NotObserved: it is valid, but whether its definition is recorded is not known: the log was not read
            Open Unknown NotObserved: 
            Ready Unknown NotObserved: Accepted is not known
            Pending
        "#]],
    );
    check(
        &observed(Book::Empty),
        before,
        expect![[r#"
            Accepted Unknown Recording: what voters sign is being recorded in the log
            Open Unknown NotObserved: 
            Ready Unknown NotObserved: Accepted is not known
            Pending
            set finalizers [pnyx.dev/drain]
        "#]],
    );
    check(
        &observed(Book::Defined),
        before,
        expect![[r#"
            Accepted True AsExpected: 
            Open False WindowNotOpen: 
            Ready True AsExpected: 
            Scheduled
            create ServiceAccount n/wanted
            delete Service n/left
        "#]],
    );
}

#[test]
fn what_stood_in_the_log_holds_while_the_log_cannot_be_read() {
    let inside = "2026-11-22T10:00:00Z";
    let mut unread = observed(Book::Unread);
    unread.seen.conditions = vec![accepted_condition()];
    check(
        &unread,
        inside,
        expect![[r#"
            Accepted True AsExpected: 
            Open True WindowOpen: 
            Ready True AsExpected: 
            Open
            create ServiceAccount n/wanted
            delete Service n/left
        "#]],
    );
    // The log decides, whatever status says: this may be another log.
    let mut empty = observed(Book::Empty);
    empty.seen.conditions = vec![accepted_condition()];
    check(
        &empty,
        inside,
        expect![[r#"
            Accepted Unknown Recording: what voters sign is being recorded in the log
            Open Unknown NotObserved: 
            Ready Unknown NotObserved: Accepted is not known
            Pending
            set finalizers [pnyx.dev/drain]
        "#]],
    );
}

#[test]
fn after_the_window_only_what_stands_in_the_log_is_a_vote() {
    let after = "2026-11-22T11:00:00Z";
    check(
        &observed(Book::Defined),
        after,
        expect![[r#"
            Accepted True AsExpected: 
            Open False WindowClosed: 
            Ready True AsExpected: 
            Closed
            create ServiceAccount n/wanted
            delete Service n/left
        "#]],
    );
    check(
        &observed(Book::Empty),
        after,
        expect![[r#"
            Accepted False WindowOver: the window was over before the proposal was accepted: nobody could vote
            Open Unknown NotObserved: 
            Ready False ConditionNotMet: Accepted is not true
            Pending
            note WindowOver: the window was over before the proposal was accepted: nobody could vote
        "#]],
    );
}

#[test]
fn who_is_paused_or_deleted_is_left_alone_and_told_what_is_so() {
    let mut paused = observed(Book::Defined);
    paused.seen.resource.spec.paused = true;
    check(
        &paused,
        "2026-11-22T10:00:00Z",
        expect![[r#"
            Accepted True AsExpected: 
            Open True WindowOpen: 
            Ready True AsExpected: 
            Open
        "#]],
    );
    let mut deleted = observed(Book::Defined);
    deleted.seen.is_deleted = true;
    deleted.seen.resource.metadata.finalizers = None;
    deleted.seen.resource.metadata.deletion_timestamp = Some(Time("2026-11-22T10:00:00Z".parse().expect("RFC 3339")));
    // Of one that the operator does not hold.
    check(
        &deleted,
        "2026-11-22T10:00:00Z",
        expect![[r#"
            Accepted True AsExpected: 
            Open True WindowOpen: 
            Ready False Deleting: the proposal is being deleted
            Open
        "#]],
    );
}

#[test]
fn who_leads_is_what_the_tally_said_last() {
    let inside = "2026-11-22T10:00:00Z";
    let mut observed = observed(Book::Defined);
    let mut stands = |power: &str, scores: [&str; 2]| {
        let standing = Standing::new(3, power.to_owned(), &scores.map(str::to_owned)).expect("decimal numbers");
        observed.standing = Some(standing);
        let GovernanceProposalStatus { leading, turnout, .. } = plan(&observed, inside).status;
        let leading = leading.map(|leading| format!("{} {:?} {}", leading.text, leading.choices, leading.score));
        (
            leading.unwrap_or_default(),
            turnout.map(|turnout| (turnout.ballots, turnout.power)).expect("somebody said it"),
        )
    };
    assert_eq!(
        stands("9", ["4.5", "4.5"]),
        ("2 choices share the highest score [1, 2] 4.5".to_owned(), (3, "9".to_owned()))
    );
    assert_eq!(stands("9", ["4", "5"]), ("no [2] 5".to_owned(), (3, "9".to_owned())));
    assert_eq!(stands("0", ["0", "0"]), (String::new(), (3, "0".to_owned())));
    *observed.before = GovernanceProposalStatus {
        leading: Some(LeadingStatus { text: "yes".to_owned(), choices: vec![1], score: "7".to_owned() }),
        ..GovernanceProposalStatus::default()
    };
    observed.standing = None;
    assert_eq!(plan(&observed, inside).status.leading, observed.before.leading, "nobody said anything else");
}

#[test]
fn what_is_deleted_runs_until_it_is_drained() {
    let mut deleted = observed(Book::Defined);
    deleted.seen.is_deleted = true;
    let metadata = &mut deleted.seen.resource.metadata;
    metadata.deletion_timestamp = Some(Time("2026-11-22T10:00:00Z".parse().expect("RFC 3339")));
    metadata.finalizers = Some(vec!["a/b".to_owned(), FINALIZER.to_owned()]);
    deleted.children.push((ChildKind::Deployment, Arc::new(verifiers())));
    // But for what nothing here wants.
    check(
        &deleted,
        "2026-11-22T10:00:01Z",
        expect![[r#"
            Accepted True AsExpected: 
            Open True WindowOpen: 
            Ready False Deleting: the proposal is being deleted once the ballots that came before it are verified
            Open
            create ServiceAccount n/wanted
            delete Deployment n/vote-verifier
            delete Service n/left
            note Deleting: waits until the ballots that came before it are verified
        "#]],
    );
    // Its time is over.
    check(
        &deleted,
        "2026-11-22T10:01:00Z",
        expect![[r#"
            Accepted True AsExpected: 
            Open True WindowOpen: 
            Ready False Deleting: the proposal is being deleted
            Open
            note ReleasedUndone: waited for no longer than 60 s; not waited until the ballots that came before it are verified
            set finalizers [a/b]
        "#]],
    );
    // What was never recorded has nothing to drain.
    deleted.book = Some(Arc::default());
    check(
        &deleted,
        "2026-11-22T10:00:01Z",
        expect![[r#"
            Accepted Unknown NotObserved: it is valid, but its definition is not recorded in the log yet
            Open Unknown NotObserved: 
            Ready False Deleting: the proposal is being deleted
            Pending
            note Released: nothing is left to do for it
            set finalizers [a/b]
        "#]],
    );
}

#[test]
fn nothing_is_recorded_before_its_resource_is_held_and_bound() {
    let (now, book) = ("2026-11-22T09:00:00Z", Book::Empty);
    let mut new = observed(book);
    new.seen.resource.metadata.finalizers = Some(vec!["a/b".to_owned()]);
    check(
        &new,
        now,
        expect![[r#"
            Accepted Unknown Recording: what voters sign is being recorded in the log
            Open Unknown NotObserved: 
            Ready Unknown NotObserved: Accepted is not known
            Pending
            set finalizers [a/b, pnyx.dev/drain]
        "#]],
    );
    let again = plan(&new, now).again;
    assert_eq!(again, Some(BEGIN_AGAIN));
    let held = bound(new.clone());
    check(
        &held,
        now,
        expect![[r#"
            Accepted Unknown Recording: what voters sign is being recorded in the log
            Open Unknown NotObserved: 
            Ready Unknown NotObserved: Accepted is not known
            Pending
            define 0x15cad5becc9f83f199d25cc07a52b82a3e6834e0f06a5f479b28b257abacb988 with 8 partitions and 8 lanes
        "#]],
    );
    // It was edited before that was said: another id, which has to be said first.
    let mut edited = held.clone();
    edited.seen.resource.spec.title = "Another vote".to_owned();
    check(
        &edited,
        now,
        expect![[r#"
            Accepted Unknown Recording: what voters sign is being recorded in the log
            Open Unknown NotObserved: 
            Ready Unknown NotObserved: Accepted is not known
            Pending
        "#]],
    );
    // Whether it was recorded is not known, so it stays bound.
    check(
        &ProposalObserved { book: None, ..held.clone() },
        now,
        expect![[r#"
            Accepted Unknown Recording: it is valid, but whether its definition is recorded is not known: the log was not read
            Open Unknown NotObserved: 
            Ready Unknown NotObserved: Accepted is not known
            Pending
        "#]],
    );
    // One that is refused after all is not held.
    let after = "2026-11-22T11:00:00Z";
    check(
        &held,
        after,
        expect![[r#"
            Accepted False WindowOver: the window was over before the proposal was accepted: nobody could vote
            Open Unknown NotObserved: 
            Ready False ConditionNotMet: Accepted is not true
            Pending
            note WindowOver: the window was over before the proposal was accepted: nobody could vote
            set finalizers []
        "#]],
    );
}

/// As it is once the operator holds it and said what it records.
fn bound(observed: ProposalObserved) -> ProposalObserved {
    let mut observed = observed;
    let core = resolve(&observed.seen.resource, "test", None).expect("a proposal of the core");
    observed.before.proposal_id = Some(core.id().to_string());
    let recording =
        Condition { status: "Unknown".to_owned(), reason: reasons::RECORDING.to_owned(), ..accepted_condition() };
    observed.seen.conditions = vec![recording];
    observed.seen.resource.metadata.finalizers = Some(vec![FINALIZER.to_owned()]);
    observed
}

/// What the plan says at `now` of a proposal that has a Service which nothing wants and lacks an account.
fn check(observed: &ProposalObserved, now: &str, expected: Expect) {
    let Plan { effects, conditions, status, again: _ } = plan(observed, now);
    let said = [types::ACCEPTED, types::OPEN, types::READY].map(|kind| {
        let Said { state, reason, message } = conditions.get(kind).expect("all types are there");
        format!("{kind} {} {reason}: {message}\n", state.word())
    });
    let effects: String = effects.iter().map(|effect| format!("{effect}\n")).collect();
    expected.assert_eq(&format!("{}{:?}\n{effects}", said.concat(), status.phase.expect("it has one")));
}

fn plan(observed: &ProposalObserved, now: &str) -> Plan<GovernanceProposalStatus> {
    let now = now.parse().expect("RFC 3339");
    let validated = validate::proposal(observed, &OwnImage::default(), now);
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "wanted"}});
    let wanted = match &validated {
        Ok(validated) if trial::is_tried_first(validated) => {
            build::trial(&observed.seen.owner, validated, &observed.seen.resource.spec).expect("children")
        }
        Ok(_) => vec![Child::of(&observed.seen.owner, &account).expect("a child")],
        Err(_) => Vec::new(),
    };
    let topics = TopicsSeen { partitions: Some(4), ..TopicsSeen::default() };
    let id = validated.as_ref().ok().map(|validated| validated.proposal().id());
    let deletion = crate::plan::deletion(observed, id, &topics, Duration::from_secs(60), now);
    proposal(observed, validated.as_ref(), wanted, &topics, None, &deletion, now)
}

pub(in crate::plan) fn observed(book: Book) -> ProposalObserved {
    let platform: GovernancePlatform = serde_json::from_value(json!({
        "metadata": {"name": "default", "namespace": "n"},
        "spec": {
            "domain": "test", "kafka": {"bootstrapServers": ["kafka:9092"]}, "redis": {"single": {"address": "redis"}},
            "signingKeySecretRef": {"name": "s", "key": "k"},
        },
    }))
    .expect("a platform");
    // What stands in a log is held.
    let finalizers = if matches!(book, Book::Empty) { json!([]) } else { json!([FINALIZER]) };
    let resource: GovernanceProposal = serde_json::from_value(json!({
        "metadata": {"name": "vote", "namespace": "n", "finalizers": finalizers},
        "spec": {
            "space": "dao.eth", "title": "A vote", "body": "", "choices": ["yes", "no"],
            "voting": {"system": "SingleChoice"},
            "window": {"opensAt": "2026-11-22T10:00:00Z", "closesAt": "2026-11-22T11:00:00Z"},
            "power": {"strategies": [{"ticket": {"value": "1"}}]},
            "scaling": {"lead": "5m"},
        },
    }))
    .expect("a proposal");
    let core = resolve(&resource, "test", None).expect("a proposal of the core");
    let definition = || Decision::Definition(Box::new(Definition::new(core, 4, 1).expect("within bounds")));
    let book = match book {
        Book::Unread => None,
        Book::Empty => Some(DecisionBook::default()),
        Book::Defined => {
            let mut book = DecisionBook::default();
            book.record(0, definition());
            Some(book)
        }
    };
    let platform = seen(Primary::Platform, "default", platform, vec![accepted_condition()]);
    ProposalObserved {
        seen: seen(Primary::Proposal, "vote", resource, Vec::new()),
        children: vec![(ChildKind::Service, Arc::new(left()))],
        platform: PlatformSeen::Found(Box::new(platform)),
        others: Vec::new(),
        before: Box::default(),
        book: book.map(Arc::new),
        standing: None,
    }
}

fn seen<K>(primary: Primary, name: &str, resource: K, conditions: Vec<Condition>) -> Seen<K> {
    let owner = Owner::new(Key { primary, object: ObjectKey::new("n", name) }, "uid-1");
    Seen { owner, resource, generation: Some(1), conditions, is_deleted: false }
}

/// Its verifiers.
fn verifiers() -> DynamicObject {
    let mut object = DynamicObject::new("vote-verifier", &ChildKind::Deployment.resource()).within("n");
    object.metadata.labels = Some([(COMPONENT_LABEL.to_owned(), Component::Verifier.word().to_owned())].into());
    object
}

/// A Service of the proposal that nothing wants any more.
fn left() -> DynamicObject {
    let mut object = DynamicObject::new("left", &ChildKind::Service.resource()).within("n");
    object.metadata.labels = Some([(OWNER_LABEL.to_owned(), "uid-1".to_owned())].into());
    object
}

fn accepted_condition() -> Condition {
    Condition {
        type_: types::ACCEPTED.to_owned(),
        status: "True".to_owned(),
        reason: reasons::AS_EXPECTED.to_owned(),
        message: String::new(),
        observed_generation: Some(1),
        last_transition_time: Time(Timestamp::UNIX_EPOCH),
    }
}

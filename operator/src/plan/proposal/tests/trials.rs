//! What is planned for a proposal that reads chains before what voters sign is recorded.

use pnyx_core::id::ProposalId;
use serde_json::Value;

use super::*;

const NOW: &str = "2026-11-22T09:00:00Z";

/// When its Job ended: too short a while ago for another.
const ENDED_AT: &str = "2026-11-22T08:59:00Z";

/// The same vote, by what an account has on chain 1. Nothing is left of anything else.
fn reading() -> ProposalObserved {
    let mut observed = observed(Book::Empty);
    observed.children.clear();
    let strategies = json!([{"ethBalance": {"network": "1"}}]);
    observed.seen.resource.spec.power.strategies = serde_json::from_value(strategies).expect("strategies");
    let PlatformSeen::Found(platform) = &mut observed.platform else { panic!("it is there") };
    let chain = json!({"chainId": "1", "endpoints": [{"name": "one", "urlSecretRef": {"name": "s", "key": "one"}}]});
    platform.resource.spec.chains = serde_json::from_value(json!([chain])).expect("chains");
    observed
}

fn id(observed: &ProposalObserved) -> ProposalId {
    resolve(&observed.seen.resource, "test", None).expect("a proposal of the core").id()
}

/// With a trial of this proposal beside it, which ended so or runs.
fn tried(observed: ProposalObserved, id: ProposalId, end: Option<(&str, &str)>) -> ProposalObserved {
    let end = end.map(|(kind, reason)| {
        json!({"type": kind, "status": "True", "reason": reason, "message": "so", "lastTransitionTime": ENDED_AT})
    });
    let pods =
        json!({"spec": {"containers": [{"args": ["propose", "--only-try", format!("/etc/pnyx/proposals/{id}")]}]}});
    let job = json!({"spec": {"template": pods}, "status": {"conditions": end.into_iter().collect::<Value>()}});
    let mut children = vec![(ChildKind::Job, child(ChildKind::Job, job))];
    for kind in [ChildKind::ServiceAccount, ChildKind::NetworkPolicy] {
        children.push((kind, child(kind, json!({}))));
    }
    ProposalObserved { children, ..observed }
}

fn child(kind: ChildKind, data: Value) -> Arc<DynamicObject> {
    let mut object = DynamicObject::new("vote-trial", &kind.resource()).within("n").data(data);
    object.metadata.uid = Some("uid-2".to_owned());
    object.metadata.labels = Some([(COMPONENT_LABEL.to_owned(), Component::Trial.word().to_owned())].into());
    Arc::new(object)
}

/// What of a plan is about the trial: the words, and what is done but for updates of what stands beside the Job.
fn check(observed: &ProposalObserved, expected: Expect) {
    let Plan { effects, conditions, .. } = plan(observed, NOW);
    let said = [types::ACCEPTED, types::READY].map(|kind| {
        let Said { state, reason, message } = conditions.get(kind).expect("all types are there");
        format!("{kind} {} {reason}: {message}\n", state.word())
    });
    let effects = effects.iter().filter(|effect| !matches!(effect, Effect::Update(_)));
    expected.assert_eq(&format!("{}{}", said.concat(), effects.map(|it| format!("{it}\n")).collect::<String>()));
}

#[test]
fn strategies_are_tried_before_anything_is_held_or_bound() {
    let new = reading();
    check(
        &new,
        expect![[r#"
        Accepted Unknown TryingStrategies: whether its strategies can answer is being tried on their chains; it may still be changed
        Ready Unknown NotObserved: Accepted is not known
        create ServiceAccount n/vote-trial
        create ConfigMap n/vote-trial
        create NetworkPolicy n/vote-trial
        create Job n/vote-trial
    "#]],
    );
    let runs = tried(reading(), id(&new), None);
    check(
        &runs,
        expect![[r#"
        Accepted Unknown TryingStrategies: whether its strategies can answer is being tried on their chains; it may still be changed
        Ready Unknown NotObserved: Accepted is not known
        create ConfigMap n/vote-trial
    "#]],
    );
    let passed = tried(reading(), id(&new), Some(("Complete", "CompletionsReached")));
    check(
        &passed,
        expect![[r#"
        Accepted Unknown Recording: what voters sign is being recorded in the log
        Ready Unknown NotObserved: Accepted is not known
        set finalizers [pnyx.dev/drain]
    "#]],
    );
    check(
        &bound(passed),
        expect![[r#"
        Accepted Unknown Recording: what voters sign is being recorded in the log
        Ready Unknown NotObserved: Accepted is not known
        define 0x9bf637b1e26ae29fa13d653d13969c8c421aabbae204477387a5e22d29bed6a1 with 8 partitions and 8 lanes
    "#]],
    );
    // Nothing of the log was read, so nothing is begun.
    check(
        &ProposalObserved { book: None, ..reading() },
        expect![[r#"
        Accepted Unknown NotObserved: it is valid, but whether its definition is recorded is not known: the log was not read
        Ready Unknown NotObserved: Accepted is not known
    "#]],
    );
}

#[test]
fn what_is_bound_is_not_tried_again() {
    // Its Job is gone, and its definition may be on its way into the log.
    check(
        &bound(reading()),
        expect![[r#"
        Accepted Unknown Recording: what voters sign is being recorded in the log
        Ready Unknown NotObserved: Accepted is not known
        define 0x9bf637b1e26ae29fa13d653d13969c8c421aabbae204477387a5e22d29bed6a1 with 8 partitions and 8 lanes
    "#]],
    );
    // It is another spec that was bound.
    let mut edited = bound(reading());
    edited.seen.resource.spec.title = "Another vote".to_owned();
    check(
        &edited,
        expect![[r#"
        Accepted Unknown TryingStrategies: whether its strategies can answer is being tried on their chains; it may still be changed
        Ready Unknown NotObserved: Accepted is not known
        create ServiceAccount n/vote-trial
        create ConfigMap n/vote-trial
        create NetworkPolicy n/vote-trial
        create Job n/vote-trial
    "#]],
    );
}

#[test]
fn a_strategy_that_can_never_answer_is_refused_until_the_spec_is_mended() {
    let wrong = reading();
    let mut refuted = tried(reading(), id(&wrong), Some(("Failed", "PodFailurePolicy")));
    refuted.seen.resource.metadata.finalizers = Some(vec![FINALIZER.to_owned()]);
    check(
        &refuted,
        expect![[r#"
        Accepted False StrategyFails: a strategy can never answer: `kubectl logs job/vote-trial -n n` says which
        Ready False ConditionNotMet: Accepted is not true
        note StrategyFails: a strategy can never answer: `kubectl logs job/vote-trial -n n` says which
        create ConfigMap n/vote-trial
        set finalizers []
    "#]],
    );
    // An hour later it stands there still, for a person to look at.
    let later = plan(&refuted, "2026-11-22T09:59:00Z");
    assert!(!later.effects.iter().any(|effect| matches!(effect, Effect::Delete { .. })), "{:?}", later.effects);
    let mut mended = refuted.clone();
    mended.seen.resource.metadata.finalizers = None;
    mended.seen.resource.spec.power.strategies[0] =
        serde_json::from_value(json!({"ticket": {"value": "1"}})).expect("a strategy");
    check(
        &mended,
        expect![[r#"
        Accepted Unknown Recording: what voters sign is being recorded in the log
        Ready Unknown NotObserved: Accepted is not known
        set finalizers [pnyx.dev/drain]
    "#]],
    );
    mended.seen.resource.spec.power.strategies =
        serde_json::from_value(json!([{"ticket": {"value": "1"}}, {"ethBalance": {"network": "1"}}])).expect("both");
    check(
        &mended,
        expect![[r#"
        Accepted Unknown TryingStrategies: whether its strategies can answer is being tried on their chains; it may still be changed
        Ready Unknown NotObserved: Accepted is not known
        create ConfigMap n/vote-trial
        delete Job n/vote-trial
    "#]],
    );
    mended.children.retain(|(kind, _)| *kind != ChildKind::Job);
    check(
        &mended,
        expect![[r#"
        Accepted Unknown TryingStrategies: whether its strategies can answer is being tried on their chains; it may still be changed
        Ready Unknown NotObserved: Accepted is not known
        create ConfigMap n/vote-trial
        create Job n/vote-trial
    "#]],
    );
}

#[test]
fn a_trial_that_could_not_be_done_is_begun_anew() {
    let failed = tried(reading(), id(&reading()), Some(("Failed", "BackoffLimitExceeded")));
    check(
        &failed,
        expect![[r#"
        Accepted Unknown TryingStrategies: the Job of trial failed and is begun anew: BackoffLimitExceeded: so
        Ready Unknown NotObserved: Accepted is not known
        note TryingStrategies: the Job of trial failed and is begun anew: BackoffLimitExceeded: so
        create ConfigMap n/vote-trial
    "#]],
    );
    let later = plan(&failed, "2026-11-22T09:01:00Z").effects;
    assert!(later.iter().any(|effect| effect.to_string() == "delete Job n/vote-trial"), "{later:?}");
}

#[test]
fn what_is_left_alone_or_stands_is_not_tried() {
    let mut paused = reading();
    paused.seen.resource.spec.paused = true;
    check(
        &paused,
        expect![[r#"
        Accepted Unknown NotObserved: it is valid, but its definition is not recorded in the log yet
        Ready Unknown NotObserved: Accepted is not known
    "#]],
    );
    let mut deleted = tried(reading(), id(&reading()), None);
    deleted.seen.is_deleted = true;
    deleted.seen.resource.metadata.deletion_timestamp = Some(Time(NOW.parse().expect("RFC 3339")));
    check(
        &deleted,
        expect![[r#"
        Accepted Unknown NotObserved: it is valid, but its definition is not recorded in the log yet
        Ready False Deleting: the proposal is being deleted
    "#]],
    );
    let mut refused = reading();
    refused.platform = PlatformSeen::Missing;
    check(
        &refused,
        expect![[r#"
        Accepted False PlatformNotFound: there is no GovernancePlatform default in this namespace
        Ready False ConditionNotMet: Accepted is not true
        note PlatformNotFound: there is no GovernancePlatform default in this namespace
    "#]],
    );
    // It was recorded by an operator that tried nothing, or the trial did its work.
    let core = resolve(&reading().seen.resource, "test", None).expect("a proposal of the core");
    let mut book = DecisionBook::default();
    book.record(0, Decision::Definition(Box::new(Definition::new(core, 4, 1).expect("within bounds"))));
    let mut stands = tried(reading(), id(&reading()), Some(("Complete", "CompletionsReached")));
    stands.book = Some(Arc::new(book));
    check(
        &stands,
        expect![[r#"
        Accepted True AsExpected: 
        Ready True AsExpected: 
        set finalizers [pnyx.dev/drain]
        create ServiceAccount n/wanted
        delete Job n/vote-trial
        delete NetworkPolicy n/vote-trial
        delete ServiceAccount n/vote-trial
    "#]],
    );
    stands.children.clear();
    check(
        &stands,
        expect![[r#"
        Accepted True AsExpected: 
        Ready True AsExpected: 
        set finalizers [pnyx.dev/drain]
        create ServiceAccount n/wanted
    "#]],
    );
}

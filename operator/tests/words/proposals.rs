//! What is said of proposals.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use pnyx_core::{
    counting::Scores,
    decisions::{Decision, DecisionBook},
    id::{ProposalId, Root},
    outcome::{Outcome, OutcomeDecision},
    proposal::Definition,
    result::{Cut, Dispute, Provenance, PublishedResult, ResultCore},
    scaling::{PartitionLoad, Rate, Sample},
    signing::SigningKey,
    time::TimestampMs,
};
use pnyx_crds::{
    GovernancePlatform, GovernanceProposal, GovernanceProposalStatus, ProposalPhase,
    conditions::{platform::ACCEPTED as PLATFORM_ACCEPTED, proposal as types, reasons},
    resolve,
};
use pnyx_operator::{
    ChildKind, ObjectKey, Primary,
    observe::{LiveChildren, PlatformSeen, ProposalBrief, ProposalObserved, TopicsSeen},
    plan::{self, Child, DELETION_LIMIT, FINALIZER, Histories, Owner, ROLLOUT_ANNOTATION, ScalingFacts},
    status::Conditions,
    validate::{self, OwnImage, ValidatedProposal},
};
use serde_json::{Value, json};

use super::{Case, child, condition, patched, platforms, pods, seen};

const BEFORE: &str = "2026-11-22T09:00:00Z";
const LEAD: &str = "2026-11-22T09:58:00Z";
const INSIDE: &str = "2026-11-22T10:10:00Z";
const AFTER: &str = "2026-11-22T11:10:00Z";

/// How far the log is.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum Decided {
    Nothing,
    Definition,
    Cut,
    Dispute,
    Result,
}

struct Situation {
    now: &'static str,
    spec: Value,
    metadata: Value,
    platform: Option<Value>,
    platform_conditions: Vec<Condition>,
    is_read: bool,
    decided: Decided,
    topics: TopicsSeen,
    /// Ballots that wait in each partition, at the last sample, which is new.
    waiting: Option<u64>,
    children: LiveChildren,
    others: Vec<ProposalBrief>,
    conditions: Vec<Condition>,
    is_deleted: bool,
}

impl Situation {
    /// An open vote in which everything is as it should be.
    fn new() -> Self {
        Self {
            now: INSIDE,
            spec: json!({}),
            metadata: json!({}),
            platform: Some(json!({})),
            platform_conditions: vec![condition(PLATFORM_ACCEPTED, reasons::AS_EXPECTED)],
            is_read: true,
            decided: Decided::Definition,
            topics: TopicsSeen {
                partitions: Some(2),
                sample: None,
                has_cut: Some(false),
                is_drained: Some(false),
                watching_since: Some(TimestampMs(0)),
                is_followed: true,
                ..TopicsSeen::default()
            },
            waiting: Some(0),
            children: pods("verifier", 2, 2),
            others: Vec::new(),
            conditions: Vec::new(),
            is_deleted: false,
        }
    }

    /// After the window, with the cut made.
    fn over(decided: Decided, is_drained: bool) -> Self {
        let base = Self::new();
        let topics = TopicsSeen { has_cut: Some(true), is_drained: Some(is_drained), ..base.topics.clone() };
        Self { now: AFTER, decided, topics, ..base }
    }

    fn case(self, about: &'static str, kinds: &'static [&'static str]) -> Case {
        Case { about, kinds, said: self.conditions() }
    }

    fn conditions(self) -> Conditions {
        let now: Timestamp = self.now.parse().unwrap();
        let at = TimestampMs(u64::try_from(now.as_millisecond()).unwrap());
        let load = |backlog| PartitionLoad { backlog, arrival: Rate::per_second(0) };
        let sample = self.waiting.map(|backlog| Sample { taken_at: at, partitions: vec![load(backlog); 2] });
        let topics = TopicsSeen { sample, ..self.topics.clone() };
        let observed = self.observed();
        let validated = validate::proposal(&observed, &OwnImage::default(), now);
        let scaling = validated.as_ref().ok().filter(|validated| validated.is_defined()).map(|validated| {
            let conditions = &observed.seen.conditions;
            let facts =
                ScalingFacts { validated, children: &observed.children, topics: &topics, before: None, conditions };
            let mut histories = Histories::default();
            let history = histories.proposal(&observed.seen.owner, Default::default, at);
            history.see(&observed.children, &topics, at);
            plan::proposal_scaling(&facts, history, at)
        });
        let wanted = wanted(&observed.seen.owner, validated.as_ref().ok());
        let id = validated.as_ref().ok().map(|validated| validated.proposal().id());
        let deletion = plan::deletion(&observed, id, &topics, DELETION_LIMIT, now);
        plan::proposal(&observed, validated.as_ref(), wanted, &topics, scaling.as_ref(), &deletion, now).conditions
    }

    fn observed(&self) -> ProposalObserved {
        let resource: GovernanceProposal = serde_json::from_value(json!({
            "metadata": patched(&json!({"name": "vote", "namespace": "n"}), &self.metadata),
            "spec": patched(&spec(), &self.spec),
        }))
        .unwrap();
        let book = self.is_read.then(|| Arc::new(book(&resource, self.decided)));
        let mut proposal = seen(Primary::Proposal, "vote", resource, self.conditions.clone());
        proposal.is_deleted = self.is_deleted;
        let platform = self.platform.as_ref().map_or(PlatformSeen::Missing, |spec| {
            let resource: GovernancePlatform = serde_json::from_value(json!({
                "metadata": {"name": "default", "namespace": "n"}, "spec": patched(&platforms::spec(), spec),
            }))
            .unwrap();
            PlatformSeen::Found(Box::new(seen(
                Primary::Platform,
                "default",
                resource,
                self.platform_conditions.clone(),
            )))
        });
        let phase = (self.decided == Decided::Dispute).then_some(ProposalPhase::Disputed);
        ProposalObserved {
            seen: proposal,
            children: self.children.clone(),
            platform,
            others: self.others.clone(),
            before: Box::new(GovernanceProposalStatus { phase, ..GovernanceProposalStatus::default() }),
            book,
            standing: None,
        }
    }
}

fn spec() -> Value {
    json!({
        "space": "dao.eth", "title": "A vote", "body": "", "choices": ["yes", "no"],
        "voting": {"system": "SingleChoice"},
        "window": {"opensAt": "2026-11-22T10:00:00Z", "closesAt": "2026-11-22T11:00:00Z"},
        "power": {"strategies": [{"ticket": {"value": "1"}}]},
        "scaling": {"lead": "5m", "warmShards": 2, "maxShards": 2, "ratePerShard": 1_000},
    })
}

/// Verifiers as they should be now, which is another way than they are.
fn wanted(owner: &Owner, validated: Option<&ValidatedProposal>) -> Vec<Child> {
    let Some(validated) = validated else { return Vec::new() };
    let args = json!(["verifier", validated.proposal().id().to_string()]);
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "verifier", "namespace": "n"},
        "spec": {"template": {"spec": {"containers": [{"name": "verifier", "image": "another", "args": args}]}}},
    });
    vec![Child::of(owner, &deployment).unwrap()]
}

fn book(resource: &GovernanceProposal, decided: Decided) -> DecisionBook {
    let mut book = DecisionBook::default();
    let Ok(proposal) = resolve(resource, "test", None) else { return book };
    let id = proposal.id();
    let cut = Cut { proposal: id, decided_at: TimestampMs(0), partitions: Vec::new() };
    let dispute = Dispute::new(id, ["ballots: 3 counted again, 4 live".to_owned()]);
    for (step, decision) in [
        (Decided::Definition, Decision::Definition(Box::new(Definition::new(proposal, 4, 2).unwrap()))),
        (Decided::Cut, Decision::Cut(cut.clone())),
        (Decided::Dispute, Decision::Dispute(dispute)),
        (Decided::Result, Decision::Result(Box::new(result(id, cut)))),
    ] {
        if step <= decided {
            book.record(0, decision);
        }
    }
    book
}

fn result(proposal: ProposalId, cut: Cut) -> PublishedResult {
    let (scores, decision) = (Scores(vec![Default::default(); 2]), OutcomeDecision::NoBallots);
    let outcome =
        Outcome { scores, total_power: Default::default(), quorum_reached: None, threshold_reached: None, decision };
    let core = ResultCore { proposal, ballots: 0, outcome, ballots_root: Root::new([0; 32]) };
    let provenance = Provenance { cut, records: 0, rejected: BTreeMap::new(), chains: None };
    PublishedResult::sign(core, provenance, &SigningKey::from_bytes([1; 32]).unwrap())
}

/// A Job of this component that failed.
fn failed_job(component: &str) -> LiveChildren {
    let failed = json!({
        "type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "it failed six times",
        "lastTransitionTime": "2026-11-22T10:09:30Z",
    });
    let data = json!({"spec": {"template": {"spec": {"containers": []}}}, "status": {"conditions": [failed]}});
    child(ChildKind::Job, component, data)
}

/// Verifiers that work for the vote, and are of another making than is wanted.
fn running(id: &str) -> LiveChildren {
    let containers = json!([{"name": "verifier", "args": ["verifier", id]}]);
    let data = json!({
        "spec": {"replicas": 2, "template": {"spec": {"containers": containers}}},
        "status": {"readyReplicas": 2, "observedGeneration": 1},
    });
    child(ChildKind::Deployment, "verifier", data)
}

/// A Job that tries a vote with this spec, which failed for this reason.
fn failed_trial(id: &str, reason: &str) -> LiveChildren {
    let failed = json!({
        "type": "Failed", "status": "True", "reason": reason, "message": "it failed",
        "lastTransitionTime": "2026-11-22T08:59:30Z",
    });
    let containers = json!([{"args": ["propose", "--only-try", format!("/etc/pnyx/proposals/{id}")]}]);
    let data = json!({"spec": {"template": {"spec": {"containers": containers}}}, "status": {"conditions": [failed]}});
    child(ChildKind::Job, "trial", data)
}

fn id_of(spec: &Value) -> String {
    let resource: GovernanceProposal =
        serde_json::from_value(json!({"metadata": {"name": "vote", "namespace": "n"}, "spec": spec})).unwrap();
    resolve(&resource, "test", None).unwrap().id().to_string()
}

fn another() -> ProposalBrief {
    ProposalBrief {
        key: ObjectKey::new("n", "another"),
        platform: ObjectKey::new("n", "default"),
        space: "dao.eth".to_owned(),
        created_at: None,
        opens_at: None,
        closes_at: None,
        is_accepted: true,
        has_result: false,
        is_leaving: false,
    }
}

pub(super) fn cases() -> Vec<Case> {
    [refused(), before(), open(), scaled(), over(), held_back()].into_iter().flatten().collect()
}

/// What slips past the schema, and what only others know.
fn refused() -> Vec<Case> {
    let base = || Situation { decided: Decided::Nothing, now: BEFORE, ..Situation::new() };
    let reading = reading();
    let chained = |children| Situation { spec: reading.clone(), platform: Some(chain()), children, ..base() };
    let trial = |reason| failed_trial(&id_of(&patched(&spec(), &reading)), reason);
    let said = &[types::ACCEPTED, types::READY];
    vec![
        Situation { platform: None, ..base() }.case("its platform is not there", said),
        Situation { platform_conditions: Vec::new(), ..base() }.case("its platform is not accepted", said),
        Situation { spec: json!({"choices": ["yes", "yes"]}), ..base() }.case("a field slipped past the schema", said),
        Situation { spec: reading.clone(), ..base() }.case("its platform does not have its chain", said),
        Situation {
            platform: Some(json!({"limits": {"default": {"maxOpenProposals": 1}}})),
            others: vec![another()],
            ..base()
        }
        .case("its space has as many as it may", said),
        Situation { spec: json!({"retention": "720h"}), ..base() }
            .case("its topics shall go, and archives are made from them", said),
        Situation { now: AFTER, ..base() }.case("it comes too late", said),
        chained(Vec::new()).case("its strategies are being tried", said),
        chained(trial("BackoffLimitExceeded")).case("the Job that tries its strategies failed", said),
        chained(trial("PodFailurePolicy")).case("one of its strategies can never answer", said),
        base().case("its definition is not recorded yet", said),
        Situation { is_read: false, ..base() }.case("its log was not read", said),
    ]
}

/// A vote by what an account has of a token.
fn reading() -> Value {
    let token = json!({"network": "1", "address": "0x0101010101010101010101010101010101010101", "decimals": 18});
    json!({"power": {"strategies": [{"erc20BalanceOf": token}]}})
}

/// A platform that reads the chain of the token.
fn chain() -> Value {
    json!({"chains": [{"chainId": "1", "endpoints": [{"name": "one", "urlSecretRef": {"name": "s", "key": "one"}}]}]})
}

fn before() -> Vec<Case> {
    let base = || Situation { now: BEFORE, waiting: None, children: pods("verifier", 0, 0), ..Situation::new() };
    let kinds = &[
        types::ACCEPTED,
        types::SNAPSHOT_PINNED,
        types::TOPICS_READY,
        types::PREWARMED,
        types::OPEN,
        types::CAUGHT_UP,
        types::DRAINED,
        types::RECOUNTED,
        types::SCALING_DATA_FRESH,
        types::UPGRADE_PENDING,
        types::PAUSED,
        types::READY,
    ];
    vec![
        base().case("an hour before it opens", kinds),
        Situation { now: LEAD, children: pods("verifier", 2, 1), ..base() }
            .case("two minutes before it opens", &[types::PREWARMED, types::SCALING_DATA_FRESH]),
    ]
}

fn open() -> Vec<Case> {
    let base = Situation::new;
    let chained = || Situation { spec: reading(), platform: Some(chain()), ..base() };
    let topics = TopicsSeen { partitions: Some(0), ..base().topics };
    vec![
        base().case(
            "it is open, and everything is as it should be",
            &[
                types::TOPICS_READY,
                types::PREWARMED,
                types::OPEN,
                types::CAUGHT_UP,
                types::DRAINED,
                types::RECOUNTED,
                types::SCALING_DATA_FRESH,
                types::READY,
            ],
        ),
        chained().case("blocks are not final yet", &[types::SNAPSHOT_PINNED, types::READY]),
        Situation { children: failed_job("pin"), ..chained() }
            .case("the Job that decides the blocks failed", &[types::SNAPSHOT_PINNED, types::READY]),
        Situation { topics, ..base() }.case("somebody removed its topic", &[types::TOPICS_READY, types::READY]),
    ]
}

fn scaled() -> Vec<Case> {
    let base = Situation::new;
    let kinds = &[types::CAUGHT_UP, types::SCALING_DATA_FRESH];
    vec![
        Situation { waiting: Some(50_000_000), ..base() }.case("more ballots wait than can be verified in time", kinds),
        Situation { waiting: None, ..base() }.case("how many wait is not known", kinds),
    ]
}

fn over() -> Vec<Case> {
    let kinds = &[types::OPEN, types::DRAINED, types::RECOUNTED, types::READY];
    let recounts = &[types::RECOUNTED, types::READY];
    vec![
        Situation { now: AFTER, ..Situation::new() }.case("the window is over", kinds),
        Situation::over(Decided::Cut, false).case("the cut is made", kinds),
        Situation::over(Decided::Cut, true).case("every ballot is verified", kinds),
        Situation { children: failed_job("recount"), ..Situation::over(Decided::Cut, true) }
            .case("the Job that counts again failed", recounts),
        Situation {
            children: failed_job("recount"),
            platform: Some(json!({"archive": {"persistentVolumeClaim": {"claimName": "archives"}}})),
            ..Situation::over(Decided::Result, true)
        }
        .case("the Job that stores the archive failed", recounts),
        Situation::over(Decided::Dispute, true).case("the recount differs", recounts),
        Situation::over(Decided::Result, true).case(
            "the result is published",
            &[
                types::TOPICS_READY,
                types::PREWARMED,
                types::CAUGHT_UP,
                types::DRAINED,
                types::RECOUNTED,
                types::SCALING_DATA_FRESH,
                types::READY,
            ],
        ),
    ]
}

fn held_back() -> Vec<Case> {
    let base = || Situation { children: running(&id_of(&spec())), ..Situation::new() };
    let deleted = json!({"deletionTimestamp": INSIDE, "finalizers": [FINALIZER]});
    let forced = json!({"annotations": {ROLLOUT_ANNOTATION: "true"}});
    vec![
        base().case("an update of the verifiers comes inside the window", &[types::UPGRADE_PENDING]),
        Situation { metadata: forced, ..base() }.case("somebody forces it", &[types::UPGRADE_PENDING]),
        Situation { spec: json!({"paused": true}), ..base() }.case("it is paused", &[types::PAUSED]),
        Situation { platform: Some(json!({"paused": true})), ..base() }
            .case("its platform is paused", &[types::PAUSED]),
        Situation { is_deleted: true, metadata: deleted, ..base() }.case("it is being deleted", &[types::READY]),
    ]
}

//! A proposal with 2 to 12 shards of 1,000 ballots a second each and a lead of 5 minutes, which is looked at as an operator does.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::core::DynamicObject;
use pnyx_core::scaling::{Remembered, WindowDemand};
use pnyx_crds::{GovernancePlatform, GovernanceProposal};
use serde_json::{Value, json};

use super::*;
use crate::{
    kinds::{ChildKind, Key, ObjectKey, Primary},
    observe::{PlatformSeen, ProposalBrief, ProposalObserved, Seen},
    plan::{COMPONENT_LABEL, Owner},
    validate::{self, OwnImage},
};

pub(super) const OPENS_AT: u64 = 1_795_341_600_000;
pub(super) const CLOSES_AT: u64 = OPENS_AT + 3_600_000;

pub(super) struct Rig {
    pub(super) resource: Value,
    pub(super) limits: Value,
    pub(super) uid: String,
    pub(super) topics: TopicsSeen,
    pub(super) others: Vec<Remembered>,
    pub(super) was_behind: bool,
    pub(super) status: Option<ScalingStatus>,
    pub(super) histories: Histories,
    children: LiveChildren,
}

impl Rig {
    pub(super) fn new() -> Self {
        let time = |at: u64| {
            Timestamp::from_millisecond(i64::try_from(at).expect("a time of now")).expect("within years").to_string()
        };
        let resource = json!({
            "metadata": {"name": "vote", "namespace": "n"},
            "spec": {
                "space": "dao.eth", "title": "A vote", "body": "", "choices": ["yes", "no"],
                "voting": {"system": "SingleChoice"},
                "window": {"opensAt": time(OPENS_AT), "closesAt": time(CLOSES_AT)},
                "power": {"strategies": [{"ticket": {"value": "1"}}]},
                "scaling": {"lead": "5m", "warmShards": 2, "maxShards": 12, "ratePerShard": 1_000},
            },
        });
        let topics = TopicsSeen {
            partitions: Some(12),
            sample: None,
            has_cut: Some(false),
            is_drained: Some(false),
            watching_since: Some(TimestampMs(0)),
            ..TopicsSeen::default()
        };
        Self {
            resource,
            limits: json!({}),
            uid: "uid-1".to_owned(),
            topics,
            others: Vec::new(),
            was_behind: false,
            status: None,
            histories: Histories::default(),
            children: Vec::new(),
        }
    }

    /// So many shards were asked for, and so many work.
    pub(super) fn shards(&mut self, desired: u32, ready: u32) {
        self.children = vec![(ChildKind::Deployment, Arc::new(deployment("verifier", desired.into(), ready.into())))];
    }

    /// Somebody else asked for them.
    pub(super) fn scaled_by(&mut self, manager: &str) {
        let (kind, object) = self.children.remove(0);
        let mut object = (*object).clone();
        let entry = json!([{"manager": manager, "operation": "Update", "fieldsV1": {"f:spec": {"f:replicas": {}}}}]);
        object.metadata.managed_fields = serde_json::from_value(entry).expect("entries");
        self.children.push((kind, Arc::new(object)));
    }

    /// What arrives each second and what waits, by partition, sampled at `at`.
    pub(super) fn loads(&mut self, loads: &[(u64, u64)], at: u64) {
        self.topics.partitions = u32::try_from(loads.len()).ok();
        self.topics.sample = Some(sample(loads, at));
    }

    /// A look whose plan is carried out and written into status.
    pub(super) fn look(&mut self, at: u64) -> ProposalScaling {
        let (validated, now) = (self.validated(), TimestampMs(at));
        let (children, topics, conditions) = (self.children.clone(), self.topics.clone(), self.conditions());
        let (mut history, before) = (self.history_at(now).clone(), self.status.clone());
        let facts = ScalingFacts {
            validated: &validated,
            children: &children,
            topics: &topics,
            before: before.as_ref(),
            conditions: &conditions,
        };
        history.see(&children, &topics, now);
        let scaling = proposal_scaling(&facts, &history, now);
        history.demand(validated.scaling(), &scaling.plan, 4);
        history.applied(&scaling.plan);
        *self.history_at(now) = history;
        self.status = Some(scaling.status.clone());
        let caught_up = scaling.conditions.iter().find(|(kind, _)| *kind == types::CAUGHT_UP);
        self.was_behind = caught_up.is_some_and(|(_, said)| said.reason == reasons::BEHIND);
        scaling
    }

    pub(super) fn history(&mut self) -> &mut ProposalHistory {
        self.history_at(TimestampMs(CLOSES_AT))
    }

    fn history_at(&mut self, now: TimestampMs) -> &mut ProposalHistory {
        let kept = self.status.as_ref().and_then(|status| status.remembered.as_ref()).map(pnyx_crds::remembered);
        let (owner, others) = (self.owner(), self.others.clone());
        let begin = move || kept.unwrap_or_else(|| Remembered::of_others(&others, now));
        self.histories.proposal(&owner, begin, now)
    }

    pub(super) fn owner(&self) -> Owner {
        Owner::new(Key { primary: Primary::Proposal, object: ObjectKey::new("n", "vote") }, &*self.uid)
    }

    /// As the API server has it.
    pub(super) fn object(&self) -> DynamicObject {
        let data = json!({"spec": self.resource["spec"], "status": {"scaling": self.status}});
        DynamicObject::new("vote", &Primary::Proposal.resource()).within("n").data(data)
    }

    /// What the platform is asked for, by this proposal and perhaps by one that is open and was not looked at.
    pub(super) fn demands(&self, now: TimestampMs, with_unknown: bool) -> Vec<WindowDemand> {
        let now = Timestamp::from_millisecond(i64::try_from(now.0).expect("a time of now")).expect("within years");
        let own = ProposalBrief::of(&self.object()).expect("it has a name");
        let key = ObjectKey::new("n", "unknown");
        let unknown = ProposalBrief { key, is_accepted: true, ..own.clone() };
        let briefs = [vec![own], if with_unknown { vec![unknown] } else { Vec::new() }].concat();
        self.histories.demands(&briefs, now)
    }

    /// A platform's children.
    pub(super) fn platform(&self, ingest: i32, tally: i32) -> LiveChildren {
        let of = |name: &str, replicas: i32| {
            (ChildKind::Deployment, Arc::new(deployment(name, replicas.into(), replicas.into())))
        };
        if ingest == 0 { Vec::new() } else { vec![of("ingest", ingest), of("tally", tally)] }
    }

    pub(super) fn validated(&self) -> ValidatedProposal {
        let platform: GovernancePlatform = serde_json::from_value(json!({
            "metadata": {"name": "default", "namespace": "n"},
            "spec": {
                "domain": "test", "kafka": {"bootstrapServers": ["kafka:9092"]},
                "redis": {"single": {"address": "redis"}}, "signingKeySecretRef": {"name": "s", "key": "k"},
                "limits": self.limits,
            },
        }))
        .expect("a platform");
        let resource: GovernanceProposal = serde_json::from_value(self.resource.clone()).expect("a proposal");
        let platform_key = Key { primary: Primary::Platform, object: ObjectKey::new("n", "default") };
        let observed = ProposalObserved {
            seen: seen(self.owner(), resource),
            children: Vec::new(),
            platform: PlatformSeen::Found(Box::new(seen(Owner::new(platform_key, "uid-9"), platform))),
            others: Vec::new(),
            before: Box::default(),
            book: None,
            standing: None,
        };
        validate::proposal(&observed, &OwnImage::default(), Timestamp::UNIX_EPOCH).expect("it is valid")
    }

    fn conditions(&self) -> Vec<Condition> {
        let reason = if self.was_behind { reasons::BEHIND } else { reasons::AS_EXPECTED };
        vec![condition(types::CAUGHT_UP, reason)]
    }
}

fn seen<K>(owner: Owner, resource: K) -> Seen<K> {
    let conditions = vec![condition(types::ACCEPTED, reasons::AS_EXPECTED)];
    Seen { owner, resource, generation: Some(1), conditions, is_deleted: false }
}

fn condition(kind: &str, reason: &str) -> Condition {
    Condition {
        type_: kind.to_owned(),
        status: "True".to_owned(),
        reason: reason.to_owned(),
        message: String::new(),
        observed_generation: Some(1),
        last_transition_time: Time(Timestamp::UNIX_EPOCH),
    }
}

fn deployment(component: &str, desired: i64, ready: i64) -> DynamicObject {
    let data = json!({"spec": {"replicas": desired}, "status": {"readyReplicas": ready}});
    let mut object = DynamicObject::new(component, &ChildKind::Deployment.resource()).within("n").data(data);
    object.metadata.labels = Some([(COMPONENT_LABEL.to_owned(), component.to_owned())].into());
    object
}

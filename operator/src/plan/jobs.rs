//! Which Jobs a proposal needs now, and what becomes of those that failed.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::core::DynamicObject;
use pnyx_core::{
    chain::SnapshotRule,
    decisions::ProposalDecisions,
    time::{TimestampMs, WindowPosition},
};
use serde_json::Value;

use super::{COMPONENT_LABEL, Effect};
use crate::{
    build::Component,
    kinds::{ChildKind, ObjectKey},
    observe::LiveChildren,
};

/// A Job that failed, after six pods of its own, is begun anew after this: what it needed may be back.
const FAILED_AGAIN: SignedDuration = SignedDuration::from_mins(2);

/// Which Jobs there shall be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct JobsWanted {
    /// One that decides the blocks at which chains are read.
    pub pins: bool,
    /// One that closes the proposal.
    pub recounts: bool,
}

/// What is open of a proposal now. A disputed one keeps its Job, which says what differs, until a person has looked.
/// While nobody reads the log, what is there stays.
pub fn jobs_wanted(decisions: Option<&ProposalDecisions>, children: &LiveChildren, now: TimestampMs) -> JobsWanted {
    let Some(decisions) = decisions else {
        return JobsWanted {
            pins: is_there(children, Component::Pin),
            recounts: is_there(children, Component::Recount),
        };
    };
    let proposal = decisions.definition.proposal();
    let is_over = proposal.window().position(now) == WindowPosition::After;
    JobsWanted {
        pins: decisions.waits_for_pins() && now >= pins_from(decisions),
        recounts: is_over && decisions.result.is_none(),
    }
}

fn is_there(children: &LiveChildren, component: Component) -> bool {
    let mut jobs = children.iter().filter(|(kind, _)| *kind == ChildKind::Job);
    jobs.any(|(_, job)| {
        let label = job.metadata.labels.as_ref().and_then(|labels| labels.get(COMPONENT_LABEL));
        label.is_some_and(|label| label == component.word())
    })
}

/// From when on all of its rules can name a block.
pub(super) fn pins_from(decisions: &ProposalDecisions) -> TimestampMs {
    let rules = decisions.definition.proposal().parts().snapshots.values();
    let time = |rule: &SnapshotRule| match rule {
        SnapshotRule::Block(_) => TimestampMs(0),
        SnapshotRule::AtOrBefore(time) => *time,
    };
    rules.map(time).max().unwrap_or(TimestampMs(0))
}

/// Why a Job failed and when, if it did.
fn failure(job: &DynamicObject) -> Option<Condition> {
    let conditions = job.data.pointer("/status/conditions").and_then(Value::as_array)?;
    let mut read =
        conditions.iter().filter_map(|condition| serde_json::from_value::<Condition>(with_reason(condition)).ok());
    read.find(|condition| condition.type_ == "Failed" && condition.status == "True")
}

/// Conditions of Jobs may leave out what ours never do.
fn with_reason(condition: &Value) -> Value {
    let mut condition = condition.clone();
    for field in ["reason", "message"] {
        if condition[field].is_null() {
            condition[field] = "".into();
        }
    }
    condition
}

/// The message of a Job that failed and waits to be begun anew.
pub(super) fn failed(children: &LiveChildren) -> Option<String> {
    let mut jobs = children.iter().filter(|(kind, _)| *kind == ChildKind::Job);
    jobs.find_map(|(_, job)| {
        let failure = failure(job)?;
        let name = job.metadata.name.as_deref().unwrap_or_default();
        Some(format!("Job {name} failed: {}: {}", failure.reason, failure.message))
    })
}

/// Removes Jobs that failed long enough ago, so that they are made anew at the next look.
pub(super) fn begin_anew(children: &LiveChildren, now: Timestamp) -> Vec<Effect> {
    let is_due = |job: &DynamicObject| {
        failure(job).is_some_and(|failure| now.duration_since(failure.last_transition_time.0) >= FAILED_AGAIN)
    };
    let jobs = children.iter().filter(|(kind, job)| *kind == ChildKind::Job && is_due(job));
    let delete = |(kind, job): &(ChildKind, std::sync::Arc<DynamicObject>)| {
        let metadata = &job.metadata;
        let key = ObjectKey::new(metadata.namespace.clone()?, metadata.name.clone()?);
        Some(Effect::Delete { kind: *kind, key, uid: metadata.uid.clone()? })
    };
    jobs.filter_map(delete).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;

    #[test]
    fn a_job_that_failed_is_begun_anew_after_a_while() {
        let job = |status: Value| {
            let mut job = DynamicObject::new("vote-recount", &ChildKind::Job.resource()).within("n");
            job.metadata.uid = Some("1".to_owned());
            vec![(ChildKind::Job, Arc::new(job.data(json!({"status": {"conditions": status}}))))]
        };
        let at = |time: &str| time.parse::<Timestamp>().expect("RFC 3339");
        let failed_at = "2026-11-22T10:00:00Z";
        let children = job(json!([
            {"type": "FailureTarget", "status": "True", "lastTransitionTime": failed_at},
            {"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "it failed", "lastTransitionTime": failed_at},
        ]));
        assert!(begin_anew(&children, at("2026-11-22T10:01:59Z")).is_empty());
        let effects = begin_anew(&children, at("2026-11-22T10:02:00Z"));
        assert_eq!(effects.iter().map(ToString::to_string).collect::<Vec<_>>(), ["delete Job n/vote-recount"]);
        assert_eq!(failed(&children).as_deref(), Some("Job vote-recount failed: BackoffLimitExceeded: it failed"));
        // Nobody reads the log: a Job that is there stays, and none is made.
        assert_eq!(jobs_wanted(None, &children, TimestampMs(0)), JobsWanted::default(), "it has no label");
        let mut labelled = (*children[0].1).clone();
        labelled.metadata.labels = Some([(COMPONENT_LABEL.to_owned(), "recount".to_owned())].into());
        let labelled = vec![(ChildKind::Job, Arc::new(labelled))];
        assert_eq!(jobs_wanted(None, &labelled, TimestampMs(0)), JobsWanted { pins: false, recounts: true });
        let running = job(json!([{"type": "Failed", "status": "False", "lastTransitionTime": failed_at}]));
        assert!(begin_anew(&running, at("2026-11-23T10:00:00Z")).is_empty() && failed(&running).is_none());
    }
}

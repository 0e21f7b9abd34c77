//! Which Jobs a proposal needs now, and what becomes of those that failed.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::core::DynamicObject;
use pnyx_core::{
    decisions::ProposalDecisions,
    id::ProposalId,
    time::{TimestampMs, WindowPosition},
};
use serde_json::Value;

use super::{COMPONENT_LABEL, Effect, workload};
use crate::{
    build::Component,
    kinds::{ChildKind, ObjectKey},
    observe::LiveChildren,
};

/// A Job that failed, after six pods of its own, or ended without what it was for, is begun anew after this: what it needed
/// may be back.
const ENDED_AGAIN: SignedDuration = SignedDuration::from_mins(2);

/// The same of one that failed because of how a pod ended, and not of how often: a person has to look first.
const REFUSED_AGAIN: SignedDuration = SignedDuration::from_hours(1);

/// The reason of such a failure.
pub(super) const BY_POLICY: &str = "PodFailurePolicy";

/// Conditions of Jobs.
pub(super) const FAILED: &str = "Failed";
pub(super) const COMPLETE: &str = "Complete";

/// Which Jobs there shall be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct JobsWanted {
    /// One that decides the blocks at which chains are read.
    pub pins: bool,
    /// One that closes the proposal.
    pub recounts: bool,
}

/// What is open of a proposal now. A disputed one keeps its Job, which says what differs, until a person has looked.
/// While nobody reads the log, what is there stays. Where archives are kept outside the log (`keeps_archives`), what closes a
/// proposal stores its archive, too.
pub fn jobs_wanted(
    decisions: Option<&ProposalDecisions>,
    children: &LiveChildren,
    keeps_archives: bool,
    now: TimestampMs,
) -> JobsWanted {
    let Some(decisions) = decisions else {
        return JobsWanted {
            pins: is_there(children, Component::Pin),
            recounts: is_there(children, Component::Recount),
        };
    };
    let proposal = decisions.definition.proposal();
    // Clocks may be set back, a cut is not.
    let is_over = decisions.cut.is_some() || proposal.window().position(now) == WindowPosition::After;
    JobsWanted {
        pins: decisions.waits_for_pins() && now >= proposal.snapshots_from(),
        recounts: is_over && (decisions.result.is_none() || (keeps_archives && decisions.archive.is_none())),
    }
}

fn is_there(children: &LiveChildren, component: Component) -> bool {
    jobs(children).any(|job| is_of(job, component))
}

pub(super) fn jobs(children: &LiveChildren) -> impl Iterator<Item = &DynamicObject> {
    children.iter().filter(|(kind, _)| *kind == ChildKind::Job).map(|(_, job)| &**job)
}

/// Whether an object, such as a Job, is of a component.
pub(super) fn is_of(object: &DynamicObject, component: Component) -> bool {
    let label = object.metadata.labels.as_ref().and_then(|labels| labels.get(COMPONENT_LABEL));
    label.is_some_and(|label| label == component.word())
}

/// How a Job ended, if it did: its condition of this type.
pub(super) fn ended(job: &DynamicObject, kind: &str) -> Option<Condition> {
    let conditions = job.data.pointer("/status/conditions").and_then(Value::as_array)?;
    let read = |condition: &Value| serde_json::from_value::<Condition>(with_reason(condition)).ok();
    conditions.iter().filter_map(read).find(|condition| condition.type_ == kind && condition.status == "True")
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

/// What is said of a component's Job that failed and waits to be begun anew.
pub(super) fn failed(children: &LiveChildren, component: Component) -> Option<String> {
    let failure = jobs(children).filter(|job| is_of(job, component)).find_map(|job| ended(job, FAILED))?;
    Some(failure_words(component, &failure))
}

/// What is said of how it failed.
pub(super) fn failure_words(component: Component, failure: &Condition) -> String {
    let name = component.word();
    format!("the Job of {name} failed and is begun anew: {}: {}", failure.reason, failure.message)
}

/// Removes Jobs so that they are made anew at the next look, if they are still wanted: those that ended long enough ago, and
/// those of another vote of the same name, at once. What one says that `is_kept` is left for a person to look at.
pub(super) fn begin_anew(children: &LiveChildren, id: ProposalId, is_kept: bool, now: Timestamp) -> Vec<Effect> {
    let has_rested = |end: Condition| {
        let rest = if end.reason == BY_POLICY { REFUSED_AGAIN } else { ENDED_AGAIN };
        now.duration_since(end.last_transition_time.0) >= rest
    };
    let is_due = |job: &DynamicObject| {
        let end = [FAILED, COMPLETE].into_iter().find_map(|kind| ended(job, kind));
        !workload::runs_for(job, id) || (!is_kept && end.is_some_and(has_rested))
    };
    let delete = |job: &DynamicObject| {
        let metadata = &job.metadata;
        let key = ObjectKey::new(metadata.namespace.clone()?, metadata.name.clone()?);
        let is_going = metadata.deletion_timestamp.is_some();
        Some(Effect::Delete { kind: ChildKind::Job, key, uid: metadata.uid.clone()? }).filter(|_| !is_going)
    };
    jobs(children).filter(|job| is_due(job)).filter_map(delete).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;

    const ENDED_AT: &str = "2026-11-22T10:00:00Z";

    fn at(time: &str) -> Timestamp {
        time.parse().expect("RFC 3339")
    }

    fn id() -> ProposalId {
        ProposalId::new([1; 32])
    }

    fn job(id: ProposalId, conditions: &Value) -> LiveChildren {
        let mut job = DynamicObject::new("vote-recount", &ChildKind::Job.resource()).within("n");
        job.metadata.uid = Some("1".to_owned());
        job.metadata.labels = Some([(COMPONENT_LABEL.to_owned(), "recount".to_owned())].into());
        let pods = json!({"spec": {"containers": [{"args": ["recount", id.to_string()]}]}});
        let data = json!({"spec": {"template": pods}, "status": {"conditions": conditions}});
        vec![(ChildKind::Job, Arc::new(job.data(data)))]
    }

    fn words(effects: &[Effect]) -> Vec<String> {
        effects.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_job_that_ended_is_begun_anew_after_a_while() {
        let failed_job = job(
            id(),
            &json!([
                {"type": "FailureTarget", "status": "True", "lastTransitionTime": ENDED_AT},
                {"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "it failed", "lastTransitionTime": ENDED_AT},
            ]),
        );
        let (soon, late) = (at("2026-11-22T10:01:59Z"), at("2026-11-22T10:02:00Z"));
        assert!(begin_anew(&failed_job, id(), false, soon).is_empty());
        assert_eq!(words(&begin_anew(&failed_job, id(), false, late)), ["delete Job n/vote-recount"]);
        assert!(begin_anew(&failed_job, id(), true, late).is_empty(), "a person has to look at it");
        let said = failed(&failed_job, Component::Recount).expect("it failed");
        assert!(said.ends_with("BackoffLimitExceeded: it failed"), "{said}");
        assert_eq!(failed(&failed_job, Component::Pin), None);
        let refused =
            json!([{"type": "Failed", "status": "True", "reason": BY_POLICY, "lastTransitionTime": ENDED_AT}]);
        let (refused, much_later) = (job(id(), &refused), at("2026-11-22T11:00:00Z"));
        assert!(begin_anew(&refused, id(), false, late).is_empty(), "it would end the same");
        assert_eq!(begin_anew(&refused, id(), false, much_later).len(), 1);
        let complete = job(id(), &json!([{"type": "Complete", "status": "True", "lastTransitionTime": ENDED_AT}]));
        assert_eq!(begin_anew(&complete, id(), false, late).len(), 1, "it is wanted, so it did not do what it should");
        let running = job(id(), &json!([{"type": "Failed", "status": "False", "lastTransitionTime": ENDED_AT}]));
        assert!(begin_anew(&running, id(), false, late).is_empty() && failed(&running, Component::Recount).is_none());
        let of_another = begin_anew(&running, ProposalId::new([2; 32]), false, soon);
        assert_eq!(words(&of_another), ["delete Job n/vote-recount"]);
    }

    #[test]
    fn a_job_stays_while_nobody_reads_the_log_and_none_is_made() {
        let there = job(id(), &json!([]));
        assert_eq!(jobs_wanted(None, &there, false, TimestampMs(0)), JobsWanted { pins: false, recounts: true });
        assert_eq!(jobs_wanted(None, &Vec::new(), true, TimestampMs(0)), JobsWanted::default());
    }
}

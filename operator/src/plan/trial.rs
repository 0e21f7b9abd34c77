//! What comes before a proposal that reads chains binds anybody: its strategies are tried by a Job, because the operator
//! itself knows no chain. How the Job ended says what came of it.

use pnyx_core::{id::ProposalId, proposal::Proposal};

use super::{
    jobs::{self, BY_POLICY, COMPLETE, FAILED},
    workload,
};
use crate::{build::Component, kinds::ObjectKey, observe::LiveChildren, validate::ValidatedProposal};

/// What is known of a trial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trial {
    /// It has not ended, or not begun.
    Awaited,
    /// Nothing speaks against the strategies: they can answer, or a chain could not be asked just now.
    Passed,
    /// A strategy can never answer: this Job says which.
    Refuted(ObjectKey),
    /// It could not be done, for this reason.
    Failed(String),
}

/// Whether a proposal is tried before anything else is made for it.
pub fn is_tried_first(validated: &ValidatedProposal) -> bool {
    !validated.is_defined() && reads_chains(validated.proposal())
}

/// Whether there is anything to try.
pub(super) fn reads_chains(proposal: &Proposal) -> bool {
    !proposal.parts().snapshots.is_empty()
}

/// What belongs to a trial of all that a proposal has.
pub(super) fn children(children: &LiveChildren) -> LiveChildren {
    children.iter().filter(|(_, object)| jobs::is_of(object, Component::Trial)).cloned().collect()
}

/// How the trial of this very proposal stands: what was tried of another spec says nothing. A Job that somebody deletes is
/// to be begun anew.
pub(super) fn trial(children: &LiveChildren, id: ProposalId) -> Trial {
    let is_it = |job: &&kube::core::DynamicObject| {
        jobs::is_of(job, Component::Trial) && workload::runs_for(job, id) && job.metadata.deletion_timestamp.is_none()
    };
    let Some(job) = jobs::jobs(children).find(is_it) else { return Trial::Awaited };
    if jobs::ended(job, COMPLETE).is_some() {
        return Trial::Passed;
    }
    match jobs::ended(job, FAILED) {
        None => Trial::Awaited,
        Some(failure) if failure.reason == BY_POLICY => {
            let (namespace, name) = (job.metadata.namespace.clone(), job.metadata.name.clone());
            Trial::Refuted(ObjectKey::new(namespace.unwrap_or_default(), name.unwrap_or_default()))
        }
        Some(failure) => Trial::Failed(jobs::failure_words(Component::Trial, &failure)),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use kube::core::DynamicObject;
    use serde_json::{Value, json};

    use super::*;
    use crate::{kinds::ChildKind, plan::COMPONENT_LABEL};

    fn id(byte: u8) -> ProposalId {
        ProposalId::new([byte; 32])
    }

    /// A Job that tries proposal 1.
    fn job(component: &str, conditions: &Value) -> LiveChildren {
        let mut job = DynamicObject::new("vote-trial", &ChildKind::Job.resource()).within("n");
        job.metadata.labels = Some([(COMPONENT_LABEL.to_owned(), component.to_owned())].into());
        let file = format!("/etc/pnyx/proposals/{}", id(1));
        let pods = json!({"spec": {"containers": [{"args": ["propose", "--only-try", file]}]}});
        let data = json!({"spec": {"template": pods}, "status": {"conditions": conditions}});
        vec![(ChildKind::Job, Arc::new(job.data(data)))]
    }

    fn ended(kind: &str, reason: &str) -> LiveChildren {
        let at = "2026-11-22T10:00:00Z";
        let end = json!({"type": kind, "status": "True", "reason": reason, "message": "so", "lastTransitionTime": at});
        job("trial", &json!([end]))
    }

    #[test]
    fn how_a_job_ended_says_what_came_of_the_trial() {
        assert_eq!(trial(&Vec::new(), id(1)), Trial::Awaited);
        assert_eq!(trial(&job("trial", &json!([])), id(1)), Trial::Awaited);
        assert_eq!(trial(&ended("FailureTarget", BY_POLICY), id(1)), Trial::Awaited, "its pods have not all ended");
        assert_eq!(trial(&ended("Complete", "CompletionsReached"), id(1)), Trial::Passed);
        let refuted = Trial::Refuted(ObjectKey::new("n", "vote-trial"));
        assert_eq!(trial(&ended("Failed", BY_POLICY), id(1)), refuted);
        let words = "the Job of trial failed and is begun anew: BackoffLimitExceeded: so";
        assert_eq!(trial(&ended("Failed", "BackoffLimitExceeded"), id(1)), Trial::Failed(words.to_owned()));
    }

    #[test]
    fn a_job_of_another_spec_or_one_that_goes_says_nothing() {
        let passed = ended("Complete", "");
        assert_eq!(trial(&passed, id(2)), Trial::Awaited);
        let mut going = (*passed[0].1).clone();
        going.metadata.deletion_timestamp =
            Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(jiff::Timestamp::UNIX_EPOCH));
        assert_eq!(trial(&vec![(ChildKind::Job, Arc::new(going))], id(1)), Trial::Awaited);
        let recount = job(
            "recount",
            &json!([{"type": "Complete", "status": "True", "lastTransitionTime": "2026-11-22T10:00:00Z"}]),
        );
        assert_eq!(trial(&recount, id(1)), Trial::Awaited);
        assert!(children(&recount).is_empty() && children(&passed).len() == 1);
    }
}

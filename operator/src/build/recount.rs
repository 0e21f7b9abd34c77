//! What runs once for a proposal: the decision of the blocks it is read at, and its close.
//!
//! A Job's pods cannot be changed once it is made. So the plan leaves a Job that differs from what is wanted as it is; it
//! is made anew only when it is gone.

use k8s_openapi::api::batch::v1::{
    Job, JobSpec, PodFailurePolicy, PodFailurePolicyOnExitCodesRequirement, PodFailurePolicyOnPodConditionsPattern,
    PodFailurePolicyRule,
};
use pnyx_core::id::ProposalId;

use super::{
    deployment::configuration_argument,
    part::Part,
    pod::{self, Restart},
};

/// How often it is tried again, with pauses that double from 10 s: about ten minutes in which what failed may come back.
/// After that somebody has to know.
const RETRIES: i32 = 6;

/// How `pnyx recount` ends where the recount differs from the live tally: a person has to look, and a second recount would
/// say the same.
const EXIT_DIFFERS: i32 = 1;

/// How it ends where the result stands and its archive cannot be stored whenever it is tried: topics went before a place was
/// named, or the log holds another archive. Six more pods would each read the whole log and say the same.
const EXIT_LASTING: i32 = 3;

/// Closes a proposal. It waits for the end of the window and for the drain by itself.
pub(super) fn recount(part: &Part<'_>, id: ProposalId) -> Job {
    let at_once = [EXIT_DIFFERS, EXIT_LASTING].map(|code| fails_at_once(part, code));
    job(part, words(id, &["--wait", "--json"]), at_once.into_iter().chain([disrupted()]).collect())
}

/// Decides a proposal's blocks once they are final.
pub(super) fn pin(part: &Part<'_>, id: ProposalId) -> Job {
    job(part, words(id, &["--pin"]), vec![disrupted()])
}

fn words(id: ProposalId, flags: &[&str]) -> Vec<String> {
    let words = ["recount".to_owned(), id.to_string()].into_iter();
    words.chain(flags.iter().map(|&flag| flag.to_owned())).collect()
}

/// A Job with what stands behind `pnyx` beside configuration.
pub(super) fn job(part: &Part<'_>, words: Vec<String>, rules: Vec<PodFailurePolicyRule>) -> Job {
    let arguments = words.into_iter().chain(configuration_argument()).collect();
    let spec = JobSpec {
        completions: Some(1),
        parallelism: Some(1),
        backoff_limit: Some(RETRIES),
        // One after the other: a pod that is ending is waited for.
        pod_replacement_policy: Some("Failed".to_owned()),
        pod_failure_policy: Some(PodFailurePolicy { rules }),
        template: pod::template(part, arguments, Restart::Never),
        ..JobSpec::default()
    };
    Job { metadata: part.metadata(), spec: Some(spec), ..Job::default() }
}

/// A pod that ends so would end so again.
pub(super) fn fails_at_once(part: &Part<'_>, exit_code: i32) -> PodFailurePolicyRule {
    PodFailurePolicyRule {
        action: "FailJob".to_owned(),
        on_exit_codes: Some(PodFailurePolicyOnExitCodesRequirement {
            container_name: Some(part.component.word().to_owned()),
            operator: "In".to_owned(),
            values: vec![exit_code],
        }),
        on_pod_conditions: None,
    }
}

/// A pod that a node's drain took away did not fail.
pub(super) fn disrupted() -> PodFailurePolicyRule {
    let (type_, status) = ("DisruptionTarget".to_owned(), Some("True".to_owned()));
    PodFailurePolicyRule {
        action: "Ignore".to_owned(),
        on_exit_codes: None,
        on_pod_conditions: Some(vec![PodFailurePolicyOnPodConditionsPattern { type_, status }]),
    }
}

//! What comes before a proposal that reads chains is recorded, with a real Kafka. No Job runs here: the test says how each
//! ended.

use jiff::{SignedDuration, Timestamp};
use kube::api::DynamicObject;
use pnyx_crds::conditions::proposal;
use pnyx_operator::Primary;
use pnyx_testbed::kubernetes::ControlPlaneOptions;
use serde_json::{Value, json};

use crate::{
    bed::{Bed, Reader},
    running::{api, change, create, proposal_spec},
    support::until,
};

const JOB: &str = "job/vote-trial";

#[tokio::test(flavor = "multi_thread")]
async fn strategies_are_tried_before_a_proposal_is_recorded() {
    let bed = Bed::start(ControlPlaneOptions::new()).await;
    let endpoint = json!({"name": "one", "urlSecretRef": {"name": "signing", "key": "key"}});
    let chains = json!({"chains": [{"chainId": "1", "endpoints": [endpoint]}]});
    change(&bed.client, Primary::Platform, "default", chains).await;
    let operator = bed.operator().await;
    let hour = SignedDuration::from_hours(1);
    let mut spec = proposal_spec(hour, hour);
    spec["power"]["strategies"] = json!([{"ethBalance": {"network": "1"}}]);
    create(&bed.client, Primary::Proposal, "vote", spec).await;

    bed.says("vote", proposal::ACCEPTED, "Unknown TryingStrategies").await;
    let first = job_of(&bed, "").await;
    assert!(bed.names("configmaps").contains(&"configmap/vote-trial".to_owned()));
    assert!(finalizers(&vote(&bed).await).is_empty(), "nothing holds it");
    end(&bed, &["FailureTarget", "Failed"], "PodFailurePolicy");
    let said = bed.says("vote", proposal::ACCEPTED, "False StrategyFails").await;
    assert!(said.ends_with("`kubectl logs job/vote-trial -n default` says which"), "{said}");
    let events = bed.control_plane.kubectl(&["get", "events", "--output=jsonpath={.items[*].reason}"]).expect("events");
    assert!(events.contains("StrategyFails"), "{events}");

    // It is mended: another proposal, which is tried at once.
    change(&bed.client, Primary::Proposal, "vote", json!({"title": "A better vote"})).await;
    job_of(&bed, &first).await;
    bed.says("vote", proposal::ACCEPTED, "Unknown TryingStrategies").await;
    let reader = Reader::open(&bed.kafka).await;
    assert!(reader.proposals.book().proposals().is_empty(), "nothing is recorded before");
    end(&bed, &["SuccessCriteriaMet", "Complete"], "CompletionsReached");
    bed.says("vote", proposal::ACCEPTED, "True").await;
    until("nothing is left of the trial", || async {
        let left = bed.names("jobs,configmaps,serviceaccounts,networkpolicies");
        left.iter().all(|name| !name.ends_with("vote-trial")).then_some(())
    })
    .await;
    assert_eq!(finalizers(&vote(&bed).await).len(), 1, "it is held");
    until("its verifiers are there", || async {
        bed.names("deployments").contains(&"deployment.apps/vote-verifier".to_owned()).then_some(())
    })
    .await;
    operator.stop().await;
}

/// The uid of the Job, once there is another one than that.
async fn job_of(bed: &Bed, before: &str) -> String {
    until("its Job is there", || async {
        let uid = bed.control_plane.kubectl(&["get", JOB, "--ignore-not-found", "--output=jsonpath={.metadata.uid}"]);
        uid.ok().filter(|uid| !uid.is_empty() && uid != before)
    })
    .await
}

/// Says how the Job ended, as its controller does.
fn end(bed: &Bed, conditions: &[&str], reason: &str) {
    let now = Timestamp::from_second(Timestamp::now().as_second()).expect("now").to_string();
    let condition = |kind: &&str| json!({"type": kind, "status": "True", "reason": reason, "message": "so", "lastTransitionTime": now});
    let mut status = json!({"startTime": now, "conditions": conditions.iter().map(condition).collect::<Value>()});
    if conditions.contains(&"Complete") {
        status["completionTime"] = now.clone().into();
    }
    let patch = json!({"status": status}).to_string();
    bed.control_plane
        .kubectl(&["patch", JOB, "--subresource=status", "--type=merge", "--patch", &patch])
        .expect("taken");
}

async fn vote(bed: &Bed) -> DynamicObject {
    api(&bed.client, Primary::Proposal).get("vote").await.expect("it is there")
}

fn finalizers(object: &DynamicObject) -> &[String] {
    object.metadata.finalizers.as_deref().unwrap_or_default()
}

//! Proposals that are deleted: drained first, with or without their topics, and never held for long.

use std::time::Duration;

use jiff::SignedDuration;
use kube::api::{DeleteParams, Patch, PatchParams};
use pnyx_backbone::log::{AppendTo, LogError, Topic, VERIFIER_GROUP};
use pnyx_core::id::ProposalId;
use pnyx_crds::conditions::proposal;
use pnyx_operator::{Primary, plan::FINALIZER};
use pnyx_testbed::kubernetes::ControlPlaneOptions;
use serde_json::{Value, json};

use crate::{
    bed::{Bed, Reader, platform_spec},
    running::{api, change, create, proposal_spec},
    support::{until, until_within},
};

/// Longest that a deletion waits in these tests, where it waits in vain.
const SHORT_LIMIT: Duration = Duration::from_secs(4);

impl Bed {
    /// Makes a proposal whose window is open, waits until it is accepted and has verifiers, and says its id.
    async fn open_vote(&self, name: &str, more: Value) -> ProposalId {
        let mut spec = proposal_spec(SignedDuration::from_secs(-60), SignedDuration::from_hours(1));
        spec.as_object_mut().expect("a spec").extend(more.as_object().cloned().unwrap_or_default());
        create(&self.client, Primary::Proposal, name, spec).await;
        self.says(name, proposal::ACCEPTED, "True").await;
        let verifiers = format!("deployment.apps/{name}-verifier");
        until("its verifiers are there", || async { self.names("deployments").contains(&verifiers).then_some(()) })
            .await;
        self.status(name).await["proposalId"].as_str().expect("it has one").parse().expect("an id")
    }

    async fn delete(&self, name: &str) {
        api(&self.client, Primary::Proposal).delete(name, &DeleteParams::default()).await.expect("it is there");
    }

    async fn finalizers(&self, name: &str) -> Option<Vec<String>> {
        let found = api(&self.client, Primary::Proposal).get_opt(name).await.expect("the API server answers")?;
        Some(found.metadata.finalizers.unwrap_or_default())
    }

    async fn gone(&self, name: &str) {
        until(&format!("{name} is gone"), || async { self.finalizers(name).await.is_none().then_some(()) }).await;
    }

    /// What people were told of a proposal, as `reason: note`.
    fn told(&self, name: &str) -> String {
        let field = format!("--field-selector=regarding.name={name}");
        let path = r#"--output=jsonpath={range .items[*]}{.reason}: {.note}{"\n"}{end}"#;
        self.control_plane.kubectl(&["get", "events.events.k8s.io", &field, path]).expect("events can be listed")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proposal_goes_once_it_is_drained_counted_or_late() {
    let bed = Bed::start(ControlPlaneOptions::new()).await;
    let (operator, reader) = (bed.operator().await, Reader::open(&bed.kafka).await);

    // What waits is verified first; what others wait for is theirs.
    let id = bed.open_vote("drained", json!({})).await;
    assert_eq!(bed.finalizers("drained").await.as_deref(), Some(&[FINALIZER.to_owned()][..]));
    let both = Patch::Merge(json!({"metadata": {"finalizers": ["example.org/theirs", FINALIZER]}}));
    api(&bed.client, Primary::Proposal).patch("drained", &PatchParams::default(), &both).await.expect("it is taken");
    reader.log.append(&Topic::ballots(id), AppendTo::Partition(0), b"a ballot".to_vec()).await.expect("it is durable");
    bed.delete("drained").await;
    let said = bed.says("drained", proposal::READY, "False Deleting").await;
    assert!(said.ends_with("once the ballots that came before it are verified"), "{said}");
    // Longer than between two looks at its topics.
    tokio::time::sleep(Duration::from_secs(7)).await;
    assert_eq!(bed.finalizers("drained").await.map(|all| all.len()), Some(2), "it waits");
    let mut verifier = reader.log.subscribe(&Topic::ballots(id), VERIFIER_GROUP).expect("it is there");
    let batch = verifier.next_batch(1, &std::collections::BTreeSet::new()).await.expect("there is one");
    verifier.commit(batch.partition, 1).await.expect("it is ours");
    until("it is let go", || async { (bed.finalizers("drained").await? == ["example.org/theirs"]).then_some(()) })
        .await;
    let none = Patch::Merge(json!({"metadata": {"finalizers": []}}));
    api(&bed.client, Primary::Proposal).patch("drained", &PatchParams::default(), &none).await.expect("it is taken");
    bed.gone("drained").await;
    let told = bed.told("drained");
    assert!(told.contains("Deleting: waits until the ballots") && told.contains("Released: nothing is left"), "{told}");
    assert!(reader.log.partitions(&Topic::ballots(id)).await.is_ok(), "its topics are the vote");

    // What is counted goes with its topics, if it says so.
    let id = bed.open_vote("counted", json!({"deletionPolicy": "Delete"})).await;
    let cut = reader.cut(id).await;
    reader.publish(cut).await;
    bed.says("counted", proposal::RECOUNTED, "True Published").await;
    bed.delete("counted").await;
    bed.gone("counted").await;
    for topic in [Topic::ballots(id), Topic::verdicts(id)] {
        let looked = reader.log.partitions(&topic).await;
        assert!(matches!(looked, Err(LogError::UnknownTopic { .. })), "{topic}: {looked:?}");
        reader.log.delete_topic(&topic).await.expect("it is gone already");
    }
    assert!(reader.proposals.book().get(id).is_some_and(|decisions| decisions.result.is_some()), "decisions stay");

    // What is not accepted is held by nobody, and what is paused waits for nothing.
    let mut refused = proposal_spec(SignedDuration::from_hours(1), SignedDuration::from_hours(1));
    refused["platformRef"] = json!({"name": "other"});
    create(&bed.client, Primary::Proposal, "refused", refused).await;
    bed.says("refused", proposal::ACCEPTED, "False PlatformNotFound").await;
    assert_eq!(bed.finalizers("refused").await, Some(Vec::new()));
    bed.open_vote("paused", json!({"deletionPolicy": "Delete"})).await;
    change(&bed.client, Primary::Proposal, "paused", json!({"paused": true})).await;
    bed.delete("paused").await;
    bed.gone("paused").await;
    let told = bed.told("paused");
    assert!(told.contains("ReleasedUndone: it is paused") && told.contains("its topics stay"), "{told}");
    operator.stop().await;

    // A broker that is away keeps nobody for longer than the limit.
    let operator = bed.operator_with(|config| config.deletion_limit = SHORT_LIMIT).await;
    let id = bed.open_vote("late", json!({})).await;
    reader.log.append(&Topic::ballots(id), AppendTo::Partition(0), b"a ballot".to_vec()).await.expect("it is durable");
    bed.kafka.kill(1).expect("it runs");
    bed.delete("late").await;
    bed.gone("late").await;
    let told = bed.told("late");
    assert!(told.contains("ReleasedUndone: waited for no longer than 4 s; not waited until the ballots"), "{told}");
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_with_a_broken_broker_can_be_deleted() {
    let bed = Bed::start(ControlPlaneOptions::new().controllers()).await;
    // With the limit as it is: it is not what ends this.
    let operator = bed.operator().await;
    let object = |kind: &str, name: &str, spec: Value| {
        let api_version = if kind == "Secret" || kind == "Namespace" { "v1" } else { "pnyx.dev/v1alpha1" };
        let mut object =
            json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": name, "namespace": "dao"}});
        object.as_object_mut().expect("an object").extend(spec.as_object().cloned().unwrap_or_default());
        object
    };
    let vote = |policy: &str| {
        let mut spec = proposal_spec(SignedDuration::from_secs(-60), SignedDuration::from_hours(1));
        spec["deletionPolicy"] = policy.into();
        json!({"spec": spec})
    };
    let items = [
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "dao"}}),
        object("Secret", "signing", json!({"stringData": {"key": "0x"}})),
        object("GovernancePlatform", "default", json!({"spec": platform_spec(&bed.kafka)})),
        object("GovernanceProposal", "open", vote("Retain")),
        object("GovernanceProposal", "counted", vote("Delete")),
    ];
    bed.control_plane.apply(&json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string()).expect("valid");
    let kubectl = |arguments: &[&str]| bed.control_plane.kubectl(arguments);
    kubectl(&["wait", "gprop", "--all", "-n", "dao", "--for=condition=Accepted", "--timeout=30s"]).expect("accepted");
    let id = kubectl(&["get", "gprop/counted", "-n", "dao", "--output=jsonpath={.status.proposalId}"]).expect("an id");
    let reader = Reader::open(&bed.kafka).await;
    let cut = reader.cut(id.parse().expect("an id")).await;
    reader.publish(cut).await;
    kubectl(&["wait", "gprop/counted", "-n", "dao", "--for=condition=Recounted", "--timeout=30s"]).expect("counted");

    bed.kafka.kill(1).expect("it runs");
    kubectl(&["delete", "namespace", "dao", "--wait=false"]).expect("it is deleted");
    until_within(Duration::from_secs(60), "the namespace is gone", || async {
        kubectl(&["get", "namespace", "dao", "--ignore-not-found", "--output=name"]).ok()?.is_empty().then_some(())
    })
    .await;
    operator.stop().await;
}

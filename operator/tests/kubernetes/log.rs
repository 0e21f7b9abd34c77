//! The operator with a real Kafka: what it records, what it reads back, and what it does while the log is away.

use std::time::Duration;

use jiff::SignedDuration;
use pnyx_backbone::log::Topic;
use pnyx_core::id::{ProposalId, Root};
use pnyx_crds::conditions::{platform, proposal};
use pnyx_operator::Primary;
use pnyx_testbed::kubernetes::ControlPlaneOptions;
use serde_json::json;

use crate::{
    bed::{Bed, Reader},
    running::{condition, create, proposal_spec},
    support::{until, until_within},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_proposal_is_recorded_closed_and_its_result_shown() {
    let bed = Bed::start(ControlPlaneOptions::new()).await;
    let operator = bed.operator().await;
    let connected = |said: &str| said.starts_with("True");
    condition(&bed.client, Primary::Platform, "default", platform::KAFKA_READY, connected).await;
    let mut spec = proposal_spec(SignedDuration::from_secs(6), SignedDuration::from_secs(4));
    spec["scaling"] = json!({"maxShards": 3, "lead": "1s"});
    create(&bed.client, Primary::Proposal, "vote", spec).await;

    // Recorded, read back, and only then run.
    bed.says("vote", proposal::ACCEPTED, "True").await;
    bed.says("vote", proposal::TOPICS_READY, "True").await;
    assert_eq!(bed.says("vote", proposal::SNAPSHOT_PINNED, "True").await, "True NotNeeded: no chain is read");
    let reader = Reader::open(&bed.kafka).await;
    let status = bed.status("vote").await;
    let id: ProposalId = status["proposalId"].as_str().expect("it has one").parse().expect("an id");
    let definition = reader.proposals.book().get(id).expect("it is recorded").definition.clone();
    assert_eq!(reader.log.partitions(&Topic::ballots(id)).await.expect("it is there"), 3);
    assert_eq!(reader.log.partitions(&Topic::verdicts(id)).await.expect("it is there"), u32::from(definition.lanes()));
    assert_eq!(status["topics"]["partitions"], 3);
    assert!(status["topics"]["ballots"].as_str().is_some_and(|name| name.ends_with(".ballots")), "{status}");
    until("its verifiers are there", || async {
        bed.names("deployments").contains(&"deployment.apps/vote-verifier".to_owned()).then_some(())
    })
    .await;

    // Its Job closes it; here the decisions that this Job makes are made by the test.
    assert!(bed.names("jobs").is_empty());
    bed.says("vote", proposal::OPEN, "False WindowClosed").await;
    until("its Job is there", || async { (bed.names("jobs") == ["job.batch/vote-recount"]).then_some(()) }).await;
    bed.says("vote", proposal::DRAINED, "False Draining: the cut is not made yet").await;
    let cut = reader.cut(id).await;
    bed.says("vote", proposal::DRAINED, "True").await;
    bed.says("vote", proposal::RECOUNTED, "False Recounting").await;
    assert_eq!(bed.status("vote").await["phase"], "Recounting");

    reader.publish(cut).await;
    bed.says("vote", proposal::RECOUNTED, "True Published").await;
    let status = bed.status("vote").await;
    assert_eq!((&status["phase"], &status["result"]["outcome"]), (&"Final".into(), &"NoBallots".into()));
    assert_eq!(status["result"]["merkleRoot"], Root::new([7; 32]).to_string());
    assert_eq!(status["result"]["cutAt"], "2025-11-24T16:00:00Z");
    let replicas =
        || bed.control_plane.kubectl(&["get", "deployment/vote-verifier", "--output=jsonpath={.spec.replicas}"]);
    until("nothing is verified any more", || async { (replicas().expect("it is there") == "0").then_some(()) }).await;
    let scaling = bed.status("vote").await["scaling"].clone();
    assert_eq!((&scaling["phase"], &scaling["shards"]["to"]), (&"drained".into(), &0.into()), "{scaling}");
    until("nothing is left to close", || async { bed.names("jobs").is_empty().then_some(()) }).await;
    let events = bed.control_plane.kubectl(&["get", "events", "--output=jsonpath={.items[*].reason}"]).expect("events");
    assert!(events.contains("Published"), "{events}");
    operator.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_away_delays_what_is_new_and_takes_nothing_back() {
    let bed = Bed::start(ControlPlaneOptions::new()).await;
    let hour = SignedDuration::from_hours(1);
    let operator = bed.operator().await;
    create(&bed.client, Primary::Proposal, "before", proposal_spec(hour, hour)).await;
    bed.says("before", proposal::ACCEPTED, "True").await;
    until("it has what runs it", || async { (bed.names("deployments").len() == 3).then_some(()) }).await;

    bed.kafka.kill(1).expect("it runs");
    create(&bed.client, Primary::Proposal, "meanwhile", proposal_spec(hour, hour)).await;
    bed.says("meanwhile", proposal::ACCEPTED, "Unknown Recording").await;
    let ready = bed.says("meanwhile", proposal::READY, "False KafkaUnreachable").await;
    assert!(ready.contains("define 0x"), "{ready}");
    // Another operator begins with nothing in its memory, and the log is still away.
    operator.stop().await;
    let operator = bed.operator().await;
    let said = condition(&bed.client, Primary::Platform, "default", platform::KAFKA_READY, |said| {
        said.starts_with("False KafkaUnreachable")
    })
    .await;
    assert!(said.contains("no broker of"), "{said}");
    bed.says("before", proposal::ACCEPTED, "True").await;
    bed.says("meanwhile", proposal::ACCEPTED, "Unknown Recording: it is valid, but whether").await;
    assert_eq!(bed.names("deployments").len(), 3);

    bed.kafka.restart(1).expect("it starts again");
    let accepted = || async {
        let status = bed.status("meanwhile").await;
        let conditions = status["conditions"].as_array().cloned().unwrap_or_default();
        conditions.iter().any(|it| it["type"] == proposal::ACCEPTED && it["status"] == "True").then_some(())
    };
    until_within(Duration::from_secs(60), "what waited is recorded", accepted).await;
    until("it has what runs it", || async { (bed.names("deployments").len() == 4).then_some(()) }).await;
    bed.says("before", proposal::ACCEPTED, "True").await;
    operator.stop().await;
}

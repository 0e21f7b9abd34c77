//! One vote on the node that meets a surge and then one fault after the other: operators, the API server, the broker, pods
//! and the kubelet end and come back while ballots come through the Services. Nothing is lost, nothing is rolled, no shard
//! is taken away while ballots come, and soon after each fault the status is true.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};
use pnyx_testbed::kubernetes::NodePart;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::{
    bed::{Bed, EDGE, READS, opens_at, proposal},
    support::{finished, pod},
    watch::{Seen, Watch, condition, watching},
};

/// How long the window is closed before: the operator is ended again and again meanwhile, and shards start.
const OPENS_IN: SignedDuration = SignedDuration::from_secs(75);

/// How long it is open: the surge and all faults, and the broker alone is away for a minute.
const OPEN_FOR: SignedDuration = SignedDuration::from_secs(215);

/// Ballots, and how many come in a second: for as long as there are faults, and all of them well before the close.
const BALLOTS: &str = "10200";
const RATE: &str = "60";

/// What a shard is said to verify in a second, so that two of them are too few for the surge, and as many as are allowed not.
const RATE_PER_SHARD: u32 = 20;
const WARM_SHARDS: i64 = 2;
const SHARDS_MAX: i64 = 4;

/// How many operators are ended while they look at a new proposal for the first time, each a little longer after it was seen
/// to lead than the one before: it opens the log, makes topics, writes the definition, builds what runs, and says so.
const FIRST_LOOKS: u64 = 8;
const FIRST_LOOK_STEP_MS: u64 = 60;

/// How long the broker is away.
const BROKER_AWAY: Duration = Duration::from_secs(60);

/// How long the kubelet is away.
const KUBELET_AWAY: Duration = Duration::from_secs(4);

/// In how many seconds after a fault the status shall be true again. It is printed beside what it took, and not asserted:
/// the lease alone is half of it, and a machine may be busy with others.
const TRUE_AGAIN_S: u64 = 30;

/// How long something may take that the faults wait for.
const LIMIT: Duration = Duration::from_secs(60);

/// What becomes of the lease when its holder is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lease {
    /// Another operator waits until it has expired.
    Expires,
    /// Taken from the dead, so that many deaths fit into a short time.
    Freed,
}

#[test]
fn a_surge_and_faults_lose_nothing_and_take_nothing_away() {
    let began = Instant::now();
    let archives = tempfile::tempdir().unwrap();
    let bed = Bed::with(&["operator.replicas=2"], |platform| {
        platform["spec"]["archive"] = json!({"persistentVolumeClaim": {"claimName": "archives"}});
    });
    bed.add_claim("archives", archives.path());
    bed.wait_for("gplat/default", "Ready", 120);
    println!("the platform is ready after {} s", began.elapsed().as_secs());
    let mut proposal = proposal(OPENS_IN, OPEN_FOR);
    proposal["spec"]["scaling"] = json!({
        "warmShards": WARM_SHARDS, "maxShards": SHARDS_MAX, "partitions": {"initial": WARM_SHARDS, "max": 2 * SHARDS_MAX},
        "ratePerShard": RATE_PER_SHARD, "lead": "30s", "catchUpTarget": "10s",
    });
    watching(&bed, |watch| {
        bed.node.control_plane().apply(&proposal.to_string()).unwrap();
        end_at_first_looks(watch);
        bed.wait_for("gprop/grants-round", "Prewarmed", 60);
        assert!(Timestamp::now() < opens_at(&proposal), "the shards are ready before the window opens");
        bed.wait_for("gprop/grants-round", "Open", 90);
        let load = ["load", "--ballots", BALLOTS, "--rate", RATE, "--until-final", "--json"];
        let load = [&load[..], &["--url", EDGE, "--read-url", READS]].concat();
        bed.node.control_plane().apply(&pod("load", &load).to_string()).unwrap();
        surge(watch);
        faults(watch);
        let left = (opens_at(&proposal) + OPEN_FOR).duration_since(Timestamp::now());
        assert!(left.is_positive(), "every fault falls into the window");
        println!("the window closes in {} s", left.as_secs());
        println!("{}", finished(&bed.node, "load", 240));
        bed.wait_for("gprop/grants-round", "Recounted", 60);
        let history = watch.history();
        history.windows(2).for_each(check_step);
        decisions(&history).iter().for_each(|decision| println!("{}", decision["message"]));
    });
    let status = bed.status();
    assert_eq!(status["phase"], "Final");
    // The file in the claim is what was stored, and what is served.
    let archive = bed.wait_for_archive();
    let bytes = fs::read(archives.path().join(archive["location"].as_str().unwrap())).unwrap();
    let sha256: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(archive["sha256"], sha256, "{archive}");
    bed.audit("audit", &status);
    bed.wait_until_drained();
    println!("done after {} s", began.elapsed().as_secs());
}

/// Ends each operator that leads, a little later in its first looks than the one before.
fn end_at_first_looks(watch: &Watch<'_>) {
    for look in 0..FIRST_LOOKS {
        let (leading, pause_ms) = (leader(watch.bed).unwrap(), look * FIRST_LOOK_STEP_MS);
        thread::sleep(Duration::from_millis(pause_ms));
        crash(watch.bed, &leading, Lease::Freed);
        let status = watch.latest().map(|seen| seen.proposal).unwrap_or_default();
        let (is_named, is_sized) = (status["proposalId"].is_string(), status["shards"].is_object());
        let accepted = condition(&status, "Accepted");
        println!("ended after {pause_ms} ms: has an id {is_named}, accepted {accepted:?}, has shards {is_sized}");
        next_leader(watch.bed, &leading);
    }
}

/// What comes is more than the warm shards are said to verify. An operator is ended amid it.
fn surge(watch: &Watch<'_>) {
    let has_grown = |seen: &Seen| {
        let is_there = seen.shards().ready > WARM_SHARDS && seen.shards().ready == seen.shards().wanted;
        is_there && seen.proposal["topics"]["partitions"].as_i64() > Some(WARM_SHARDS)
    };
    let is_explained = |seen: &Seen| seen.proposal["scaling"]["shards"]["to"].as_i64() > Some(WARM_SHARDS);
    watch.until("more shards asked for", LIMIT, |seen| seen.shards().wanted > WARM_SHARDS && is_explained(seen));
    let leading = leader(watch.bed).unwrap();
    delete(watch.bed, "pnyx-system", pod_of(&leading));
    let (ended, led) = (Instant::now(), next_leader(watch.bed, &leading));
    watch.until("grown", LIMIT, has_grown);
    settle(watch, "the operator is deleted while it scales", ended, led);
    let grown = decisions(&watch.history()).into_iter().find(|decision| {
        let is_more = |choice: &Value| choice["to"].as_i64() > choice["from"].as_i64();
        is_more(&decision["shards"]) && is_more(&decision["partitions"]) && decision["phase"] == "open"
    });
    let grown = grown.expect("a decision explains the growth");
    let (limit, why) = (&grown["shards"]["limit"], grown["message"].as_str().unwrap());
    assert!(limit == "arrivals" || limit == "backlog", "{grown}");
    assert_eq!(grown["partitions"]["limit"], "grown");
    assert!(why.contains("arrivals") && why.contains("a shard") && why.contains("partitions: grown from 2"), "{why}");
}

fn faults(watch: &Watch<'_>) {
    let bed = watch.bed;
    let leading = leader(bed).unwrap();
    crash(bed, &leading, Lease::Expires);
    let (ended, led) = (Instant::now(), next_leader(bed, &leading));
    settle(watch, "the operator crashes, and its lease runs out", ended, led);

    let pods = |of: &str| {
        let component = format!("--selector=app.kubernetes.io/component={of}");
        let names = bed.kubectl(&["get", "pods", &component, "--output=jsonpath={.items[*].metadata.name}"]).unwrap();
        names.split(' ').map(str::to_owned).collect::<Vec<_>>()
    };
    let shards = pods("verifier");
    bed.node.crash("votes", &shards[0]).unwrap();
    delete(bed, "votes", &shards[1]);
    delete(bed, "votes", &pods("tally")[0]);
    settle(watch, "a verifier crashes, another is deleted, and so is the tally", Instant::now(), Instant::now());

    bed.node.control_plane().restart_api_server().unwrap();
    settle(watch, "the API server is killed and started again", Instant::now(), Instant::now());

    bed.node.kill(NodePart::Kubelet).unwrap();
    thread::sleep(KUBELET_AWAY);
    bed.node.restart(NodePart::Kubelet).unwrap();
    settle(watch, "the kubelet is killed and started again", Instant::now(), Instant::now());

    broker_away(watch);
}

/// The broker is away for a minute. The status says so, and an operator that begins meanwhile changes nothing.
fn broker_away(watch: &Watch<'_>) {
    watch.bed.kafka.kill(1).unwrap();
    let away = Instant::now();
    let is_said = |seen: &Seen| {
        condition(&seen.proposal, "ScalingDataFresh") == "False" && condition(&seen.platform, "KafkaReady") == "False"
    };
    watch.until("said that the broker is away", LIMIT, is_said);
    let leading = leader(watch.bed).unwrap();
    crash(watch.bed, &leading, Lease::Freed);
    let led = next_leader(watch.bed, &leading);
    thread::sleep(BROKER_AWAY.saturating_sub(away.elapsed()));
    watch.bed.kafka.restart(1).unwrap();
    settle(watch, "the broker is away for a minute, and the operator crashes meanwhile", Instant::now(), led);
}

/// Waits until everything is as it should be after a fault that ended then; whoever leads has done so since `led`.
fn settle(watch: &Watch<'_>, fault: &str, ended: Instant, led: Instant) {
    let took = watch.until_true(ended, led, LIMIT);
    println!("{fault}: true again after {:.1} s (aim: {TRUE_AGAIN_S} s)", took.as_secs_f64());
}

/// Between two looks at it nothing was rolled, the proposal did not go back, and no shard was taken away while ballots came.
fn check_step(step: &[Seen]) {
    let [before, after] = step else { return };
    for (name, pods) in &before.deployments {
        let revision = after.deployments.get(name).map(|pods| &pods.revision);
        assert_eq!(revision, Some(&pods.revision), "{name} is as it was made: {before:#?} {after:#?}");
    }
    if after.proposal["phase"] == "Open" {
        let (before, after) = (before.shards().wanted, after.shards().wanted);
        assert!(after >= before.max(WARM_SHARDS), "{before} shards became {after} while ballots came");
    }
}

/// The decisions about scaling that stood in the status, each once.
fn decisions(history: &[Seen]) -> Vec<Value> {
    let mut decisions: Vec<Value> = history.iter().map(|seen| seen.proposal["scaling"].clone()).collect();
    decisions.retain(Value::is_object);
    decisions.dedup_by(|next, before| next["decidedAt"] == before["decidedAt"]);
    decisions
}

/// Who holds the lease.
fn leader(bed: &Bed) -> Option<String> {
    let holder = "--output=jsonpath={.spec.holderIdentity}";
    let lease = ["--namespace=pnyx-system", "get", "lease", "pnyx-operator", holder];
    let holder = bed.node.control_plane().kubectl(&lease).unwrap();
    (!holder.is_empty()).then_some(holder)
}

/// Waits until another than `before` holds the lease. Since when one does.
fn next_leader(bed: &Bed, before: &str) -> Instant {
    let waits = Instant::now();
    while leader(bed).is_none_or(|holder| holder == before) {
        // Each look is a process, which is pause enough: who leads has begun to act.
        assert!(waits.elapsed() < LIMIT, "{before} is still the last that led\n{}", bed.described("pnyx-system"));
    }
    Instant::now()
}

/// The pod of an operator: something new stands behind its name at each start.
fn pod_of(identity: &str) -> &str {
    identity.rsplit_once('-').unwrap().0
}

/// Kills an operator as a crash does.
fn crash(bed: &Bed, identity: &str, lease: Lease) {
    let waits = Instant::now();
    // The API may not know yet which container leads: it may have begun a moment ago.
    while let Err(error) = bed.node.crash("pnyx-system", pod_of(identity)) {
        assert!(waits.elapsed() < LIMIT, "{error}");
    }
    let free = ["patch", "lease", "pnyx-operator", "--type=merge", r#"--patch={"spec":{"holderIdentity":null}}"#];
    match lease {
        Lease::Expires => {}
        Lease::Freed => {
            bed.node.control_plane().kubectl(&[&["--namespace=pnyx-system"], &free[..]].concat()).unwrap();
        }
    }
}

/// Deletes a pod without giving it time.
fn delete(bed: &Bed, namespace: &str, pod: &str) {
    let delete = ["--namespace", namespace, "delete", "pod", pod, "--force", "--grace-period=0", "--wait=false"];
    bed.node.control_plane().kubectl(&delete).unwrap();
}

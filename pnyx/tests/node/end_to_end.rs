//! A vote from `kubectl apply` to its result, with everything as pods but Kafka and Redis: the chart installs the operator,
//! the operator runs the platform and the proposal, voters come through the Services, and the result in the status is the
//! one that an audit of the archive finds. Network policies are enforced meanwhile, a Prometheus scrapes the pods, and
//! the operator's rights are compared with what it did.

use std::{
    thread,
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};
use pnyx_testbed::{
    evm::{Evm, EvmOptions},
    kubernetes::Image,
    s3::{S3Options, S3Server},
};
use serde_json::{Value, json};

use crate::{
    bed::{Bed, EDGE, LOOK_INTERVAL, READS, opens_at, proposal},
    monitoring::{self, Monitoring},
    paths, rights,
    support::{pod, run},
};

/// How long the window is closed before and open then: pods have to start and ballots to come within it, on two busy cores.
const OPENS_IN: SignedDuration = SignedDuration::from_secs(45);
const OPEN_FOR: SignedDuration = SignedDuration::from_secs(45);

/// The phases of a vote in which nothing goes wrong.
const PHASES: [&str; 8] = ["Pending", "Scheduled", "Warming", "Open", "Closed", "Draining", "Recounting", "Final"];

/// Between two looks at which pods there are, for whoever scrapes them and whoever enforces policies.
const FOLLOW_INTERVAL: Duration = Duration::from_secs(2);

/// The image of the chart's own test.
const TEST_IMAGE: &str = "docker.io/library/busybox:1.37";

/// The platform reads a chain, because contract wallets may vote on a second proposal, which opens in an hour. A third one
/// counts a token where there is no contract.
fn add_chain(bed: &Bed) -> Evm {
    let (node, cluster) = (&bed.node, bed.node.control_plane());
    let chain = Evm::start(EvmOptions::new().listen_on(node.outside()).block_time_s(1)).unwrap();
    // What is final is so for ever: before that a trial refutes nothing.
    chain.finalize(1).unwrap();
    let place = node.expose("chain", "votes", chain.address().port()).unwrap();
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "chains", "namespace": "votes"},
        "stringData": {"url": format!("http://{place}")},
    });
    cluster.apply(&secret.to_string()).unwrap();
    let endpoint = json!({"name": "own", "urlSecretRef": {"name": "chains", "key": "url"}});
    let chains = json!({"spec": {"chains": [{"chainId": "31337", "endpoints": [endpoint]}]}});
    bed.kubectl(&["patch", "gplat/default", "--type=merge", "--patch", &chains.to_string()]).unwrap();
    let hour = SignedDuration::from_hours(1);
    let mut later = proposal(hour, hour);
    later["metadata"]["name"] = "later".into();
    later["spec"]["signers"] = json!({"chain": "31337"});
    later["spec"]["power"]["snapshot"] = json!([{"network": "31337", "block": 1}]);
    cluster.apply(&later.to_string()).unwrap();
    let mut never = later;
    never["metadata"]["name"] = "never".into();
    let token = json!({"network": "31337", "address": format!("0x{}", "01".repeat(20)), "decimals": 18});
    never["spec"]["power"]["strategies"] = json!([{"erc20BalanceOf": token}]);
    cluster.apply(&never.to_string()).unwrap();
    chain
}

/// Both proposals that read the chain were tried by pods before anything was recorded.
fn check_trials(bed: &Bed) {
    bed.wait_for("gprop/later", "Accepted", 120);
    bed.wait_for("gprop/never", "Accepted=False", 120);
    let reason = "--output=jsonpath={.status.conditions[?(@.type==\"Accepted\")].reason}";
    assert_eq!(bed.kubectl(&["get", "gprop/never", reason]).unwrap(), "StrategyFails");
    let said = bed.kubectl(&["logs", "job/never-trial"]).unwrap();
    assert!(said.contains("spec.power.strategies[0]"), "{said}");
}

/// Archives are kept in a bucket.
fn add_bucket(bed: &Bed) -> S3Server {
    let (node, cluster) = (&bed.node, bed.node.control_plane());
    let server = S3Server::start(S3Options::new().listen_on(node.outside())).unwrap();
    let place = node.expose("archives", "votes", server.address().port()).unwrap();
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "archives", "namespace": "votes"},
        "stringData": {"id": server.access_key_id(), "key": server.secret_access_key()},
    });
    cluster.apply(&secret.to_string()).unwrap();
    let archive = json!({"spec": {"archive": {"s3": {
        "endpoint": format!("http://{place}"), "bucket": server.bucket(), "prefix": "votes",
        "accessKeyIdSecretRef": {"name": "archives", "key": "id"},
        "secretAccessKeySecretRef": {"name": "archives", "key": "key"},
    }}}});
    bed.kubectl(&["patch", "gplat/default", "--type=merge", "--patch", &archive.to_string()]).unwrap();
    server
}

/// The vote is deleted, and its topics with it. Its archive is where it was stored, and served as before.
fn is_left_in_the_bucket(bed: &Bed, archives: &S3Server, status: &Value) {
    let stored = bed.wait_for_archive();
    println!("the archive: {stored}");
    let key = format!("votes/{}.jsonl", status["proposalId"].as_str().unwrap());
    assert_eq!(stored["location"], format!("s3://{}/{key}", archives.bucket()));
    assert!(archives.folder().join(key).exists(), "it is in the bucket");
    bed.kubectl(&["delete", "gprop/grants-round", "--timeout=60s"]).unwrap();
    let events = bed.kubectl(&["get", "events", "--field-selector=involvedObject.name=grants-round"]).unwrap();
    for (told, is_told) in [("ArchiveStored", true), ("its topics are being removed", true), ("ReleasedUndone", false)]
    {
        assert_eq!(events.contains(told), is_told, "{told}:\n{events}");
    }
    bed.audit("audit-again", status);
}

/// The chart's own test, in a pod of the operator's namespace.
fn try_helms_test(bed: &Bed) {
    bed.node.import_image(Image::with_shell(TEST_IMAGE).unwrap()).unwrap();
    bed.node.control_plane().helm(&["test", "pnyx", "--namespace", "pnyx-system", "--logs"]).unwrap();
}

#[test]
fn a_vote_from_apply_to_its_result() {
    let began = Instant::now();
    let bed = Bed::with(&[&["test.enabled=true"][..], &monitoring::VALUES].concat(), |_| ());
    let cluster = bed.node.control_plane();
    let (chain, archives) = (add_chain(&bed), add_bucket(&bed));
    paths::add_stranger(&bed.node);
    let monitoring = Monitoring::start(&bed.node);
    bed.wait_for("gplat/default", "Ready", 120);
    println!("the platform is ready after {} s", began.elapsed().as_secs());
    monitoring.look(cluster);
    check_trials(&bed);
    try_helms_test(&bed);
    let mut proposal = proposal(OPENS_IN, OPEN_FOR);
    proposal["spec"]["deletionPolicy"] = "Delete".into();
    proposal["spec"]["scaling"] = json!({"warmShards": 2, "maxShards": 4, "lead": "40s"});
    cluster.apply(&proposal.to_string()).unwrap();
    bed.wait_for("gprop/grants-round", "Prewarmed", 60);
    assert!(Timestamp::now() < opens_at(&proposal), "the shards are ready before the window opens");
    assert_eq!(bed.status()["shards"], json!({"desired": 2, "ready": 2}));
    monitoring.look(cluster);
    paths::check(&bed, chain.address());
    bed.wait_for("gprop/grants-round", "Open", 60);

    // Ballots come through the Service, and what is served is compared with what is expected, up to the result.
    let load =
        ["load", "--ballots", "1500", "--rate", "150", "--until-final", "--json", "--url", EDGE, "--read-url", READS];
    let (mut phases, mut followed) = (Vec::new(), Instant::now());
    let said = thread::scope(|scope| {
        let voting = scope.spawn(|| run(&bed.node, "load", &pod("load", &load)));
        while !voting.is_finished() {
            let phase = bed.status()["phase"].as_str().unwrap_or_default().to_owned();
            if phases.last() != Some(&phase) {
                println!("{} s: {phase}", began.elapsed().as_secs());
                phases.push(phase);
            }
            if followed.elapsed() >= FOLLOW_INTERVAL {
                followed = Instant::now();
                monitoring.look(cluster);
                bed.node.enforce_policies().unwrap();
            }
            thread::sleep(LOOK_INTERVAL);
        }
        voting.join().unwrap()
    });
    println!("{said}");
    bed.wait_for("gprop/grants-round", "Recounted", 60);
    let status = bed.status();
    assert_eq!(status["phase"], "Final");
    let places: Vec<_> = phases.iter().map(|phase| PHASES.iter().position(|known| known == phase)).collect();
    assert!(places.is_sorted() && places.iter().all(Option::is_some), "{phases:?}");

    bed.audit("audit", &status);
    assert!(status["result"]["ballots"].as_i64().unwrap() > 100, "{status}");
    assert_eq!(status["turnout"]["ballots"], status["result"]["ballots"], "{status}");

    // Nothing of it runs any more, and the result stays.
    bed.wait_until_drained();
    println!("done after {} s", began.elapsed().as_secs());
    for line in [&["get", "gprop"][..], &["describe", "gprop", "grants-round"]] {
        println!("$ kubectl {}\n{}", line.join(" "), bed.kubectl(line).unwrap());
    }
    monitoring.check(cluster);
    is_left_in_the_bucket(&bed, &archives, &status);
    rights::check(&bed);
    println!("all is compared after {} s", began.elapsed().as_secs());
}

//! A vote from `kubectl apply` to its result, with everything as pods but Kafka and Redis: the chart installs the operator,
//! the operator runs the platform and the proposal, voters come through the Services, and the result in the status is the
//! one that an audit of the archive finds.

use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};
use pnyx_testbed::{KafkaCluster, KafkaOptions, RedisOptions, RedisServer, TestbedError, kubernetes::Node};
use serde_json::{Value, json};

use crate::support::{IMAGE, node, pod, run};

/// Between two looks at something that is waited for.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

/// How long the window is closed before and open then: pods have to start and ballots to come within it, on two busy cores.
const OPENS_IN: SignedDuration = SignedDuration::from_secs(45);
const OPEN_FOR: SignedDuration = SignedDuration::from_secs(45);

/// The phases of a vote in which nothing goes wrong.
const PHASES: [&str; 8] = ["Pending", "Scheduled", "Warming", "Open", "Closed", "Draining", "Recounting", "Final"];

/// The node, the servers outside of it, and what `kubectl` says of the namespace.
struct Bed {
    node: Node,
    _kafka: KafkaCluster,
    _redis: RedisServer,
}

impl Bed {
    /// With the chart installed, and a platform that is there.
    fn start() -> Self {
        let node = node();
        let kafka = KafkaCluster::start(KafkaOptions::one().listen_on(node.outside())).unwrap();
        let redis = RedisServer::start(RedisOptions::default().listen_on(node.outside())).unwrap();
        let port = |address: &str| address.rsplit_once(':').unwrap().1.parse::<u16>().unwrap();
        let broker = node.expose("kafka", "votes", port(&kafka.bootstrap())).unwrap();
        let store = node.expose("redis", "votes", port(&redis.address())).unwrap();
        let bed = Self { node, _kafka: kafka, _redis: redis };
        bed.install_chart();
        let key = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "signing", "namespace": "votes"},
            "stringData": {"key": format!("0x{}", "5a".repeat(32))},
        });
        bed.node.control_plane().apply(&format!("{key}\n---\n{}", platform(&broker, &store))).unwrap();
        bed
    }

    fn install_chart(&self) {
        let chart = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("charts/pnyx");
        let chart = chart.to_str().unwrap();
        let (_, tag) = IMAGE.split_once(':').unwrap();
        let tag = format!("image.tag={tag}");
        let line =
            ["install", "pnyx", chart, "--namespace", "pnyx-system", "--create-namespace", "--wait", "--timeout=120s"];
        let values = ["--set-string", &tag, "--set", "image.pullPolicy=Never,operator.replicas=1,test.enabled=false"];
        if let Err(error) = self.node.control_plane().helm(&[&line[..], &values].concat()) {
            panic!("{error:?}\n{}", self.described("pnyx-system"));
        }
    }

    fn kubectl(&self, arguments: &[&str]) -> Result<String, TestbedError> {
        self.node.control_plane().kubectl(&[&["--namespace", "votes"], arguments].concat())
    }

    fn status(&self) -> Value {
        let text = self.kubectl(&["get", "gprop", "grants-round", "--output=json"]).unwrap();
        serde_json::from_str::<Value>(&text).unwrap()["status"].clone()
    }

    /// Waits for a condition of a resource.
    fn wait_for(&self, resource: &str, condition: &str, limit_s: u32) {
        let condition = format!("--for=condition={condition}");
        if let Err(error) = self.kubectl(&["wait", &condition, resource, &format!("--timeout={limit_s}s")]) {
            panic!("{error:?}\n{}\n{}", self.described("votes"), self.described("pnyx-system"));
        }
    }

    /// What a person would look at.
    fn described(&self, namespace: &str) -> String {
        let cluster = self.node.control_plane();
        let of = |arguments: &[&str]| {
            cluster
                .kubectl(&[&["--namespace", namespace], arguments].concat())
                .unwrap_or_else(|error| format!("{error:?}"))
        };
        let pods = of(&["get", "pods", "--output=name"]);
        let logs = pods.lines().map(|name| format!("== {name}\n{}", of(&["logs", name, "--tail=20"])));
        [of(&["describe", "gplat,gprop"]), of(&["get", "all"]), of(&["describe", "pods"])]
            .into_iter()
            .chain(logs)
            .collect::<Vec<_>>()
            .join("\n")
    }
}

fn platform(broker: &str, store: &str) -> Value {
    let small = json!({"resources": {"requests": {"cpu": "10m", "memory": "32Mi"}}});
    let one = json!({"replicas": {"min": 1, "max": 1}, "resources": small["resources"]});
    json!({
        "apiVersion": "pnyx.dev/v1alpha1",
        "kind": "GovernancePlatform",
        "metadata": {"name": "default", "namespace": "votes"},
        "spec": {
            "domain": "test",
            "signingKeySecretRef": {"name": "signing", "key": "key"},
            "kafka": {"bootstrapServers": [broker], "replication": 1, "minInSync": 1, "allowUnsafeDurability": true},
            "redis": {"single": {"address": store}},
            "images": {"pullPolicy": "Never"},
            "ingest": one, "tally": one, "verifier": small, "recount": small,
        },
    })
}

/// An example, opened soon.
fn proposal() -> Value {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("examples/grants-round.yaml");
    let mut proposal: Value = serde_saphyr::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let opens_at = Timestamp::from_second((Timestamp::now() + OPENS_IN).as_second()).unwrap();
    proposal["metadata"]["namespace"] = "votes".into();
    proposal["spec"]["window"] =
        json!({"opensAt": opens_at.to_string(), "closesAt": (opens_at + OPEN_FOR).to_string()});
    proposal["spec"]["scaling"] = json!({"warmShards": 2, "maxShards": 4, "lead": "40s"});
    proposal
}

#[test]
fn a_vote_from_apply_to_its_result() {
    let began = Instant::now();
    let bed = Bed::start();
    bed.wait_for("gplat/default", "Ready", 120);
    println!("the platform is ready after {} s", began.elapsed().as_secs());
    let proposal = proposal();
    bed.node.control_plane().apply(&proposal.to_string()).unwrap();
    bed.wait_for("gprop/grants-round", "Prewarmed", 60);
    let opens_at: Timestamp = proposal["spec"]["window"]["opensAt"].as_str().unwrap().parse().unwrap();
    assert!(Timestamp::now() < opens_at, "the shards are ready before the window opens");
    assert_eq!(bed.status()["shards"], json!({"desired": 2, "ready": 2}));
    bed.wait_for("gprop/grants-round", "Open", 60);

    // Ballots come through the Service, and what is served is compared with what is expected, up to the result.
    let (edge, reads) = ("http://default-ingest", "http://default-tally");
    let load =
        ["load", "--ballots", "1500", "--rate", "150", "--until-final", "--json", "--url", edge, "--read-url", reads];
    let mut phases = Vec::new();
    let said = thread::scope(|scope| {
        let voting = scope.spawn(|| run(&bed.node, "load", &pod("load", &load)));
        while !voting.is_finished() {
            let phase = bed.status()["phase"].as_str().unwrap_or_default().to_owned();
            if phases.last() != Some(&phase) {
                println!("{} s: {phase}", began.elapsed().as_secs());
                phases.push(phase);
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

    // A stranger counts again.
    let archive = format!("{reads}/v1/proposals/{}/archive", status["proposalId"].as_str().unwrap());
    let audited = run(&bed.node, "audit", &pod("audit", &["audit", &archive, "--json"]));
    let audited: Value = serde_json::from_str(audited.lines().last().unwrap()).unwrap();
    assert_eq!(audited["ballotsRoot"], status["result"]["merkleRoot"], "{audited}\n{status}");
    assert!(status["result"]["ballots"].as_i64().unwrap() > 100, "{status}");

    // Nothing of it runs any more, and the result stays.
    let shards = ["get", "deployment", "grants-round-verifier", "--output=jsonpath={.spec.replicas}"];
    let is_drained = || bed.kubectl(&shards).unwrap() == "0";
    let waits = Instant::now();
    while !is_drained() {
        assert!(waits.elapsed() < Duration::from_secs(60), "{}", bed.described("votes"));
        thread::sleep(LOOK_INTERVAL);
    }
    println!("done after {} s\n{}", began.elapsed().as_secs(), bed.kubectl(&["get", "gprop"]).unwrap());
}

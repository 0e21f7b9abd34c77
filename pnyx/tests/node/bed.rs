//! The node with the chart, a platform and the servers outside of it, and what `kubectl` says of its namespace.

use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};
use pnyx_testbed::{KafkaCluster, KafkaOptions, RedisOptions, RedisServer, TestbedError, kubernetes::Node};
use serde_json::{Value, json};

use crate::support::{IMAGE, described, node, pod, run};

/// Between two looks at something that is waited for.
pub(crate) const LOOK_INTERVAL: Duration = Duration::from_millis(250);

/// Where ballots are posted and everything is read, as pods see it.
pub(crate) const EDGE: &str = "http://default-ingest";
pub(crate) const READS: &str = "http://default-tally";

/// The node, the servers outside of it, and what `kubectl` says of the namespace.
pub(crate) struct Bed {
    pub(crate) node: Node,
    pub(crate) kafka: KafkaCluster,
    pub(crate) redis: RedisServer,
}

impl Bed {
    /// With the chart installed, with these further values (`name=value`), and a platform that is changed before it is applied.
    pub(crate) fn with(values: &[&str], change: impl FnOnce(&mut Value)) -> Self {
        let node = node();
        let kafka = KafkaCluster::start(KafkaOptions::one().listen_on(node.outside())).unwrap();
        let redis = RedisServer::start(RedisOptions::default().listen_on(node.outside())).unwrap();
        let port = |address: &str| address.rsplit_once(':').unwrap().1.parse::<u16>().unwrap();
        let broker = node.expose("kafka", "votes", port(&kafka.bootstrap())).unwrap();
        let store = node.expose("redis", "votes", port(&redis.address())).unwrap();
        let bed = Self { node, kafka, redis };
        bed.install_chart(values);
        let key = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "signing", "namespace": "votes"},
            "stringData": {"key": format!("0x{}", "5a".repeat(32))},
        });
        let mut platform = platform(&broker, &store);
        change(&mut platform);
        bed.node.control_plane().apply(&format!("{key}\n---\n{platform}")).unwrap();
        bed
    }

    /// A claim in the platform's namespace, of a folder of the node's.
    pub(crate) fn add_claim(&self, name: &str, folder: &Path) {
        let (access, capacity) = (json!(["ReadWriteMany"]), json!({"storage": "1Gi"}));
        let here = json!([{"key": "kubernetes.io/os", "operator": "In", "values": ["linux"]}]);
        let volume = json!({
            "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name},
            "spec": {
                "accessModes": access, "capacity": capacity, "storageClassName": "", "local": {"path": folder},
                "persistentVolumeReclaimPolicy": "Retain", "claimRef": {"name": name, "namespace": "votes"},
                "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": here}]}},
            },
        });
        let claim = json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name, "namespace": "votes"},
            "spec": {"accessModes": access, "resources": {"requests": capacity}, "storageClassName": "", "volumeName": name},
        });
        self.node.control_plane().apply(&format!("{volume}\n---\n{claim}")).unwrap();
    }

    /// Waits until the result's archive is stored, and returns what the status says of it.
    pub(crate) fn wait_for_archive(&self) -> Value {
        let waits = Instant::now();
        loop {
            let archive = self.status()["result"]["archive"].take();
            if archive.is_object() {
                return archive;
            }
            assert!(waits.elapsed() < Duration::from_secs(60), "{}", self.described("votes"));
            thread::sleep(LOOK_INTERVAL);
        }
    }

    /// Installs the chart with one operator and further values (`name=value`), and waits until that is ready.
    pub(crate) fn install_chart(&self, values: &[&str]) {
        let chart = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("charts/pnyx");
        let chart = chart.to_str().unwrap();
        let (_, tag) = IMAGE.split_once(':').unwrap();
        let tag = format!("image.tag={tag}");
        let mut line = vec![
            "install",
            "pnyx",
            chart,
            "--namespace",
            "pnyx-system",
            "--create-namespace",
            "--wait",
            "--timeout=120s",
        ];
        line.extend(["--set-string", &tag, "--set", "image.pullPolicy=Never,operator.replicas=1,test.enabled=false"]);
        line.extend(values.iter().flat_map(|value| ["--set", value]));
        if let Err(error) = self.node.control_plane().helm(&line) {
            panic!("{error:?}\n{}", self.described("pnyx-system"));
        }
    }

    /// `kubectl` in the namespace of the platform.
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> Result<String, TestbedError> {
        self.node.control_plane().kubectl(&[&["--namespace", "votes"], arguments].concat())
    }

    /// What stands in the proposal's status.
    pub(crate) fn status(&self) -> Value {
        let text = self.kubectl(&["get", "gprop", "grants-round", "--output=json"]).unwrap();
        serde_json::from_str::<Value>(&text).unwrap()["status"].clone()
    }

    /// Waits for a condition of a resource.
    pub(crate) fn wait_for(&self, resource: &str, condition: &str, limit_s: u32) {
        let condition = format!("--for=condition={condition}");
        if let Err(error) = self.kubectl(&["wait", &condition, resource, &format!("--timeout={limit_s}s")]) {
            panic!("{error:?}\n{}\n{}", self.described("votes"), self.described("pnyx-system"));
        }
    }

    /// Waits until the proposal's shards are asked to be none.
    pub(crate) fn wait_until_drained(&self) {
        let shards = ["get", "deployment", "grants-round-verifier", "--output=jsonpath={.spec.replicas}"];
        let waits = Instant::now();
        while self.kubectl(&shards).unwrap() != "0" {
            assert!(waits.elapsed() < Duration::from_secs(60), "{}", self.described("votes"));
            thread::sleep(LOOK_INTERVAL);
        }
    }

    /// A stranger counts again: what the archive comes to is what the status says.
    pub(crate) fn audit(&self, name: &str, status: &Value) {
        let archive = format!("{READS}/v1/proposals/{}/archive", status["proposalId"].as_str().unwrap());
        let audited = run(&self.node, name, &pod(name, &["audit", &archive, "--json"]));
        let audited: Value = serde_json::from_str(audited.lines().last().unwrap()).unwrap();
        assert_eq!(audited["ballotsRoot"], status["result"]["merkleRoot"], "{audited}\n{status}");
    }

    /// What a person would look at.
    pub(crate) fn described(&self, namespace: &str) -> String {
        described(&self.node, namespace)
    }
}

/// A platform of one small pod each, named `default`.
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

/// An example that is closed for `opens_in` from now, and then open for `open_for`.
pub(crate) fn proposal(opens_in: SignedDuration, open_for: SignedDuration) -> Value {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("examples/grants-round.yaml");
    let mut proposal: Value = serde_saphyr::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let opens_at = Timestamp::from_second((Timestamp::now() + opens_in).as_second()).unwrap();
    proposal["metadata"]["namespace"] = "votes".into();
    proposal["spec"]["window"] =
        json!({"opensAt": opens_at.to_string(), "closesAt": (opens_at + open_for).to_string()});
    proposal
}

/// When a proposal's window opens.
pub(crate) fn opens_at(proposal: &Value) -> Timestamp {
    proposal["spec"]["window"]["opensAt"].as_str().unwrap().parse().unwrap()
}

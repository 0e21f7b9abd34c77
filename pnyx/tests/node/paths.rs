//! Who reaches whom while the chart's and the operator's NetworkPolicies are enforced, as docs/operations.md has it.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    thread,
};

use pnyx_testbed::kubernetes::{ControlPlane, Node};
use serde_json::{Value, json};

use crate::{bed::Bed, monitors::items};

/// Where strangers are: pods that no policy selects.
pub(crate) const ELSEWHERE: &str = "elsewhere";

/// A port at which nothing of ours listens, and which no policy names.
const OTHER_PORT: u16 = 9;

/// From where, to where, and whether it gets there. `outside` is no pod; the others are named by what they are.
const PATHS: [(&str, &str, bool); 32] = [
    ("stranger", "operator:8084", true),
    ("stranger", "operator:9", false),
    ("outside", "operator:8084", false),
    ("stranger", "ingest:8080", true),
    ("stranger", "ingest:9", false),
    ("outside", "ingest:8080", true),
    ("outside", "ingest:9", false),
    ("stranger", "tally:8081", true),
    ("stranger", "tally:9", false),
    ("outside", "tally:8081", true),
    ("outside", "tally:9", false),
    ("stranger", "verifier:8082", true),
    ("stranger", "verifier:9", false),
    ("outside", "verifier:8082", false),
    ("operator", "api", true),
    ("operator", "names", true),
    ("operator", "kafka", true),
    ("operator", "tally:8081", true),
    ("operator", "metadata", false),
    ("ingest", "names", true),
    ("ingest", "kafka", true),
    ("ingest", "redis", false),
    ("ingest", "chain", false),
    ("ingest", "api", false),
    ("ingest", "operator:8084", false),
    ("tally", "kafka", true),
    ("tally", "redis", true),
    ("tally", "chain", true),
    ("tally", "metadata", false),
    ("verifier", "kafka", true),
    ("verifier", "chain", true),
    ("verifier", "metadata", false),
];

/// Where everything is.
struct Places {
    pods: BTreeMap<String, Ipv4Addr>,
    servers: BTreeMap<&'static str, SocketAddr>,
}

/// A pod that only is there.
pub(crate) fn add_stranger(node: &Node) {
    let cluster = node.control_plane();
    cluster.kubectl(&["create", "namespace", ELSEWHERE]).unwrap();
    let account = ["wait", "--for=create", "serviceaccount/default", "--timeout=60s"];
    cluster.kubectl(&[&["--namespace", ELSEWHERE], &account[..]].concat()).unwrap();
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "stranger", "namespace": ELSEWHERE},
        "spec": {"containers": [{"name": "stranger", "image": Node::PAUSE_IMAGE, "imagePullPolicy": "Never"}]},
    });
    cluster.apply(&pod.to_string()).unwrap();
}

/// Tries all paths at once, first as they are without policies, where each gets there.
pub(crate) fn check(bed: &Bed, chain: SocketAddr) {
    let cluster = bed.node.control_plane();
    let ready = ["wait", "--for=condition=Ready", "pod/stranger", "--timeout=60s"];
    cluster.kubectl(&[&["--namespace", ELSEWHERE], &ready[..]].concat()).unwrap();
    let places = Places { pods: pods(cluster), servers: servers(bed, chain) };
    let refused = PATHS.iter().filter(|(_, _, reaches)| !reaches);
    let open: Vec<_> = refused.map(|(from, to, _)| (*from, *to, true)).collect();
    assert_eq!(places.wrong(&bed.node, &open), [""; 0], "without policies");
    bed.node.enforce_policies().unwrap();
    assert_eq!(places.wrong(&bed.node, &PATHS), [""; 0], "with policies");
    println!("{} paths are open or closed as they should be", PATHS.len());
}

/// One running pod of each kind that is ready, by what it is called here.
fn pods(cluster: &ControlPlane) -> BTreeMap<String, Ipv4Addr> {
    let is_ready = |pod: &Value| {
        let conditions = pod["status"]["conditions"].as_array();
        conditions.into_iter().flatten().any(|it| it["type"] == "Ready" && it["status"] == "True")
    };
    let all = items(cluster, &["get", "pods", "--all-namespaces"]).into_iter();
    let found = all.filter(|pod| is_ready(pod) && pod["metadata"]["deletionTimestamp"].is_null()).map(|pod| {
        let component = pod["metadata"]["labels"]["app.kubernetes.io/component"].as_str().map(str::to_owned);
        let address = pod["status"]["podIP"].as_str().unwrap().parse().unwrap();
        (component.unwrap_or_else(|| pod["metadata"]["name"].as_str().unwrap().to_owned()), address)
    });
    found.collect()
}

fn servers(bed: &Bed, chain: SocketAddr) -> BTreeMap<&'static str, SocketAddr> {
    let node = &bed.node;
    let api = node.control_plane().server();
    BTreeMap::from([
        ("api", api),
        ("names", SocketAddr::from((api.ip(), 53))),
        ("kafka", bed.kafka.bootstrap().parse().unwrap()),
        ("redis", bed.redis.address().parse().unwrap()),
        ("chain", chain),
        ("metadata", SocketAddr::from((node.metadata(), OTHER_PORT))),
    ])
}

impl Places {
    fn target(&self, name: &str) -> SocketAddr {
        match name.split_once(':') {
            Some((pod, port)) => SocketAddr::from((self.pods[pod], port.parse().unwrap())),
            None => self.servers[name],
        }
    }

    /// The paths that are not as they are said to be.
    fn wrong(&self, node: &Node, paths: &[(&str, &str, bool)]) -> Vec<String> {
        let look = |(from, to, expected): (&str, &str, bool)| {
            let target = self.target(to);
            let reaches = match from {
                "outside" => node.reaches_from_outside(target),
                pod => node.reaches_from(self.pods[pod], target),
            };
            match reaches {
                Ok(reaches) if reaches == expected => None,
                other => Some(format!("from {from} to {to}: {other:?}")),
            }
        };
        thread::scope(|scope| {
            let looks: Vec<_> = paths.iter().map(|path| scope.spawn(move || look(*path))).collect();
            looks.into_iter().filter_map(|look| look.join().unwrap()).collect()
        })
    }
}

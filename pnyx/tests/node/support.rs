//! A node with the image of the program under test, and pods that run it once.

use std::path::Path;

use pnyx_testbed::{
    kubernetes::{ControlPlaneOptions, Definitions, Node, Part},
    oci::{self, ImageName},
};
use serde_json::{Value, json};

/// What the chart calls it, too: a name without a registry, as the operator has it by default.
pub(crate) const IMAGE: &str = pnyx_testbed::quick_start::IMAGE;

/// Pods that ask for more than the level `restricted` grants are refused where votes are, and where the operator is.
const NAMESPACES: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: votes, labels: {pod-security.kubernetes.io/enforce: restricted}}
---
apiVersion: v1
kind: Namespace
metadata: {name: pnyx-system, labels: {pod-security.kubernetes.io/enforce: restricted}}
";

/// Only who may set the finalizers of an owner may make children that its deletion waits for: some clusters ask for that.
const OWNERS: &str = "--enable-admission-plugins=OwnerReferencesPermissionEnforcement";

/// A node with the image, the namespaces, and the resource definitions that the chart's monitors take.
pub(crate) fn node() -> Node {
    let node = Node::start(ControlPlaneOptions::new().flag(Part::ApiServer, OWNERS)).unwrap();
    import_image(&node);
    let cluster = node.control_plane();
    cluster.apply(&Definitions::PrometheusOperator.yaml().unwrap()).unwrap();
    cluster.apply(NAMESPACES).unwrap();
    let account = "serviceaccount/default";
    cluster.kubectl(&["--namespace", "votes", "wait", "--for=create", account, "--timeout=60s"]).unwrap();
    node
}

/// A pod that runs `pnyx` once.
pub(crate) fn pod(name: &str, arguments: &[&str]) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "votes"},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": false,
            "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{
                "name": "pnyx",
                "image": IMAGE,
                "imagePullPolicy": "Never",
                "args": arguments,
                "securityContext": {
                    "allowPrivilegeEscalation": false,
                    "readOnlyRootFilesystem": true,
                    "capabilities": {"drop": ["ALL"]},
                },
            }],
        },
    })
}

/// What `pnyx` says in a pod of its own, which has to end well.
pub(crate) fn run(node: &Node, name: &str, pod: &Value) -> String {
    node.control_plane().apply(&pod.to_string()).unwrap();
    finished(node, name, 180)
}

/// What a pod said that has to end well within this time.
pub(crate) fn finished(node: &Node, name: &str, limit_s: u32) -> String {
    let (cluster, of) = (node.control_plane(), ["--namespace", "votes"]);
    let (pod, ended) = (format!("pod/{name}"), "--for=jsonpath={.status.phase}=Succeeded");
    let limit = format!("--timeout={limit_s}s");
    let waited = cluster.kubectl(&[&of[..], &["wait", ended, &pod, &limit]].concat());
    let log = cluster.kubectl(&[&of[..], &["logs", &pod]].concat());
    if let Err(error) = waited {
        panic!("{error}\n{log:?}\n{:?}", cluster.kubectl(&[&of[..], &["describe", &pod]].concat()));
    }
    log.unwrap()
}

/// What a person would look at in a namespace where something does not come.
pub(crate) fn described(node: &Node, namespace: &str) -> String {
    let cluster = node.control_plane();
    let of = |arguments: &[&str]| {
        cluster.kubectl(&[&["--namespace", namespace], arguments].concat()).unwrap_or_else(|error| format!("{error:?}"))
    };
    let pods = of(&["get", "pods", "--output=name"]);
    let logs = pods.lines().map(|name| format!("== {name}\n{}", of(&["logs", name, "--tail=20"])));
    [of(&["describe", "gplat,gprop"]), of(&["get", "all"]), of(&["describe", "pods"])]
        .into_iter()
        .chain(logs)
        .collect::<Vec<_>>()
        .join("\n")
}

/// The image that `cargo xtask image` writes, of the binary under test.
fn import_image(node: &Node) {
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("image.tar");
    let name: ImageName = IMAGE.parse().unwrap();
    oci::of_pnyx(name, Path::new(env!("CARGO_BIN_EXE_pnyx"))).unwrap().write(&archive).unwrap();
    node.import(&archive).unwrap();
}

//! Pods become Ready on nodes that do not exist, until those die.

use pnyx_testbed::kubernetes::{ControlPlane, ControlPlaneOptions, FakeNodes};

use crate::wait_until;

const DEPLOYMENT: &str = r"
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: default}
spec:
  replicas: 6
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      tolerations: [{key: node.kubernetes.io/unreachable, effect: NoExecute, tolerationSeconds: 1}]
      containers: [{name: web, image: registry.test/web:1}]
";

/// A namespace that takes no pod which may do harm, and such a pod.
const RESTRICTED: &str = r"
apiVersion: v1
kind: Namespace
metadata: {name: guarded, labels: {pod-security.kubernetes.io/enforce: restricted}}
";
const PRIVILEGED_POD: &str = r"
apiVersion: v1
kind: Pod
metadata: {name: harmful, namespace: guarded}
spec:
  containers: [{name: harmful, image: registry.test/web:1, securityContext: {privileged: true}}]
";

#[test]
fn pods_become_ready_and_leave_nodes_that_die() {
    let options = ControlPlaneOptions::new().controllers().scheduler().quick_node_deaths();
    let control_plane = ControlPlane::start(options).unwrap();
    let steady = FakeNodes::start(&control_plane, "steady", 2).unwrap();
    let mortal = FakeNodes::start(&control_plane, "mortal", 2).unwrap();
    assert_eq!(steady.names(), ["steady-1", "steady-2"]);
    control_plane.apply(DEPLOYMENT).unwrap();
    control_plane.kubectl(&["rollout", "status", "deployment/web", "--timeout=60s"]).unwrap();
    let nodes = || {
        let columns = "jsonpath={range .items[?(@.status.phase==\"Running\")]}{.spec.nodeName}{\"\\n\"}{end}";
        let text = control_plane.kubectl(&["get", "pods", "-l", "app=web", "-o", columns]).unwrap();
        text.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let on = |group: &str| nodes().iter().filter(|name| name.starts_with(group)).count();
    assert!(on("steady") > 0 && on("mortal") > 0, "pods are spread: {:?}", nodes());

    mortal.kill().unwrap();
    let is_ready = "jsonpath={.status.conditions[?(@.type==\"Ready\")].status}";
    let says = |node: &str| control_plane.kubectl(&["get", "node", node, "-o", is_ready]).unwrap();
    assert!(wait_until(|| says("mortal-1") == "Unknown"), "a node without a sign of life is missed");
    assert!(wait_until(|| on("steady") == 6), "others take its pods over: {:?}", nodes());
    assert_eq!(says("steady-1"), "True");
    mortal.revive().unwrap();
    assert!(wait_until(|| says("mortal-1") == "True"), "it comes back");
}

#[test]
fn pods_that_may_do_harm_are_refused_where_a_namespace_says_so() {
    let control_plane = ControlPlane::start(ControlPlaneOptions::new().controllers()).unwrap();
    control_plane.apply(RESTRICTED).unwrap();
    control_plane
        .kubectl(&["wait", "--for=create", "serviceaccount/default", "--namespace=guarded", "--timeout=30s"])
        .unwrap();
    let refused = control_plane.apply(PRIVILEGED_POD).unwrap_err();
    assert!(format!("{refused}").contains("violates PodSecurity \"restricted"), "{refused}");
}

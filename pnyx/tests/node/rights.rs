//! The operator's rights: it uses all that the chart grants and asks for nothing else, in a whole cluster as in some namespaces.

use std::{
    collections::BTreeSet,
    thread,
    time::{Duration, Instant},
};

use jiff::SignedDuration;
use pnyx_testbed::kubernetes::{ControlPlane, Right};
use serde_json::{Value, json};

use crate::{
    bed::{Bed, LOOK_INTERVAL, proposal},
    monitors::items,
    paths::ELSEWHERE,
};

/// Who the operator is.
const ACCOUNT: &str = "system:serviceaccount:pnyx-system:pnyx-operator";

/// What the chart grants although no request shows it, each with the reason.
const UNSEEN: [(&str, &str); 2] = [
    (
        "update governanceplatforms.pnyx.dev/finalizers",
        "the server's OwnerReferencesPermissionEnforcement, which is on here, asks for it when a child is made",
    ),
    ("update governanceproposals.pnyx.dev/finalizers", "as above"),
];

/// What the operator makes, as kubectl names it.
const CHILDREN: &str =
    "serviceaccounts,configmaps,networkpolicies,services,poddisruptionbudgets,deployments.apps,jobs.batch";

/// By which they are known.
const OURS: &str = "--selector=app.kubernetes.io/managed-by=pnyx-operator";

/// What nothing wants any more, by this name.
const ORPHAN: &str = "orphan";

/// How long the operator may take for what it does at once.
const LIMIT: Duration = Duration::from_secs(60);

/// After a vote: leaves orphans, which go; installs the operator anew for one namespace, where it works as before; deletes
/// all of it; and then compares what was asked of the API server from the beginning on with what the chart grants.
pub(crate) fn check(bed: &Bed) {
    let cluster = bed.node.control_plane();
    leave_orphans(bed);
    let in_cluster = granted(cluster, &["get", "clusterrole", "pnyx-operator"]);
    let lease = granted(cluster, &["get", "role", "pnyx-operator-lease", "--namespace=pnyx-system"]);
    install_for_one_namespace(bed);
    let in_namespace = granted(cluster, &["get", "role", "pnyx-operator", "--namespace=votes"]);
    assert_eq!(in_namespace, in_cluster);
    delete_all(bed);
    let events = cluster.audit_log().unwrap().into_iter().filter(|event| event.user == ACCOUNT);
    let (forbidden, allowed): (Vec<_>, Vec<_>) = events.partition(|event| event.is_forbidden);
    assert!(forbidden.is_empty(), "the operator asks for no more than it may: {forbidden:?}");
    let used: BTreeSet<String> = allowed.iter().flat_map(Right::used).map(|right| right.to_string()).collect();
    let granted: BTreeSet<String> = in_cluster.union(&lease).cloned().collect();
    assert!(used.is_subset(&granted), "{:?}", used.difference(&granted));
    let unseen: BTreeSet<String> = UNSEEN.iter().map(|(right, _)| (*right).to_owned()).collect();
    assert!(unseen.is_subset(&granted), "{UNSEEN:?}");
    let unused: Vec<_> = granted.difference(&used).filter(|right| !unseen.contains(*right)).collect();
    assert_eq!(unused, [""; 0], "granted and not used");
    println!("{} rights are granted, {} of them used, {unseen:?} not seen", granted.len(), used.len());
}

fn granted(cluster: &ControlPlane, line: &[&str]) -> BTreeSet<String> {
    let text = cluster.kubectl(&[line, &["--output=json"]].concat()).unwrap();
    let role: Value = serde_json::from_str(&text).unwrap();
    Right::granted(&role).iter().map(Right::to_string).collect()
}

/// One of each kind that says it is the platform's.
fn leave_orphans(bed: &Bed) {
    let cluster = bed.node.control_plane();
    let service: Value =
        serde_json::from_str(&bed.kubectl(&["get", "service/default-tally", "--output=json"]).unwrap()).unwrap();
    let metadata = json!({
        "name": ORPHAN, "namespace": "votes",
        "labels": service["metadata"]["labels"], "ownerReferences": service["metadata"]["ownerReferences"],
    });
    let labels = json!({"app": ORPHAN});
    let selector = json!({"matchLabels": labels});
    let pod = json!({"metadata": {"labels": labels}, "spec": {
        "restartPolicy": "Never", "containers": [{"name": ORPHAN, "image": "registry.test/none:1"}],
    }});
    let mut serving = pod.clone();
    serving["spec"]["restartPolicy"] = "Always".into();
    let orphans = [
        ("v1", "ServiceAccount", json!({})),
        ("v1", "ConfigMap", json!({})),
        ("networking.k8s.io/v1", "NetworkPolicy", json!({"spec": {"podSelector": selector}})),
        ("v1", "Service", json!({"spec": {"selector": labels, "ports": [{"port": 80}]}})),
        ("policy/v1", "PodDisruptionBudget", json!({"spec": {"maxUnavailable": 1, "selector": selector}})),
        ("apps/v1", "Deployment", json!({"spec": {"replicas": 0, "selector": selector, "template": serving}})),
        ("batch/v1", "Job", json!({"spec": {"suspend": true, "template": pod}})),
    ];
    for (version, kind, mut object) in orphans {
        object["apiVersion"] = version.into();
        object["kind"] = kind.into();
        object["metadata"] = metadata.clone();
        cluster.apply(&object.to_string()).unwrap();
    }
    let name = format!("--field-selector=metadata.name={ORPHAN}");
    wait_until(bed, "orphans go", || bed.kubectl(&["get", CHILDREN, &name, "--output=name"]).unwrap().is_empty());
}

/// Takes the release away and installs it anew for one namespace. It has Roles alone then, takes up what is there, and
/// looks at nothing elsewhere.
fn install_for_one_namespace(bed: &Bed) {
    let cluster = bed.node.control_plane();
    // First the operator alone: without its rights it could not give its lease back.
    let of = ["--namespace", "pnyx-system"];
    let stop = ["delete", "deployment/pnyx-operator", "--cascade=foreground", "--timeout=60s"];
    cluster.kubectl(&[&of[..], &stop].concat()).unwrap();
    cluster.helm(&[&["uninstall", "pnyx", "--wait"], &of[..]].concat()).unwrap();
    bed.install_chart(&["namespaces={votes}"]);
    let whole =
        ["get", "clusterroles,clusterrolebindings", "--selector=app.kubernetes.io/instance=pnyx", "--output=name"];
    assert_eq!(cluster.kubectl(&whole).unwrap(), "");
    let hour = SignedDuration::from_hours(1);
    let mut second = proposal(hour, hour);
    second["metadata"]["name"] = "second".into();
    cluster.apply(&second.to_string()).unwrap();
    second["metadata"]["namespace"] = ELSEWHERE.into();
    cluster.apply(&second.to_string()).unwrap();
    bed.wait_for("gprop/second", "Accepted", 60);
    let elsewhere = items(cluster, &["get", "gprop", "--namespace", ELSEWHERE]);
    assert_eq!((elsewhere.len(), &elsewhere[0]["status"]), (1, &Value::Null));
}

/// Deletes what people have made, and waits until what was made for it is gone.
fn delete_all(bed: &Bed) {
    bed.kubectl(&["delete", "gprop", "--all", "--timeout=120s"]).unwrap();
    bed.kubectl(&["delete", "gplat", "--all", "--timeout=120s"]).unwrap();
    wait_until(bed, "children go", || bed.kubectl(&["get", CHILDREN, OURS, "--output=name"]).unwrap().is_empty());
}

fn wait_until(bed: &Bed, what: &str, is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < LIMIT, "{what}: {}", bed.described("votes"));
        thread::sleep(LOOK_INTERVAL);
    }
}

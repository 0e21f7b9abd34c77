//! A control plane with our resources, a Kafka, and a platform on both: what operators look after.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};
use pnyx_crds::Kind;
use pnyx_testbed::{
    KafkaCluster,
    kubernetes::{AuditEvent, ControlPlane, ControlPlaneOptions},
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::operator::Operator;

/// Between two looks at something that is waited for: each is a `kubectl` of its own.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

/// What changes something.
const WRITES: [&str; 5] = ["create", "update", "patch", "delete", "deletecollection"];

/// One bed at a time: hundreds of proposals take all that there is, and who leads has seconds for its lease.
static TURN: Mutex<()> = Mutex::new(());

/// A control plane, a Kafka, and a platform on both.
pub(crate) struct Bed {
    pub(crate) control_plane: ControlPlane,
    pub(crate) kafka: KafkaCluster,
    pub(crate) folder: TempDir,
    // Given on once all of it has ended.
    _turn: MutexGuard<'static, ()>,
}

impl Bed {
    /// Operators may do everything, each under a name of its own, so that the API server tells who wrote what.
    pub(crate) fn start(options: ControlPlaneOptions, kafka: KafkaCluster, operators: &[&str]) -> Self {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let options = operators.iter().fold(options, |options, name| options.user(name, &["system:masters"]));
        let control_plane = ControlPlane::start(options).expect("a control plane starts");
        let bed = Self { control_plane, kafka, folder: tempfile::tempdir().expect("a folder"), _turn: turn };
        for kind in Kind::ALL {
            bed.apply(&kind.yaml());
        }
        bed.kubectl(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"]);
        bed.apply(&platform(&bed.kafka).to_string());
        bed
    }

    /// An operator under one of the names.
    pub(crate) fn operator(&self, name: &str) -> Operator {
        Operator::start(name, &self.control_plane.kubeconfig_of(name), self.folder.path())
    }

    pub(crate) fn kubectl(&self, arguments: &[&str]) -> String {
        self.control_plane.kubectl(arguments).expect("kubectl succeeds")
    }

    fn apply(&self, manifest: &str) {
        self.control_plane.apply(manifest).expect("the API server takes it");
    }

    /// Makes proposals of these names that are open from `opens_in` on.
    pub(crate) fn propose(&self, names: &[String], opens_in: SignedDuration) {
        let items: Vec<_> = names.iter().map(|name| proposal(name, opens_in)).collect();
        self.apply(&json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string());
    }

    /// How many proposals stand in the log, by their own word.
    pub(crate) fn accepted(&self) -> usize {
        let path = "jsonpath={range .items[*]}{.status.conditions[?(@.type==\"Accepted\")].status}{\"\\n\"}{end}";
        self.kubectl(&["get", "gprop", "--output", path]).lines().filter(|said| *said == "True").count()
    }

    /// Who holds the lease; empty while nobody does.
    pub(crate) fn holder(&self) -> String {
        let path = "jsonpath={.items[*].spec.holderIdentity}";
        self.kubectl(&["get", "lease", "--namespace=default", "--output", path])
    }

    /// What an operator has written so far into the Kubernetes API, by the word of the API server.
    pub(crate) fn writes_of(&self, operator: &str) -> Vec<AuditEvent> {
        let log = self.control_plane.audit_log().expect("the API server keeps a log");
        log.into_iter().filter(|event| event.user == operator && WRITES.contains(&&*event.verb)).collect()
    }
}

/// Waits for something.
pub(crate) fn wait_for(what: &str, limit: Duration, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < limit, "not within {} s: {what}", limit.as_secs());
        thread::sleep(LOOK_INTERVAL);
    }
}

/// `count` names that begin with this, all of the same length.
pub(crate) fn names(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{prefix}-{number:03}")).collect()
}

fn platform(kafka: &KafkaCluster) -> Value {
    let key = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "signing", "namespace": "default"},
        "stringData": {"key": format!("0x{}", "5a".repeat(32))},
    });
    let platform = json!({
        "apiVersion": "pnyx.dev/v1alpha1", "kind": "GovernancePlatform",
        "metadata": {"name": "default", "namespace": "default"},
        "spec": {
            "domain": "test",
            "signingKeySecretRef": {"name": "signing", "key": "key"},
            "kafka": {
                "bootstrapServers": kafka.bootstrap().split(',').collect::<Vec<_>>(),
                "replication": 1, "minInSync": 1, "allowUnsafeDurability": true,
            },
            "redis": {"single": {"address": "redis:6379"}},
        },
    });
    json!({"apiVersion": "v1", "kind": "List", "items": [key, platform]})
}

/// With as few partitions as there can be: one broker carries hundreds of proposals.
fn proposal(name: &str, opens_in: SignedDuration) -> Value {
    let opens_at = Timestamp::from_second((Timestamp::now() + opens_in).as_second()).expect("a near time");
    let closes_at = opens_at + SignedDuration::from_hours(24);
    json!({
        "apiVersion": "pnyx.dev/v1alpha1", "kind": "GovernanceProposal",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "space": "dao.eth", "title": name, "body": "", "choices": ["yes", "no"],
            "voting": {"system": "SingleChoice"},
            "window": {"opensAt": opens_at.to_string(), "closesAt": closes_at.to_string()},
            "power": {"strategies": [{"ticket": {"value": "1"}}]},
            "scaling": {"maxShards": 4, "warmShards": 1, "partitions": {"initial": 1}},
        },
    })
}

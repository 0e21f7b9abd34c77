//! The image: it runs where pods are restricted and nothing can be written, checks public authorities, and reaches a broker
//! outside of the cluster.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use pnyx_testbed::{Authority, KafkaCluster, KafkaOptions, Listener};
use serde_json::json;

use crate::support::{node, pod, run};

/// Arguments of `pnyx propose` but for the file.
fn propose(kafka: &str) -> Vec<&str> {
    let one = ["--kafka-replication-factor", "1", "--kafka-min-insync-replicas", "1", "--allow-unsafe-durability"];
    [&["propose", "--open-for", "10m", "--domain", "test", "--kafka", kafka][..], &one].concat()
}

/// What a command says on this machine.
fn here(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The line with a proposal's id and window.
fn window(text: &str) -> &str {
    text.lines().find(|line| line.contains("grants-round")).unwrap_or_else(|| panic!("{text}"))
}

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("examples/grants-round.yaml")
}

#[test]
fn the_image_runs_restricted_and_reaches_a_broker_outside() {
    let node = node();
    let cluster = node.control_plane();
    let proposal = fs::read_to_string(example()).unwrap();
    let proposals = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "proposals", "namespace": "votes"},
        "data": {"grants-round.yaml": proposal},
    });
    cluster.apply(&proposals.to_string()).unwrap();
    assert_eq!(
        run(&node, "version", &pod("version", &["--version"])),
        concat!("pnyx ", env!("CARGO_PKG_VERSION"), "\n")
    );

    // At an address that pods and this machine reach alike, and under a name of the cluster.
    let kafka = KafkaCluster::start(KafkaOptions::one().listen_on(node.outside())).unwrap();
    let port = kafka.bootstrap().rsplit_once(':').unwrap().1.parse().unwrap();
    let broker = node.expose("kafka", "votes", port).unwrap();
    let mut proposing = pod("propose", &[&propose(&broker)[..], &["/proposals/grants-round.yaml"]].concat());
    proposing["spec"]["volumes"] = json!([{"name": "proposals", "configMap": {"name": "proposals"}}]);
    proposing["spec"]["containers"][0]["volumeMounts"] = json!([{"name": "proposals", "mountPath": "/proposals"}]);
    let said = run(&node, "propose", &proposing);

    // This machine finds in the same broker what the pod has written: the window that it was given there.
    let again = here(Command::new(env!("CARGO_BIN_EXE_pnyx")).args(propose(&kafka.bootstrap())).arg(example()));
    assert_eq!(window(&said), window(&again));
}

/// The image sets the variable for the sake of Kafka's client, which was built to look for authorities elsewhere.
#[test]
fn kafkas_client_finds_authorities_by_the_variable_of_the_image() {
    let authority = Authority::new().unwrap();
    let kafka = KafkaCluster::start(KafkaOptions::one().tls(&authority.issue("kafka").unwrap())).unwrap();
    let broker = kafka.bootstrap_of(Listener::Tls);
    let mut command = Command::new(env!("CARGO_BIN_EXE_pnyx"));
    command.args(propose(&broker)).arg("--kafka-tls=true").arg(example());
    let refused = command.env_remove("SSL_CERT_FILE").output().unwrap();
    let reason = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && reason.contains("certificate verify failed"), "{reason}");
    let said = here(command.env("SSL_CERT_FILE", authority.certificate()));
    assert!(window(&said).contains("open"), "{said}");
}

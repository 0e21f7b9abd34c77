//! The quick start of docs/kind.md, on the node of the test bed in place of kind's: the same command lines of kubectl and
//! Helm, the same chart, values and files. Kafka and Redis are pods here too, of images that are called like those of their
//! makers and made of what this machine has.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};
use pnyx_testbed::{
    Process,
    kubernetes::{Node, Tool},
    oci::{self, Archive},
    quick_start::{self, Line, Program, Step},
};
use serde_json::Value;

use crate::support::{described, node};

/// How long the window is closed before and open then: pods have to start and ballots to come within it, on two busy cores.
const OPENS_IN: SignedDuration = SignedDuration::from_secs(15);
const OPEN_FOR: SignedDuration = SignedDuration::from_secs(40);

/// What a pod casts.
const BALLOTS: u64 = 600;
const RATE: u32 = 60;

/// How long a connection through the API server may take to be there.
const FORWARD_LIMIT: Duration = Duration::from_secs(30);

/// Something of this repository.
fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)
}

/// Makes the servers' images under the very names that the chart's values have.
fn import_servers(node: &Node) {
    let values: Value = serde_saphyr::from_str(&fs::read_to_string(path("charts/pnyx/values.yaml")).unwrap()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let import = |server: &str, of: fn(oci::ImageName) -> Result<Archive, pnyx_testbed::TestbedError>| {
        let image = &values["demo"][server]["image"];
        let name = format!("{}:{}", image["repository"].as_str().unwrap(), image["tag"].as_str().unwrap());
        let archive = folder.path().join(server);
        of(name.parse().unwrap()).unwrap().write(&archive).unwrap();
        node.import(&archive).unwrap();
    };
    import("kafka", oci::of_kafka);
    import("redis", oci::of_redis);
}

/// Runs a step as `cargo xtask kind` does, and returns what it says.
fn run(node: &Node, step: &Step) -> String {
    match step {
        Step::Run(line) => line_on(node, line, None),
        Step::Pipe(first, second) => line_on(node, second, Some(&line_on(node, first, None))),
    }
}

fn line_on(node: &Node, line: &Line, input: Option<&str>) -> String {
    // Lines begin at the root of the repository, and tests in the folder of their crate.
    let word = |word: &String| {
        let file = path(word);
        if word.contains('/') && file.exists() { file.display().to_string() } else { word.clone() }
    };
    let words: Vec<String> = line.arguments.iter().map(word).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let cluster = node.control_plane();
    let said = match (line.program, input) {
        (Program::Kubectl, None) => cluster.kubectl(&words),
        (Program::Kubectl, Some(input)) => cluster.kubectl_with(&words, input),
        (Program::Helm, _) => cluster.helm(&words),
        (Program::Kind, _) => panic!("this node stands in for kind"),
    };
    said.unwrap_or_else(|error| {
        panic!("{line}: {error:?}\n{}\n{}", described(node, "default"), described(node, "pnyx-system"))
    })
}

/// A line of what a person may do then.
fn next_with(text: &str) -> Vec<&'static str> {
    let line = quick_start::next().into_iter().find(|line| line.contains(text)).unwrap();
    line.split(' ').skip(1).collect()
}

/// The line that forwards a port to a Service, at a port that is free here. Returns where that is.
fn forward(node: &Node, service: &str, folder: &Path) -> (Process, String) {
    let mut words = next_with(service);
    let ports = words.pop().unwrap();
    let mut command = Command::new(Tool::Kubectl.prepared().unwrap());
    command.args(words).arg(&ports[ports.find(':').unwrap()..]);
    command.env("KUBECONFIG", node.control_plane().kubeconfig_path());
    let log = folder.join(service.replace('/', "-"));
    let mut process = Process::spawn("kubectl port-forward", &command, &log).unwrap();
    // `Forwarding from 127.0.0.1:40123 -> 8080`.
    let address = || {
        let said = fs::read_to_string(&log).ok()?;
        Some(said.split_once("Forwarding from ")?.1.split_once(" -> ")?.0.to_owned())
    };
    process.wait_until(FORWARD_LIMIT, || address().is_some()).unwrap();
    (process, format!("http://{}", address().unwrap()))
}

/// A person's ballot, from outside of the cluster.
fn vote(node: &Node) -> String {
    let folder = tempfile::tempdir().unwrap();
    let (_edge, edge) = forward(node, "service/default-ingest", folder.path());
    let (_reads, reads) = forward(node, "service/default-tally", folder.path());
    let mut words = next_with("pnyx vote");
    *words.last_mut().unwrap() = &reads;
    let mut command = Command::new(env!("CARGO_BIN_EXE_pnyx"));
    let output = command.args(words).args(["--url", &edge]).current_dir(folder.path()).output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{said}\n{}", described(node, "default"));
    said
}

#[test]
fn the_quick_start_is_true() {
    let began = Instant::now();
    let node = node();
    import_servers(&node);
    println!("{:>5.1} s  the node with all images", began.elapsed().as_secs_f64());
    // Stricter than the quick start: nothing of the chart asks for more than this grants.
    let namespace = "{apiVersion: v1, kind: Namespace, metadata: {name: pnyx-system, \
                     labels: {pod-security.kubernetes.io/enforce: restricted}}}";
    node.control_plane().apply(namespace).unwrap();
    for step in quick_start::platform() {
        run(&node, &step);
        println!("{:>5.1} s  {step}", began.elapsed().as_secs_f64());
    }
    let opens_at = Timestamp::from_second((Timestamp::now() + OPENS_IN).as_second()).unwrap();
    for step in quick_start::vote(&opens_at.to_string(), &(opens_at + OPEN_FOR).to_string()) {
        run(&node, &step);
    }
    let said = vote(&node);
    assert!(said.contains("counted") && said.contains("612.125"), "{said}");
    let said = run(&node, &quick_start::load(BALLOTS, RATE, true));
    assert!(said.contains("= served, to the last unit"), "{said}");

    // The same result stands in the status, and nothing of it is left to do.
    let (cluster, proposal) = (node.control_plane(), "gprop/grants-round");
    cluster.kubectl(&["wait", "--for=condition=Recounted", proposal, "--timeout=60s"]).unwrap();
    let status = cluster.kubectl(&["get", proposal, "--output=jsonpath={.status}"]).unwrap();
    let status: Value = serde_json::from_str(&status).unwrap();
    assert_eq!(status["phase"], "Final", "{status}");
    assert!(status["result"]["ballots"].as_i64().unwrap() > 100, "{status}");
    println!("{:>5.1} s  all of it\n{}", began.elapsed().as_secs_f64(), cluster.kubectl(&["get", "gprop"]).unwrap());
}

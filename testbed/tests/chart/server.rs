//! Every combination is looked at by a real server and by two programs that know what goes wrong with charts.

use std::{
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use pnyx_testbed::kubernetes::{ControlPlane, ControlPlaneOptions, Definitions, Tool};

use crate::{NAMESPACE, cases::CASES, rendered, schemas};

/// How long the server may take until it describes kinds that it was told of: usually about a second.
const LIMIT: Duration = Duration::from_secs(60);

/// How often it is asked.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// What kube-score is not asked. Images have versions or digests, so that pulling them each time only makes pods depend on
/// a registry; and the Services behind the Ingress are the operator's.
const NOT_ASKED: [&str; 2] = ["container-image-pull-policy", "ingress-targets-service"];

/// What is bad in cases that ask for it.
const ASKED_FOR: [(&str, &str); 2] = [
    ("networkPolicy: {enabled: false}", "pod-networkpolicy"),
    ("podDisruptionBudget: {enabled: false}", "deployment-has-poddisruptionbudget"),
];

#[test]
fn every_combination_is_taken_by_the_server_and_found_good() {
    let control_plane = ControlPlane::start(ControlPlaneOptions::new()).unwrap();
    for definitions in Definitions::ALL {
        control_plane.apply(&definitions.yaml().unwrap()).unwrap();
    }
    for namespace in [NAMESPACE, "dao-one", "dao-two", "governance"] {
        control_plane.kubectl(&["create", "namespace", namespace]).unwrap();
    }
    // Controllers make it where they run; a pod that names no account has this one.
    control_plane.kubectl(&["create", "serviceaccount", "default", "--namespace", NAMESPACE]).unwrap();
    wait_until_described(&control_plane, &["HTTPRoute", "PrometheusRule"]);
    let folder = tempfile::tempdir().unwrap();
    schemas::write(&control_plane, folder.path());
    let all = ["{}"].into_iter().chain(CASES.iter().map(|case| case.values));
    let files: Vec<(String, &str)> =
        all.enumerate().map(|(index, values)| (write(folder.path(), index, values), values)).collect();
    conform(folder.path(), &files);
    files.iter().for_each(|(file, values)| score(folder.path(), file, values));
    // The files alone: schemas lie beside them.
    let paths: Vec<String> = files.iter().map(|(file, _)| folder.path().join(file).display().to_string()).collect();
    let mut line = vec!["apply", "--server-side", "--dry-run=server", "--warnings-as-errors"];
    line.extend(paths.iter().flat_map(|path| ["-f", path]));
    control_plane.kubectl(&line).unwrap();
}

/// Renders into a file of the folder.
fn write(folder: &Path, index: usize, values: &str) -> String {
    let name = format!("case-{index}.yaml");
    fs::write(folder.join(&name), rendered(values).unwrap()).unwrap();
    name
}

fn conform(folder: &Path, files: &[(String, &str)]) {
    let location = schemas::location(folder);
    let mut line = vec!["-strict", "-summary", "-schema-location", &location];
    line.extend(files.iter().map(|(file, _)| file.as_str()));
    let summary = Tool::Kubeconform.run(folder, &line).unwrap();
    assert!(summary.contains("Invalid: 0, Errors: 0, Skipped: 0"), "{summary}");
    assert!(!summary.contains("Valid: 0"), "{summary}");
}

/// The pod of `helm test` is left out: it lives for seconds, and what is asked of pods that serve is not asked of it.
fn score(folder: &Path, file: &str, values: &str) {
    let all = fs::read_to_string(folder.join(file)).unwrap();
    let scored: Vec<&str> = all.split("\n---\n").filter(|document| !document.contains("helm.sh/hook: test")).collect();
    fs::write(folder.join("scored.yaml"), scored.join("\n---\n")).unwrap();
    // A limit for CPU would hold back a leader that has to renew its lease.
    let mut line = vec!["score", "--ignore-container-cpu-limit"];
    let asked_for = ASKED_FOR.iter().filter(|(text, _)| values.contains(text)).map(|(_, test)| *test);
    for test in NOT_ASKED.into_iter().chain(asked_for) {
        line.extend(["--ignore-test", test]);
    }
    line.push("scored.yaml");
    Tool::KubeScore.run(folder, &line).unwrap_or_else(|error| panic!("{values}: {error}"));
}

fn wait_until_described(control_plane: &ControlPlane, kinds: &[&str]) {
    let start = Instant::now();
    loop {
        let described = control_plane.kubectl(&["get", "--raw=/openapi/v2"]).unwrap();
        if kinds.iter().all(|kind| described.contains(&format!("\"kind\":\"{kind}\""))) {
            return;
        }
        assert!(start.elapsed() < LIMIT, "the server does not describe {kinds:?}");
        thread::sleep(POLL_INTERVAL);
    }
}

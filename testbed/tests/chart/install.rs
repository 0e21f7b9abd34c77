//! The chart on a real control plane: installed, upgraded, taken away and installed again. No pod runs there.

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use expect_test::expect_file;
use pnyx_testbed::kubernetes::{ControlPlane, ControlPlaneOptions};

use crate::{NAMESPACE, RELEASE, path, rendered};

/// How long controllers may take on a machine that compiles beside.
const LIMIT: Duration = Duration::from_secs(60);

/// How often is looked.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// Our resource definitions.
const DEFINITIONS: [&str; 2] = ["crd/governanceproposals.pnyx.dev", "crd/governanceplatforms.pnyx.dev"];

/// What the notes put to the vote.
const VOTE: &str = "examples/grants-round.yaml";

/// A cluster in which the namespace enforces `restricted`, and one that may use the chart.
struct Cluster {
    control_plane: ControlPlane,
    chart: String,
}

impl Cluster {
    /// With the chart of this repository.
    fn start(options: ControlPlaneOptions) -> Self {
        Self::start_with(options, &path("charts/pnyx"))
    }

    fn start_with(options: ControlPlaneOptions, chart: &Path) -> Self {
        let control_plane = ControlPlane::start(options).unwrap();
        control_plane.kubectl(&["create", "namespace", NAMESPACE]).unwrap();
        let label = ["label", "namespace", NAMESPACE, "pod-security.kubernetes.io/enforce=restricted"];
        control_plane.kubectl(&label).unwrap();
        Self { control_plane, chart: chart.display().to_string() }
    }

    /// Helm on our release: no pod becomes ready here, so nothing waits.
    fn helm(&self, verb: &str, further: &[&str]) -> String {
        let mut line = vec![verb, RELEASE];
        if ["install", "upgrade"].contains(&verb) {
            line.push(&self.chart);
        }
        line.extend(["--namespace", NAMESPACE]);
        line.extend(further);
        self.control_plane.helm(&line).unwrap()
    }

    fn get(&self, line: &[&str]) -> String {
        let line = [&["get", "--namespace", NAMESPACE, "--output=name"], line].concat();
        self.control_plane.kubectl(&line).unwrap()
    }

    fn wait_for_definitions(&self) {
        let line = [&["wait", "--for=condition=Established", "--timeout=60s"], DEFINITIONS.as_slice()].concat();
        self.control_plane.kubectl(&line).unwrap();
    }

    /// Whether the operator's account may do so.
    fn may(&self, verb: &str, resource: &str, namespace: &str) -> bool {
        let account = format!("--as=system:serviceaccount:{NAMESPACE}:pnyx-operator");
        let line = ["auth", "can-i", verb, resource, "--namespace", namespace, &account];
        self.control_plane.kubectl(&line).is_ok()
    }
}

#[test]
fn it_is_installed_upgraded_and_taken_away_and_leaves_votes_alone() {
    let cluster = Cluster::start(ControlPlaneOptions::new().controllers());
    let said = cluster.helm("install", &[]);
    cluster.wait_for_definitions();
    expect_file!["golden/notes.txt"].assert_eq(said.split_once("NOTES:\n").expect("it has notes").1);
    // What it says to do next can be done with the files that it names.
    for (named, file) in [("platform.yaml", "examples/platform/platform.yaml"), (VOTE, VOTE)] {
        assert!(said.contains(&format!("kubectl apply -f {named}\n")) && said.contains(file), "{said}");
        cluster.control_plane.kubectl(&["apply", "-f", &path(file).display().to_string()]).unwrap();
    }
    let votes = || cluster.control_plane.kubectl(&["get", "gprop,gplat", "--output=name"]).unwrap();
    let before = votes();
    assert_eq!(before.lines().count(), 2, "{before}");

    // The namespace takes the pods, which controllers make, and the one of the test.
    wait_until(|| cluster.get(&["pods"]).lines().count() == 2);
    let hooks = cluster.control_plane.helm(&["get", "hooks", RELEASE, "--namespace", NAMESPACE]).unwrap();
    cluster.control_plane.apply(&hooks).unwrap();

    cluster.helm("upgrade", &["--set=operator.replicas=1", "--set=networkPolicy.enabled=false"]);
    wait_until(|| cluster.get(&["pods", "--selector=app.kubernetes.io/component=operator"]).lines().count() == 1);
    assert_eq!(cluster.get(&["networkpolicies,poddisruptionbudgets"]), "");
    assert_eq!(votes(), before);

    cluster.helm("uninstall", &["--wait"]);
    assert_eq!(cluster.get(&["deployments,services,serviceaccounts,roles,rolebindings"]), "serviceaccount/default\n");
    assert_eq!(votes(), before);
    cluster.helm("install", &[]);
    assert_eq!(votes(), before);
}

/// What people have installed is never left behind: each chart that was released, with a vote in it, becomes this one.
#[test]
fn each_released_chart_becomes_this_one() {
    let released = released();
    assert_ne!(released.len(), 0, "charts/released has charts");
    for old in released {
        let mut cluster = Cluster::start_with(ControlPlaneOptions::new().controllers(), &old);
        cluster.helm("install", &[]);
        cluster.wait_for_definitions();
        for file in ["examples/platform/platform.yaml", VOTE] {
            cluster.control_plane.kubectl(&["apply", "-f", &path(file).display().to_string()]).unwrap();
        }
        let specs = || cluster.control_plane.kubectl(&["get", "gprop,gplat", "--output=jsonpath={.items[*].spec}"]);
        let before = specs().unwrap();

        let old_image = operator_image(&cluster);
        cluster.chart = path("charts/pnyx").display().to_string();
        cluster.helm("upgrade", &[]);
        cluster.wait_for_definitions();
        assert_ne!(operator_image(&cluster), old_image, "{} has a version of its own", old.display());
        assert_eq!(specs().unwrap(), before, "{}", old.display());
        wait_until(|| cluster.get(&["pods", "--selector=app.kubernetes.io/component=operator"]).lines().count() >= 2);
        // Everything that is there is what a first installation of this chart makes: kubectl diff ends with 1 otherwise.
        let manifest = cluster.control_plane.helm(&["get", "manifest", RELEASE, "--namespace", NAMESPACE]).unwrap();
        let diff = ["diff", "--server-side", "--force-conflicts", "-f", "-"];
        assert_eq!(cluster.control_plane.kubectl_with(&diff, &manifest).unwrap(), "");
        cluster.helm("uninstall", &["--wait"]);
        assert_eq!(specs().unwrap(), before, "{}", old.display());
    }
}

/// The charts that were released, as people got them.
fn released() -> Vec<PathBuf> {
    let files = fs::read_dir(path("charts/released")).unwrap().map(|entry| entry.unwrap().path());
    let mut charts: Vec<_> = files.filter(|file| file.extension().is_some_and(|end| end == "tgz")).collect();
    charts.sort();
    charts
}

fn operator_image(cluster: &Cluster) -> String {
    let image = "--output=jsonpath={.spec.template.spec.containers[0].image}";
    let line = ["get", "--namespace", NAMESPACE, "deployment/pnyx-operator", image];
    cluster.control_plane.kubectl(&line).unwrap()
}

#[test]
fn definitions_go_where_that_is_asked_and_rights_reach_as_far_as_they_should() {
    let cluster = Cluster::start(ControlPlaneOptions::new());
    try_definitions(&cluster);
    for namespace in ["dao-one", "dao-two"] {
        cluster.control_plane.kubectl(&["create", "namespace", namespace]).unwrap();
    }
    cluster.helm("install", &["--set=namespaces={dao-one}"]);
    for (verb, resource) in
        [("list", "governanceproposals.pnyx.dev"), ("patch", "deployments.apps"), ("get", "secrets")]
    {
        assert!(cluster.may(verb, resource, "dao-one"), "{verb} {resource}");
        assert!(!cluster.may(verb, resource, "dao-two"), "{verb} {resource}");
    }
    assert!(!cluster.may("list", "secrets", "dao-one"));
    assert!(cluster.may("create", "leases.coordination.k8s.io", NAMESPACE));
    assert!(!cluster.may("create", "leases.coordination.k8s.io", "dao-one"));
    cluster.helm("upgrade", &["--set=namespaces=null"]);
    assert!(cluster.may("list", "governanceproposals.pnyx.dev", "dao-two"));
    assert!(!cluster.may("list", "secrets", "dao-two") && !cluster.may("create", "rolebindings", "dao-two"));
}

/// Definitions are established without a warning, and go where that is asked.
fn try_definitions(cluster: &Cluster) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("definitions.yaml");
    let all = rendered("crds: {install: true}").unwrap();
    let definitions: Vec<&str> =
        all.split("\n---\n").filter(|document| document.contains("\nkind: CustomResourceDefinition\n")).collect();
    assert_eq!(definitions.len(), 2);
    std::fs::write(&file, definitions.join("\n---\n")).unwrap();
    let file = file.display().to_string();
    let apply = ["apply", "--server-side", "--warnings-as-errors", "-f", &file];
    cluster.control_plane.kubectl(&apply).unwrap();
    cluster.wait_for_definitions();
    cluster.control_plane.kubectl(&["delete", "--wait=true", "-f", &file]).unwrap();

    cluster.helm("install", &["--set=crds.keep=false"]);
    cluster.wait_for_definitions();
    cluster.helm("uninstall", &["--wait"]);
    assert_eq!(cluster.control_plane.kubectl(&["get", "crds", "--output=name"]).unwrap(), "");
}

fn wait_until(mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < LIMIT, "it did not come to that in time");
        thread::sleep(POLL_INTERVAL);
    }
}

//! The quick start of docs/kind.md as data: its command lines in order.
//!
//! `cargo xtask kind` runs them for people with Docker. Where there is none, a test runs those of kubectl and Helm on the
//! node of the test bed, so that what the page says is tried all the same.

use std::fmt;

/// The cluster's name.
pub const CLUSTER: &str = "pnyx";

/// By which kubectl and Helm know it among others.
pub const CONTEXT: &str = "kind-pnyx";

/// The image, as the chart names it.
pub const IMAGE: &str = concat!("pnyx:", env!("CARGO_PKG_VERSION"));

/// The proposal that is put to the vote.
const PROPOSAL: &str = "examples/grants-round.yaml";

/// Where pods find the edge and the tally of the platform.
const EDGE: &str = "http://default-ingest";
const READS: &str = "http://default-tally";

/// A program that the quick start needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// Makes clusters inside of Docker.
    Kind,
    /// Talks to clusters.
    Kubectl,
    /// Installs charts.
    Helm,
}

impl Program {
    /// What it is called on the path.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kind => "kind",
            Self::Kubectl => "kubectl",
            Self::Helm => "helm",
        }
    }
}

/// A command line. Paths in it begin at the root of the repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// What runs.
    pub program: Program,
    /// With what.
    pub arguments: Vec<String>,
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A command line by itself.
    Run(Line),
    /// Two of them: the second reads what the first writes.
    Pipe(Line, Line),
}

impl fmt::Display for Line {
    /// As people write it in a shell.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.program.name())?;
        self.arguments.iter().try_for_each(|word| {
            if word.contains(['{', '"', ' ']) { write!(f, " '{word}'") } else { write!(f, " {word}") }
        })
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Run(line) => line.fmt(f),
            Self::Pipe(first, second) => write!(f, "{first} | {second}"),
        }
    }
}

/// A cluster that has the image of an archive.
#[must_use]
pub fn cluster(archive: &str) -> [Step; 2] {
    [
        run(Program::Kind, &["create", "cluster", "--name", CLUSTER, "--config", "testbed/kind.yaml", "--wait", "3m"]),
        run(Program::Kind, &["load", "image-archive", archive, "--name", CLUSTER]),
    ]
}

/// The chart with a Kafka and a Redis, and a platform on them that is ready.
#[must_use]
pub fn platform() -> [Step; 3] {
    let chart = ["install", "pnyx", "charts/pnyx", "--namespace", "pnyx-system", "--create-namespace"];
    let with = ["--values", "examples/kind/values.yaml", "--wait", "--timeout", "5m"];
    [
        run(Program::Helm, &[&chart[..], &with].concat()),
        run(Program::Kubectl, &["apply", "-f", "examples/kind/platform.yaml"]),
        run(Program::Kubectl, &["wait", "--for=condition=Ready", "gplat/default", "--timeout=5m"]),
    ]
}

/// An example put to the vote in a window of its own, in RFC 3339, until it is open.
#[must_use]
pub fn vote(opens_at: &str, closes_at: &str) -> [Step; 2] {
    let window = format!(r#"{{"spec":{{"window":{{"opensAt":"{opens_at}","closesAt":"{closes_at}"}}}}}}"#);
    let patched = ["patch", "--local", "-f", PROPOSAL, "--type", "merge", "-p", &window, "-o", "yaml"];
    [
        Step::Pipe(line(Program::Kubectl, &patched), line(Program::Kubectl, &["apply", "-f", "-"])),
        run(Program::Kubectl, &["wait", "--for=condition=Open", "gprop/grants-round", "--timeout=5m"]),
    ]
}

/// Ballots on all that is open, sent by a pod; it compares what is served with what is expected.
#[must_use]
pub fn load(ballots: u64, rate: u32, is_until_final: bool) -> Step {
    let image = format!("--image={IMAGE}");
    let pod = ["run", "pnyx-load", "--rm", "--attach", "--restart=Never", &image, "--"];
    let (ballots, rate) = (ballots.to_string(), rate.to_string());
    let load = ["load", "--ballots", &ballots, "--rate", &rate, "--url", EDGE, "--read-url", READS];
    let last: &[&str] = if is_until_final { &["--until-final"] } else { &[] };
    run(Program::Kubectl, &[&pod[..], &load, last].concat())
}

/// What a person may do then, each in a terminal of its own where it goes on.
#[must_use]
pub fn next() -> [&'static str; 6] {
    [
        "kubectl port-forward service/default-ingest 8080:80",
        "kubectl port-forward service/default-tally 8081:80",
        "pnyx vote grants-round --choice For --demo-wallet 3 --wait --read-url http://127.0.0.1:8081",
        "curl -N http://127.0.0.1:8081/v1/proposals/grants-round/events",
        "kubectl get gprop --watch",
        "cargo xtask kind load",
    ]
}

/// The end of the cluster and of all that it holds.
#[must_use]
pub fn down() -> Step {
    run(Program::Kind, &["delete", "cluster", "--name", CLUSTER])
}

fn run(program: Program, arguments: &[&str]) -> Step {
    Step::Run(line(program, arguments))
}

fn line(program: Program, arguments: &[&str]) -> Line {
    Line { program, arguments: arguments.iter().map(|&word| word.to_owned()).collect() }
}

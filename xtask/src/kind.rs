//! `cargo xtask kind`: the quick start of docs/kind.md, from no cluster to an open vote, for people with Docker.

use anyhow::{bail, ensure};
use clap::Subcommand;
use jiff::{SignedDuration, Timestamp};
use pnyx_testbed::quick_start::{self, Line, Program, Step};

use crate::{
    image::{self, Image, Profile},
    process,
};

/// How long after `up` the vote opens: its verifiers have to be there by then.
const OPENS_IN: SignedDuration = SignedDuration::from_secs(60);

/// What has to be there: a command that only works where it is, and how it comes there.
const NEEDED: [(&[&str], &str); 4] = [
    (&["docker", "info"], "Docker does not answer: install it from https://docs.docker.com/get-docker/ and start it"),
    (&["kind", "version"], "kind is missing: install it from https://kind.sigs.k8s.io/docs/user/quick-start/"),
    (
        &["kubectl", "version", "--client"],
        "kubectl is missing: install it from https://kubernetes.io/docs/tasks/tools/",
    ),
    (&["helm", "version"], "Helm is missing: install it from https://helm.sh/docs/intro/install/"),
];

/// What to do with the cluster.
#[derive(Debug, Subcommand)]
pub enum Kind {
    /// Makes the cluster, installs the chart with a Kafka and a Redis, and puts an example to the vote.
    Up {
        /// How the program is compiled; `dev` is optimised, and it is the one that tests run.
        #[arg(long, value_enum, default_value_t = Profile::Dev)]
        profile: Profile,
        /// How many minutes the vote stays open.
        #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1440))]
        open_for_minutes: u32,
    },
    /// Casts many ballots on what is open, from inside of the cluster, and compares what is served with what is expected.
    Load {
        /// How many ballots.
        #[arg(long, default_value_t = 2000)]
        ballots: u64,
        /// How many a second.
        #[arg(long, default_value_t = 100)]
        rate: u32,
        /// Waits until the results are published, and compares those as well.
        #[arg(long)]
        until_final: bool,
    },
    /// Deletes the cluster with all votes in it.
    Down,
}

/// Runs one of the tasks.
pub(crate) fn run(task: &Kind) -> anyhow::Result<()> {
    for (line, advice) in NEEDED {
        ensure!(process::output_quietly(line).is_some(), advice);
    }
    match *task {
        Kind::Up { profile, open_for_minutes } => up(profile, open_for_minutes),
        Kind::Load { ballots, rate, until_final } => run_step(&quick_start::load(ballots, rate, until_final)),
        Kind::Down => run_step(&quick_start::down()),
    }
}

fn up(profile: Profile, open_for_minutes: u32) -> anyhow::Result<()> {
    if clusters()?.lines().any(|name| name == quick_start::CLUSTER) {
        bail!("the cluster {} is there already; `cargo xtask kind down` deletes it", quick_start::CLUSTER);
    }
    let archive = image::run(&Image::named(quick_start::IMAGE.parse()?, profile))?;
    quick_start::cluster(&archive.to_string_lossy()).iter().try_for_each(run_step)?;
    quick_start::platform().iter().try_for_each(run_step)?;
    let opens_at = Timestamp::from_second((Timestamp::now() + OPENS_IN).as_second())?;
    let closes_at = opens_at + SignedDuration::from_mins(open_for_minutes.into());
    quick_start::vote(&opens_at.to_string(), &closes_at.to_string()).iter().try_for_each(run_step)?;
    process::say(&format!(
        "\nthe vote is open until {closes_at}. What you can do now, some of it in terminals of its own:\n"
    ))?;
    quick_start::next().iter().try_for_each(|line| process::say(&format!("  {line}")))?;
    Ok(process::say("\n`cargo xtask kind down` deletes the cluster with all votes in it")?)
}

/// The names of all clusters that kind has made here, one a line.
fn clusters() -> anyhow::Result<String> {
    Ok(String::from_utf8(process::output(&["kind", "get", "clusters"])?)?)
}

fn run_step(step: &Step) -> anyhow::Result<()> {
    fn words(line: &[String]) -> Vec<&str> {
        line.iter().map(String::as_str).collect()
    }
    match step {
        Step::Run(line) => process::run(&words(&in_cluster(line))),
        Step::Pipe(first, second) => process::run_piped(&words(&in_cluster(first)), &words(&in_cluster(second))),
    }
}

/// The line with the name of our cluster in it: the one that a person works with otherwise is left alone.
fn in_cluster(line: &Line) -> Vec<String> {
    let context = match line.program {
        Program::Kind => None,
        Program::Kubectl => Some(format!("--context={}", quick_start::CONTEXT)),
        Program::Helm => Some(format!("--kube-context={}", quick_start::CONTEXT)),
    };
    let program = line.program.name().to_owned();
    [program].into_iter().chain(context).chain(line.arguments.iter().cloned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_reaches_another_cluster() {
        let steps =
            [&quick_start::platform()[..], &quick_start::vote("", ""), &[quick_start::load(1, 1, true)]].concat();
        let lines = steps.iter().flat_map(|step| match step {
            Step::Run(line) => vec![line],
            Step::Pipe(first, second) => vec![first, second],
        });
        for line in lines {
            let words = in_cluster(line);
            // Before all that it is asked to do, and before `--`.
            assert!(words[1].ends_with("context=kind-pnyx"), "{words:?}");
        }
    }
}

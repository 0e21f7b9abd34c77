//! Benchmarks: every bench target of the workspace, in the profile that tests and programs use.

use anyhow::ensure;
use cargo_metadata::{MetadataCommand, TargetKind};

use crate::process;

/// Runs the benchmarks whose name contains `filter` with these arguments, one after another, so that they do not disturb
/// each other.
pub(crate) fn run(filter: &str, arguments: &[String]) -> anyhow::Result<()> {
    let metadata = MetadataCommand::new().manifest_path(crate::root().join("Cargo.toml")).no_deps().exec()?;
    let mut benches: Vec<(&str, &str)> = Vec::new();
    for package in &metadata.packages {
        let targets = package.targets.iter().filter(|target| target.kind.contains(&TargetKind::Bench));
        benches.extend(targets.map(|target| (package.name.as_str(), target.name.as_str())));
    }
    benches.retain(|(_, name)| name.contains(filter));
    benches.sort_unstable();
    ensure!(!benches.is_empty(), "no benchmark has a name with \"{filter}\"");
    for (package, name) in benches {
        process::say(&format!("\n== {package}: {name}"))?;
        let line = ["cargo", "bench", "--locked", "--profile", "dev", "--package", package, "--bench", name, "--"];
        let line: Vec<&str> = line.into_iter().chain(arguments.iter().map(String::as_str)).collect();
        process::run(&line)?;
    }
    Ok(())
}

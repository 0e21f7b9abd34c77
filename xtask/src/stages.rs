//! The stages of `cargo xtask test`.

use std::time::{Duration, Instant};

use anyhow::{bail, ensure};
use pnyx_testbed::{kubernetes, s3};

use crate::{generated, peers, process, tests};

/// One step of the tests.
struct Stage {
    /// Name for `--only` and the closing table.
    name: &'static str,
    /// What happens, and what is being prepared while it takes long.
    about: &'static str,
    /// Whether later stages cannot work without it.
    needed: bool,
    /// Does it, with output shown as it comes.
    run: fn() -> anyhow::Result<()>,
}

/// All stages, in order: what fails fastest comes first.
const STAGES: &[Stage] = &[
    Stage {
        name: "format",
        about: "the layout of all Rust sources",
        needed: false,
        run: || process::run(&["cargo", "fmt", "--all", "--check"]),
    },
    Stage {
        name: "clippy",
        about: "lints; on a fresh machine all dependencies are downloaded and checked first, which takes minutes",
        needed: false,
        run: || process::run(&["cargo", "clippy", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"]),
    },
    Stage {
        name: "build",
        about: "programs, tests and benchmarks; on a fresh machine all dependencies are compiled first, which takes minutes",
        needed: true,
        run: || process::run(&["cargo", "build", "--locked", "--workspace", "--all-targets"]),
    },
    Stage {
        name: "tidy",
        about: "rules of this repository that compilers do not know",
        needed: false,
        run: || process::run(&["cargo", "test", "--locked", "--workspace", "--test", "tidy"]),
    },
    Stage {
        name: "kubernetes",
        about: "the programs of Kubernetes that tests run; on a fresh machine they are built first, which takes minutes",
        needed: false,
        run: || Ok(kubernetes::prepare()?),
    },
    Stage {
        name: "s3",
        about: "the object store that tests use; on a fresh machine it is built first, which takes minutes",
        needed: false,
        run: || Ok(s3::prepare()?),
    },
    Stage {
        name: "tests",
        about: "unit, property and integration tests of all crates",
        needed: false,
        run: tests::run,
    },
    Stage {
        name: "peers",
        about: "programs of others that must agree with us; on a fresh machine their npm packages are downloaded first",
        needed: false,
        run: peers::run,
    },
    Stage {
        name: "generated",
        about: "whether committed generated files are as they would be written now",
        needed: false,
        run: generated::check,
    },
];

/// The stages of `cargo xtask lint`.
pub(crate) const LINT: &[&str] = &["format", "clippy", "tidy"];

/// How a stage ended.
enum End {
    Passed(Duration),
    Failed(Duration),
    Skipped,
}

/// Names of all stages.
pub(crate) fn names() -> Vec<&'static str> {
    STAGES.iter().map(|stage| stage.name).collect()
}

/// Prints all stages.
pub(crate) fn list() -> anyhow::Result<()> {
    for stage in STAGES {
        process::say(&format!("{:<12}{}", stage.name, stage.about))?;
    }
    Ok(())
}

/// Runs the chosen stages, all of them even if one fails, unless it is one that the rest need.
pub(crate) fn run(is_chosen: impl Fn(&str) -> bool) -> anyhow::Result<()> {
    let start = Instant::now();
    let mut ends = Vec::new();
    let mut is_blocked = false;
    for stage in STAGES.iter().filter(|stage| is_chosen(stage.name)) {
        if is_blocked {
            ends.push((stage.name, End::Skipped));
            continue;
        }
        process::say(&format!("\n== {}: {}", stage.name, stage.about))?;
        let stage_start = Instant::now();
        let end = match (stage.run)() {
            Ok(()) => End::Passed(stage_start.elapsed()),
            Err(error) => {
                process::say(&format!("== {} failed: {error:#}", stage.name))?;
                is_blocked = stage.needed;
                End::Failed(stage_start.elapsed())
            }
        };
        ends.push((stage.name, end));
    }
    ensure!(!ends.is_empty(), "no stage was chosen");
    report(&ends, start.elapsed())
}

fn report(ends: &[(&str, End)], total: Duration) -> anyhow::Result<()> {
    process::say("")?;
    let (mut passed, mut failed) = (0_usize, 0_usize);
    for (name, end) in ends {
        let line = match end {
            End::Passed(time) => {
                passed += 1;
                format!("{name:<12}passed  {:>8.1} s", time.as_secs_f64())
            }
            End::Failed(time) => {
                failed += 1;
                format!("{name:<12}FAILED  {:>8.1} s", time.as_secs_f64())
            }
            End::Skipped => format!("{name:<12}skipped, because it needs what failed"),
        };
        process::say(&line)?;
    }
    process::say(&format!("{:<12}        {:>8.1} s", "total", total.as_secs_f64()))?;
    process::say(&format!("{passed} passed, {failed} failed"))?;
    if failed > 0 {
        bail!("repeat a stage with `cargo xtask test --only STAGE`");
    }
    Ok(())
}

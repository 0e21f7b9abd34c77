//! Faults at seeded random moments into one running pipeline under load, round after round: nothing acknowledged is
//! lost, nothing is counted twice, and what is served, what is stored and what is published say the same.
//!
//! `cargo test` runs one round. `cargo xtask chaos --rounds N --seed S [--first N] [--report FILE]` runs as many as asked
//! and accumulates what came out, a JSON line each; rounds that the report has are not run again.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that fails says where; a harness says how it goes"
)]

#[path = "../common/mod.rs"]
mod common;

mod checks;
mod closing;
mod disk;
mod faults;
mod plan;
mod probe;
mod report;
mod round;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

use common::pipeline::Pipeline;
use plan::Plan;
use report::{Report, RoundReport};

/// What this target is called where tests are chosen by name.
const NAME: &str = "chaos";

/// The seed of the round in `cargo test`.
const SEED_DEFAULT: u64 = 1;

/// How many seconds a platform goes on after a round on it has failed.
const HOLD_VARIABLE: &str = "PNYX_CHAOS_HOLD_S";

/// What the command line asks for.
struct Arguments {
    rounds: u64,
    /// Rounds before it are left out.
    first: u64,
    seed: u64,
    report: Option<PathBuf>,
    /// Only faults whose name contains one of these; all if there is none.
    faults: Vec<String>,
    is_chosen: bool,
    only_lists: bool,
}

fn main() -> ExitCode {
    let Arguments { rounds, first, seed, report, faults, is_chosen, only_lists } = arguments();
    if only_lists {
        println!("{NAME}: test");
        return ExitCode::SUCCESS;
    }
    if !is_chosen {
        return ExitCode::SUCCESS;
    }
    let mut report = Report::open(report);
    let mut pipeline: Option<Pipeline> = None;
    for index in first..rounds {
        if report.has(seed, index) {
            println!("round {index} of seed {seed}: in the report already");
            continue;
        }
        let start = Instant::now();
        let plan = Plan::new(seed, index, &faults);
        println!("round {index} of seed {seed}: {plan}");
        let mut round = RoundReport::new(&plan);
        let ended = catch_unwind(AssertUnwindSafe(|| round::run(&plan, &mut pipeline, &mut round)));
        if let Err(panic) = ended {
            round.problem = Some(message(&*panic));
            if let Some(failed) = pipeline.take() {
                println!("{}\n{}", failed.logs(), failed.positions());
                hold();
            }
        }
        round.seconds = start.elapsed().as_secs_f64();
        report.add(round);
    }
    drop(pipeline);
    report.print();
    if report.has_failure() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// The test runner's own arguments are taken too, as far as they concern a target with one test.
fn arguments() -> Arguments {
    let mut parsed = Arguments {
        rounds: 1,
        first: 0,
        seed: SEED_DEFAULT,
        report: None,
        faults: Vec::new(),
        is_chosen: true,
        only_lists: false,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().unwrap_or_else(|| panic!("{argument} needs a value"));
        match argument.as_str() {
            "--rounds" => parsed.rounds = value().parse().expect("--rounds takes a number"),
            "--first" => parsed.first = value().parse().expect("--first takes a number"),
            "--seed" => parsed.seed = value().parse().expect("--seed takes a number"),
            "--report" => parsed.report = Some(value().into()),
            "--fault" => parsed.faults.push(value()),
            "--list" => parsed.only_lists = true,
            "--skip" => parsed.is_chosen &= !NAME.contains(&value()),
            "--test-threads" | "--format" | "--color" => drop(value()),
            option if option.starts_with('-') => {}
            filter => parsed.is_chosen &= NAME.contains(filter),
        }
    }
    parsed
}

/// Keeps what failed as it is, for whoever wants to look at it.
fn hold() {
    let asked = std::env::var(HOLD_VARIABLE).ok().and_then(|seconds| seconds.parse().ok());
    std::thread::sleep(Duration::from_secs(asked.unwrap_or(0)));
}

fn message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic without a message").to_owned()
}

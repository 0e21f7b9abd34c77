//! Rounds of faults into a running pipeline: the test target `chaos` of `pnyx`, with as many rounds as asked.

use std::path::PathBuf;

use crate::process;

/// What the rounds are and where they are written down.
#[derive(Debug, clap::Args)]
pub struct Chaos {
    /// How many rounds; those that the report has are not run again.
    #[arg(long, default_value_t = 20)]
    rounds: u64,
    /// Begin with this round, counted from 0: to repeat one.
    #[arg(long, default_value_t = 0, value_name = "ROUND")]
    first: u64,
    /// Faults, their order and their moments follow from it.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Accumulates what came out, a JSON line a round.
    #[arg(long, value_name = "FILE", default_value = "target/chaos.jsonl")]
    report: PathBuf,
    /// Only faults whose name contains this text; may be given several times.
    #[arg(long, value_name = "TEXT")]
    fault: Vec<String>,
}

/// Runs the rounds.
pub(crate) fn run(chaos: &Chaos) -> anyhow::Result<()> {
    let Chaos { rounds, first, seed, report, fault } = chaos;
    // Tests run in the folder of their crate.
    let report = crate::root().join(report).display().to_string();
    let [rounds, first, seed] = [rounds, first, seed].map(u64::to_string);
    let test = ["cargo", "test", "--locked", "--workspace", "--test", "chaos", "--"];
    let mut line =
        [&test[..], &["--rounds", &rounds, "--first", &first, "--seed", &seed, "--report", &report]].concat();
    line.extend(fault.iter().flat_map(|fault| ["--fault", fault.as_str()]));
    process::run(&line)
}

//! The whole way of a ballot, with the real binary: many ballots from `POST /` to audited results, beside the bare
//! recovery of their signatures; and what a ballot costs where many are counted already, beside what it costs at first.
//!
//! `PNYX_BENCH_BALLOTS` sets how many ballots are counted already (1,000,000 unless it is set); a small number makes a
//! quick run. `cargo bench --profile dev -p pnyx --bench whole -- flatness` runs one part alone, `end-to-end` the other.

mod client;
mod dev;
mod end_to_end;
mod flatness;
mod proposals;
mod signed;

use std::{
    env, fs,
    io::{self, Write as _},
};

use anyhow::Context as _;
use pnyx_bench_support::{load_average, median};

/// How many ballots are counted already when the cost of one more is measured.
const COUNTED_BALLOTS: usize = 1_000_000;

/// How many ballots go all the way to an audited result.
const END_TO_END_BALLOTS: usize = 200_000;

fn main() -> anyhow::Result<()> {
    let counted = match env::var("PNYX_BENCH_BALLOTS") {
        Ok(text) => text.parse().with_context(|| format!("PNYX_BENCH_BALLOTS={text:?}"))?,
        Err(_) => COUNTED_BALLOTS,
    };
    say(&format!("{}, {} cores, load before the run {}", cpu_model()?, cores(), load_average()?))?;
    if is_wanted("end-to-end") {
        end_to_end::measure(END_TO_END_BALLOTS.min(counted))?;
    }
    if is_wanted("flatness") {
        flatness::measure(counted)?;
    }
    Ok(())
}

/// Whether the command line names this part or none; cargo itself adds an option.
fn is_wanted(part: &str) -> bool {
    let mut named = env::args().skip(1).filter(|argument| !argument.starts_with('-')).peekable();
    named.peek().is_none() || named.any(|name| name == part)
}

fn cpu_model() -> anyhow::Result<String> {
    let info = fs::read_to_string("/proc/cpuinfo")?;
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split(':').nth(1));
    Ok(model.unwrap_or("an unnamed processor").trim().to_owned())
}

/// Cores that this process may use.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Prints a line.
fn say(line: &str) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{line}")
}

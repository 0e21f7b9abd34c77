//! The whole way of a ballot through real processes on Kafka and Redis: what it costs each of them, whether that stays the
//! same when many ballots are counted already, how long a ballot takes until it is counted and until readers of the event
//! stream see it, and what thousands of such readers cost one replica.
//!
//! `PNYX_BENCH_BALLOTS` sets how many ballots are counted in the first part (300,000 unless it is set, of which the first
//! third warms up); a small number makes a quick run, and `PNYX_BENCH_CONNECTIONS` how many of them can be under way at a
//! time in it (64).
//! `cargo bench --profile dev -p pnyx --bench kafka_processes -- cost` runs one part alone, so do
//! `counted`, `stream` and `readers`.

#[path = "../whole/client.rs"]
mod client;
mod cost;
mod counted;
mod platform;
#[path = "../whole/proposals.rs"]
mod proposals;
mod readers;
#[path = "../whole/signed.rs"]
mod signed;
mod stream;

use std::{
    env,
    io::{self, Write as _},
};

use anyhow::Context as _;

use pnyx_bench_support::load_average;

use platform::Platform;

/// How many ballots go through in the first part.
const BALLOTS: usize = 300_000;

fn main() -> anyhow::Result<()> {
    let ballots = number("PNYX_BENCH_BALLOTS", BALLOTS)?;
    let connections = number("PNYX_BENCH_CONNECTIONS", client::CONNECTIONS)?;
    say(&format!("{} cores, load before the run {}", cores(), load_average()?))?;
    let wanted = |part: &str, ballots: usize| if is_wanted(part) { ballots } else { 0 };
    let parts = [
        wanted("cost", ballots),
        wanted("counted", counted::BALLOTS),
        wanted("stream", stream::BALLOTS),
        wanted("readers", readers::BALLOTS),
    ];
    let mut platform = Platform::start(parts.iter().sum(), connections)?;
    let measures = [cost::measure, counted::measure, stream::measure, readers::measure];
    for (measure, ballots) in measures.into_iter().zip(parts) {
        if ballots > 0 {
            measure(&mut platform, ballots)?;
            say(&format!("load {}", load_average()?))?;
        }
    }
    Ok(())
}

/// A number from the environment.
fn number(name: &str, default: usize) -> anyhow::Result<usize> {
    match env::var(name) {
        Ok(text) => text.parse().with_context(|| format!("{name}={text:?}")),
        Err(_) => Ok(default),
    }
}

/// Whether the command line names this part or none; cargo itself adds an option.
fn is_wanted(part: &str) -> bool {
    let mut named = env::args().skip(1).filter(|argument| !argument.starts_with('-')).peekable();
    named.peek().is_none() || named.any(|name| name == part)
}

/// Cores that this process may use.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Prints a line.
fn say(line: &str) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{line}")
}

/// p50, p99 and the largest, in milliseconds.
fn quantiles(mut seconds: Vec<f64>) -> [f64; 3] {
    seconds.sort_by(f64::total_cmp);
    let at = |hundredths: usize| seconds[(seconds.len() * hundredths / 100).min(seconds.len() - 1)] * 1e3;
    [at(50), at(99), at(100)]
}

//! How long one ballot takes from `POST /` until the tally shows it, at a rate at which ballots never meet.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::{client::Connection, platform::Platform, quantiles, say};

/// Ballots that are sent.
pub(crate) const BALLOTS: usize = 1_000;

/// Time between two.
const INTERVAL: Duration = Duration::from_millis(50);

/// Between two looks at the tally.
const POLL_INTERVAL: Duration = Duration::from_micros(500);

/// The goal for the p99, in milliseconds.
const GOAL_MS: f64 = 29.0;

/// Measures and prints.
pub(crate) fn measure(platform: &mut Platform, ballots: usize) -> anyhow::Result<()> {
    let (mut edge, mut reads) = (Connection::open(platform.edge)?, Connection::open(platform.reads)?);
    let (mut acknowledged, mut counted) = (Vec::new(), Vec::new());
    for _ in 0..ballots {
        let started = Instant::now();
        let [ballot] = platform.next_ballots(1) else { anyhow::bail!("one ballot was asked for") };
        edge.post(&ballot.body)?;
        acknowledged.push(started.elapsed().as_secs_f64());
        while platform.counting(&mut reads)? < platform.sent() as u64 {
            thread::sleep(POLL_INTERVAL);
        }
        counted.push(started.elapsed().as_secs_f64());
        thread::sleep(INTERVAL.saturating_sub(started.elapsed()));
    }
    say(&format!("\n{ballots} ballots at 20/s, ms from POST           p50      p99    worst"))?;
    for (name, times) in [("until it is acknowledged", acknowledged), ("until the tally shows it", counted)] {
        let [p50, p99, worst] = quantiles(times);
        say(&format!("{name:<40} {p50:>8.2} {p99:>8.2} {worst:>8.2}"))?;
    }
    say(&format!("goal for the p99 until the tally shows it: at most {GOAL_MS}"))?;
    Ok(())
}

//! What a ballot costs where many are counted already, beside what it costs at first: processor time of the whole
//! platform from `POST /` until it is counted, at the same rate, on one proposal. A fresh process and the full one take
//! turns, so that both see the same machine. Beside it memory a voter.

use std::{path::Path, time::Instant};

use pnyx_core::id::ProposalId;

use crate::{
    client,
    dev::Dev,
    median,
    proposals::Proposals,
    say,
    signed::{SignedBallot, sign},
};

/// Turns of each of the two, of which the medians are told.
const TURNS: usize = 9;

/// Ballots a second in a turn: about half of what two cores can take, so that the batches of both are alike.
const RATE: u32 = 4_000;

/// Ballots that begin a turn and are not measured: after them everything is connected, allocated and warm.
const WARM_UP_BALLOTS: usize = 2_000;

/// Ballots of a turn that are measured.
const MEASURED_BALLOTS: usize = 10_000;

/// Parts in which the full process is filled, as fast as answers come.
const FILL_PARTS: usize = 10;

/// How long the proposal is open: far above what a run takes.
const OPEN_FOR_S: i64 = 86_400;

/// The proposal: the most usual system, and the one on which all voters' ballots stand in one tally.
const PROPOSAL: &str = "grants-round.yaml";

/// A platform and how many ballots it has counted.
struct Platform<'a> {
    dev: Dev,
    proposal: ProposalId,
    ballots: &'a [SignedBallot],
    counted: usize,
}

impl<'a> Platform<'a> {
    fn start(proposals: &Proposals, data: &Path, ballots: &'a [SignedBallot]) -> anyhow::Result<Self> {
        let dev = Dev::start(&proposals.directory, data)?;
        Ok(Self { dev, proposal: proposals.proposals[0].id(), ballots, counted: 0 })
    }

    /// Sends the next ballots and waits until they are counted; microseconds of processor time a ballot.
    fn count(&mut self, ballots: usize, rate: Option<u32>) -> anyhow::Result<f64> {
        let before = self.dev.cpu_time()?;
        let next = &self.ballots[self.counted..self.counted + ballots];
        client::send(self.dev.address, next, rate, client::CONNECTIONS)?;
        self.counted += ballots;
        self.dev.wait_until_counted(self.proposal, self.counted)?;
        Ok((self.dev.cpu_time()? - before).as_secs_f64() * 1e6 / ballots as f64)
    }

    fn turn(&mut self) -> anyhow::Result<f64> {
        self.count(WARM_UP_BALLOTS, Some(RATE))?;
        self.count(MEASURED_BALLOTS, Some(RATE))
    }
}

/// Measures and prints; `counted` is how many ballots the full process has counted before its first turn.
pub(crate) fn measure(counted: usize) -> anyhow::Result<()> {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let path = |name: &str| directory.path().join(name);
    let proposals = Proposals::write(&path("proposals"), OPEN_FOR_S, |name| name == PROPOSAL)?;
    let ballots = sign(&proposals.proposals, counted + TURNS * (WARM_UP_BALLOTS + MEASURED_BALLOTS));
    let mut full = Platform::start(&proposals, &path("full"), &ballots)?;
    fill(&mut full, counted)?;
    let full_bytes = full.dev.resident_bytes()?;

    let (mut at_first, mut at_last, mut fresh_bytes) = (Vec::new(), Vec::new(), Vec::new());
    for turn in 0..TURNS {
        let mut fresh = Platform::start(&proposals, &path(&format!("fresh-{turn}")), &ballots)?;
        at_first.push(fresh.turn()?);
        fresh_bytes.push(fresh.dev.resident_bytes()? as f64);
        drop(fresh);
        at_last.push(full.turn()?);
    }
    say(&format!(
        "\nprocessor time of pnyx dev a ballot, from POST to counted, at {RATE} ballots/s; median of {TURNS}"
    ))?;
    say("µs a ballot                               median   turns")?;
    let first = format!("ballots {WARM_UP_BALLOTS} to {}", WARM_UP_BALLOTS + MEASURED_BALLOTS);
    row(&first, &at_first)?;
    row(&format!("{MEASURED_BALLOTS} more after {counted}"), &at_last)?;
    let ratios: Vec<f64> = at_last.iter().zip(&at_first).map(|(last, first)| last / first).collect();
    row("ratio, turn by turn (goal: at most 1.15)", &ratios)?;
    let fresh_bytes = median(fresh_bytes);
    let fresh_voters = WARM_UP_BALLOTS + MEASURED_BALLOTS;
    let more_voters = counted.saturating_sub(fresh_voters).max(1);
    say(&format!(
        "memory: {:.0} MB with {fresh_voters} voters, {:.0} MB with {counted}: {:.0} bytes a voter more",
        fresh_bytes / 1e6,
        full_bytes as f64 / 1e6,
        (full_bytes as f64 - fresh_bytes) / more_voters as f64
    ))?;
    Ok(())
}

fn fill(full: &mut Platform<'_>, ballots: usize) -> anyhow::Result<()> {
    say(&format!("\none proposal filled with {ballots} ballots of as many voters, as fast as answers come"))?;
    say("counted      ballots/s   µs of pnyx dev a ballot   resident MB")?;
    for part in 1..=FILL_PARTS {
        let more = ballots * part / FILL_PARTS - full.counted;
        let started = Instant::now();
        let cpu = full.count(more, None)?;
        let rate = more as f64 / started.elapsed().as_secs_f64();
        let resident = full.dev.resident_bytes()? as f64 / 1e6;
        say(&format!("{:<10} {rate:>11.0} {cpu:>25.1} {resident:>13.0}", full.counted))?;
    }
    Ok(())
}

fn row(name: &str, values: &[f64]) -> anyhow::Result<()> {
    let shown: Vec<String> = values.iter().map(|value| format!("{value:.2}")).collect();
    Ok(say(&format!("{name:<40}{:>8.2}   {}", median(values.to_vec()), shown.join("  ")))?)
}

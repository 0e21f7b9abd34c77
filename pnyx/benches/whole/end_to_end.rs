//! From the first `POST /` to the last audited result: signed ballots on all seven voting systems, beside the bare
//! recovery of their signatures on the same cores. Every ballot is checked three times: by a verifier, by the recount
//! and by the audit; the window and the grace after it are waiting, which is told apart.

use std::{
    path::Path,
    process::Stdio,
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, ensure};
use pnyx_bench_support::cpu_time;
use pnyx_core::{id::ProposalId, proposal::Proposal};

use crate::{
    client::{self, Connection},
    cores,
    dev::{Dev, pnyx},
    median,
    proposals::Proposals,
    say,
    signed::{recover, sign},
};

/// Runs, of which the medians are told.
const RUNS: usize = 3;

/// The pilot, which warms up and says how long a window must be, has this part of the ballots.
const PILOT_PART: usize = 20;

/// How long the pilot's window is: nothing waits for its end.
const PILOT_OPEN_FOR_S: i64 = 3_600;

/// How many times as long as the pilot's share the window is: a slower run than the pilot must not lose ballots.
const WINDOW_MARGIN: u32 = 2;

/// What a window has beside its share: starting the process takes a second, and the pilot's short times are rough.
const WINDOW_EXTRA_S: i64 = 10;

/// How often to look whether a result is there.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// How long results may take after the cut before the run is given up.
const RESULTS_WAIT_MAX: Duration = Duration::from_secs(600);

/// One run, in seconds.
struct Run {
    counted: f64,
    waited: f64,
    recounted: f64,
    audited: f64,
    floor: f64,
    platform_cpu: f64,
    client_cpu: f64,
}

impl Run {
    /// All but the waiting.
    fn total(&self) -> f64 {
        self.counted + self.recounted + self.audited
    }
}

/// Measures and prints.
pub(crate) fn measure(ballots: usize) -> anyhow::Result<()> {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let open_for_s = pilot(&directory.path().join("pilot"), ballots)?;
    let mut runs = Vec::with_capacity(RUNS);
    for number in 0..RUNS {
        let path = directory.path().join(number.to_string());
        runs.push(run(&path, ballots, open_for_s).with_context(|| format!("run {number}"))?);
    }
    say(&format!(
        "\n{ballots} ballots on seven systems, from POST to audited results, {} cores, {RUNS} runs",
        cores()
    ))?;
    say("seconds                                   median   runs")?;
    row("first POST → all counted", &runs, |run| run.counted)?;
    row("  of it: processor time of pnyx dev", &runs, |run| run.platform_cpu)?;
    row("  of it: processor time of the client", &runs, |run| run.client_cpu)?;
    row("waiting for the close and its grace", &runs, |run| run.waited)?;
    row("cut → seven published results", &runs, |run| run.recounted)?;
    row("pnyx audit of seven archives", &runs, |run| run.audited)?;
    row("all without the waiting", &runs, Run::total)?;
    row("floor: bare recovery, all cores", &runs, |run| run.floor)?;
    row("all without the waiting / floor", &runs, |run| run.total() / run.floor)
}

fn row(name: &str, runs: &[Run], value: impl Fn(&Run) -> f64) -> anyhow::Result<()> {
    let values: Vec<f64> = runs.iter().map(value).collect();
    let shown: Vec<String> = values.iter().map(|value| format!("{value:.2}")).collect();
    Ok(say(&format!("{name:<40}{:>8.2}   {}", median(values), shown.join("  ")))?)
}

/// Sends a few ballots; how many seconds a window must have for all.
fn pilot(directory: &Path, ballots: usize) -> anyhow::Result<i64> {
    let few = ballots.div_ceil(PILOT_PART);
    let written = Proposals::write(&directory.join("proposals"), PILOT_OPEN_FOR_S, |_| true)?;
    let started = Instant::now();
    let signed = sign(&written.proposals, few);
    recover(&signed);
    let dev = Dev::start(&written.directory, &directory.join("data"))?;
    client::send(dev.address, &signed, None, client::CONNECTIONS)?;
    wait_until_counted(&dev, &written.proposals, few)?;
    let whole = started.elapsed() * u32::try_from(PILOT_PART)? * WINDOW_MARGIN;
    Ok(i64::try_from(whole.as_secs())? + WINDOW_EXTRA_S)
}

fn run(directory: &Path, ballots: usize, open_for_s: i64) -> anyhow::Result<Run> {
    let Proposals { directory: files, proposals } =
        Proposals::write(&directory.join("proposals"), open_for_s, |_| true)?;
    let signed = sign(&proposals, ballots);
    let floor = recover(&signed);
    let dev = Dev::start(&files, &directory.join("data"))?;

    let (cpu_before, client_before) = (dev.cpu_time()?, cpu_time());
    let started = Instant::now();
    client::send(dev.address, &signed, None, client::CONNECTIONS)?;
    wait_until_counted(&dev, &proposals, ballots)?;
    let counted = started.elapsed();
    let (platform_cpu, client_cpu) = (dev.cpu_time()? - cpu_before, cpu_time() - client_before);

    let closes_at = proposals[0].window().closes_at();
    let cut_at = UNIX_EPOCH + Duration::from_millis(closes_at.0) + pnyx_recount::Config::default().grace_after_close;
    let waited = cut_at.duration_since(SystemTime::now()).context("the window was too short")?;
    thread::sleep(waited);
    let recounting = Instant::now();
    for proposal in &proposals {
        wait_until_final(&dev, proposal.id())?;
    }
    let recounted = recounting.elapsed();
    let auditing = Instant::now();
    for proposal in &proposals {
        audit(&dev, proposal.id())?;
    }
    let audited = auditing.elapsed();
    // Before and after, so that a machine that slows down meanwhile slows the floor too.
    let floor = (floor + recover(&signed)) / 2;
    let [counted, waited, recounted, audited, floor, platform_cpu, client_cpu] =
        [counted, waited, recounted, audited, floor, platform_cpu, client_cpu].map(|time| time.as_secs_f64());
    Ok(Run { counted, waited, recounted, audited, floor, platform_cpu, client_cpu })
}

/// Waits until each proposal shows its share of the ballots.
fn wait_until_counted(dev: &Dev, proposals: &[Proposal], ballots: usize) -> anyhow::Result<()> {
    let share = |index: usize| ballots / proposals.len() + usize::from(index < ballots % proposals.len());
    let mut proposals = proposals.iter().enumerate();
    proposals.try_for_each(|(index, proposal)| dev.wait_until_counted(proposal.id(), share(index)))
}

fn wait_until_final(dev: &Dev, proposal: ProposalId) -> anyhow::Result<()> {
    let mut connection = Connection::open(dev.address)?;
    let (path, started) = (format!("/v1/proposals/{proposal}"), Instant::now());
    loop {
        let phase = connection.get(&path)?["phase"].clone();
        if phase == "final" {
            return Ok(());
        }
        ensure!(phase != "disputed", "the recount of {proposal} differs from the live tally");
        ensure!(started.elapsed() < RESULTS_WAIT_MAX, "{proposal} is still {phase}");
        thread::sleep(POLL_INTERVAL);
    }
}

fn audit(dev: &Dev, proposal: ProposalId) -> anyhow::Result<()> {
    let archive = format!("http://{}/v1/proposals/{proposal}/archive", dev.address);
    let status = pnyx().args(["audit", "--json", &archive]).stdout(Stdio::null()).status()?;
    ensure!(status.success(), "the audit of {proposal} ended with {status}");
    Ok(())
}

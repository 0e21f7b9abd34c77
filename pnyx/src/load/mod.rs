//! `pnyx load`: many deterministic ballots over all voting systems, and an honest comparison of what is served with what
//! must be.

mod choices;
mod compare;
mod expectation;
mod faults;
mod plan;
mod proposal;
mod readers;
mod report;
mod result;
mod sender;
mod signing;

use std::{fs, io::Write as _, path::Path, process::ExitCode, time::Instant};

use anyhow::{Context as _, bail};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

use self::{
    compare::{Before, Comparison, Expected as ExpectedCount},
    expectation::Expectation,
    plan::{Expected, Planner, Shot},
    proposal::Target,
    readers::Readers,
    report::Report,
    sender::{Pace, Sent},
};
use crate::{EXIT_FOUND_WRONG, cli::LoadArgs, client::Platform};

/// Proposals asked for at once.
const PAGE: usize = 100;

/// Runs the command.
pub(crate) async fn run(args: LoadArgs) -> anyhow::Result<ExitCode> {
    let LoadArgs {
        ballots,
        seed,
        rate,
        connections,
        proposals,
        resend_for,
        receipts,
        counted_within,
        until_final,
        json,
        url,
        read_url,
    } = args;
    anyhow::ensure!(ballots > 0, "--ballots must be at least 1");
    anyhow::ensure!(rate != Some(0), "--rate must be at least 1; leave it out to send as fast as answers come");
    let edge = Platform::new(&url, connections.into())?;
    let readers = Readers::new(&if read_url.is_empty() { vec![url] } else { read_url }, counted_within)?;
    let (targets, closed) = targets(&readers, &proposals).await?;
    let before = compare::before(&readers, &targets).await?;
    let shots = sign(&targets, closed.as_ref(), seed, ballots, json)?;
    let windows = targets.iter().map(|target| target.closes_at_s).collect();
    let pace = Pace { rate, connections, resend_for, closes_at_s: windows };
    let (shots, sent) = sender::send(edge, shots, pace, progress("sending  ", ballots, json)).await?;
    if let Some(path) = receipts {
        keep_receipts(&path, &sent.receipts)?;
    }
    let answered = Instant::now();
    let expected = expected(&targets, before, &shots, &sent);
    compare::wait_until_counted(&readers, &targets, &expected).await?;
    let counted = answered.elapsed();
    let mut comparison = Comparison::default();
    for replica in readers.replicas() {
        compare::compare(&readers, replica, &targets, &expected, &mut comparison).await?;
    }
    if until_final {
        result::compare(&readers, &targets, &expected, &mut comparison).await?;
    }
    Report { targets: &targets, sent: &sent, counted, comparison: &comparison }.show(json);
    let good = sent.unexpected == 0 && sent.given_up == 0 && comparison.differences.is_empty();
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::from(EXIT_FOUND_WRONG) })
}

/// The open proposals to vote on, and one that is not open where there is one.
async fn targets(readers: &Readers, wanted: &[String]) -> anyhow::Result<(Vec<Target>, Option<Target>)> {
    let platform = readers.first();
    let mut open = Vec::new();
    let mut closed = None;
    let mut cursor = String::new();
    loop {
        let page = platform.get(&format!("v1/proposals?limit={PAGE}{cursor}")).await?;
        for listed in page.get("proposals").and_then(Value::as_array).into_iter().flatten() {
            let text = |field: &str| listed.get(field).and_then(Value::as_str).unwrap_or_default();
            let chosen = wanted.is_empty() || wanted.iter().any(|name| name == text("name") || name == text("id"));
            let is_open = text("phase") == "open";
            if (is_open && chosen) || (!is_open && closed.is_none()) {
                let target = Target::from_json(&platform.get(&format!("v1/proposals/{}", text("id"))).await?)?;
                if is_open { open.push(target) } else { closed = Some(target) }
            }
        }
        match page.get("nextCursor").and_then(Value::as_str) {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    if open.is_empty() {
        bail!("no open proposal to vote on: `pnyx dev examples/ --open-for 10m` opens some, /v1/proposals lists them");
    }
    Ok((open, closed))
}

fn keep_receipts(path: &Path, receipts: &[String]) -> anyhow::Result<()> {
    let mut file = fs::OpenOptions::new().create(true).append(true).open(path)?;
    file.write_all((receipts.join("\n") + "\n").as_bytes()).with_context(|| format!("writing {}", path.display()))
}

/// Draws and signs every ballot before the first is sent, so that sending measures the platform alone.
fn sign(
    targets: &[Target],
    closed: Option<&Target>,
    seed: u64,
    ballots: u64,
    quiet: bool,
) -> anyhow::Result<Vec<Shot>> {
    let bar = progress("signing  ", ballots, quiet);
    let mut planner = Planner::new(targets, closed, seed);
    let mut shots = Vec::with_capacity(usize::try_from(ballots)?);
    for _ in 0..ballots {
        shots.push(planner.next_shot()?);
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(shots)
}

/// What each proposal must come to, from what was acknowledged.
fn expected(targets: &[Target], before: Vec<Before>, shots: &[Shot], sent: &Sent) -> Vec<ExpectedCount> {
    // Whatever was sent again may be in the log more than once, and what was given up may be there all the same.
    let exact_rejections = sent.resent == 0 && sent.given_up == 0;
    let mut expected: Vec<ExpectedCount> = before
        .into_iter()
        .map(|before| ExpectedCount {
            expectation: Expectation::starting_from(before.standing.clone()),
            given_up: Vec::new(),
            acknowledged: 0,
            before,
            exact_rejections,
        })
        .collect();
    for (shot, acknowledged) in shots.iter().zip(&sent.acknowledged) {
        let ExpectedCount { expectation, given_up, acknowledged: acknowledgements, .. } = &mut expected[shot.target];
        *acknowledgements += u64::from(*acknowledged);
        match (&shot.expected, acknowledged) {
            (Expected::Counts(honest), true) => expectation.cast(&targets[shot.target], honest),
            (Expected::Counts(honest), false) => given_up.push(honest.clone()),
            (Expected::RejectedLater { fault }, true) => {
                *expectation.rejected.entry(fault.name()).or_default() += 1;
            }
            (Expected::RejectedLater { .. }, false) | (Expected::RefusedAtEdge { .. }, _) => {}
        }
    }
    expected
}

fn progress(label: &'static str, length: u64, quiet: bool) -> ProgressBar {
    if quiet {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{prefix} {wide_bar} {human_pos} of {human_len} · {per_sec} · {elapsed}")
        .expect("the template is well formed");
    ProgressBar::new(length).with_style(style).with_prefix(label)
}

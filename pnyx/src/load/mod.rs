//! `pnyx load`: many deterministic ballots over all voting systems, and an honest comparison of what is served with what
//! must be.

mod choices;
mod compare;
mod expectation;
mod faults;
mod plan;
mod proposal;
mod report;
mod sender;
mod signing;

use std::{fs, io::Write as _, process::ExitCode, time::Instant};

use anyhow::{Context as _, bail};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

use self::{
    compare::Before,
    expectation::Expectation,
    plan::{Expected, Planner, Shot},
    proposal::Target,
    sender::{Pace, Sent},
};
use crate::{EXIT_FOUND_WRONG, cli::LoadArgs, client::Platform};

/// Proposals asked for at once.
const PAGE: usize = 100;

/// Runs the command.
pub(crate) async fn run(args: LoadArgs) -> anyhow::Result<ExitCode> {
    let LoadArgs { ballots, seed, rate, connections, proposals, resend_for, receipts, json, platform } = args;
    anyhow::ensure!(ballots > 0, "--ballots must be at least 1");
    anyhow::ensure!(rate != Some(0), "--rate must be at least 1; leave it out to send as fast as answers come");
    let platform = Platform::new(&platform.url, connections.into())?;
    let (targets, closed) = targets(&platform, &proposals).await?;
    let before = compare::before(&platform, &targets).await?;
    let shots = sign(&targets, closed.as_ref(), seed, ballots, json)?;
    let pace = Pace { rate, connections, resend_for };
    let (shots, sent) = sender::send(platform.clone(), shots, pace, progress("sending  ", ballots, json)).await?;
    if let Some(path) = receipts {
        let mut file = fs::OpenOptions::new().create(true).append(true).open(&path)?;
        file.write_all((sent.receipts.join("\n") + "\n").as_bytes())
            .with_context(|| format!("writing {}", path.display()))?;
    }
    let answered = Instant::now();
    let expectations = expectations(&targets, &before, &shots, &sent);
    let counted = compare::wait_until_counted(&platform, &targets, answered).await?;
    let exact_rejections = resend_for.is_none();
    let comparison = compare::compare(&platform, &targets, &expectations, &before, exact_rejections).await?;
    let report = report::Report { targets: &targets, sent: &sent, counted, comparison: &comparison };
    report.show(json);
    let good = sent.unexpected == 0 && comparison.differences.is_empty();
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::from(EXIT_FOUND_WRONG) })
}

/// The open proposals to vote on, and one that is not open where there is one.
async fn targets(platform: &Platform, wanted: &[String]) -> anyhow::Result<(Vec<Target>, Option<Target>)> {
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
fn expectations(targets: &[Target], before: &[Before], shots: &[Shot], sent: &Sent) -> Vec<Expectation> {
    let mut expectations: Vec<Expectation> = before.iter().map(Before::expectation).collect();
    for (shot, acknowledged) in shots.iter().zip(&sent.acknowledged) {
        if !acknowledged {
            continue;
        }
        let expectation = &mut expectations[shot.target];
        match &shot.expected {
            Expected::Counts(honest) => expectation.cast(&targets[shot.target], honest),
            Expected::RejectedLater { fault } => *expectation.rejected.entry(fault.name()).or_default() += 1,
            Expected::RefusedAtEdge { .. } => {}
        }
    }
    expectations
}

fn progress(label: &'static str, length: u64, quiet: bool) -> ProgressBar {
    if quiet {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{prefix} {wide_bar} {human_pos} of {human_len} · {per_sec} · {elapsed}")
        .expect("the template is well formed");
    ProgressBar::new(length).with_style(style).with_prefix(label)
}

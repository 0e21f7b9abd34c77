//! `pnyx simulate`: an arrival curve through the planner that the operator uses, with shards that are only reckoned.
//!
//! What is printed is `core::scaling::simulation`: nothing is measured here and nothing is left to chance, so the same
//! files give the same output, on every machine.

mod curve;

mod json;
mod svg;
mod table;

use std::{fs, path::Path, process::ExitCode};

use anyhow::{Context as _, ensure};
use pnyx_core::scaling::{
    RATE_PER_SECOND_MAX, Rate,
    simulation::{Cluster, Curve, Replay, Scenario, WINDOW_S_MAX},
};
use pnyx_crds::read_resources;

use crate::{EXIT_FOUND_WRONG, cli::SimulateArgs, screen};

/// Largest file of arrivals: a line for every second of the longest window, and room for comments.
const CURVE_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// A scenario and whose it is.
struct Trial {
    name: String,
    scenario: Scenario,
}

/// Runs the command.
pub(crate) fn run(args: &SimulateArgs) -> anyhow::Result<ExitCode> {
    let trial = trial(args)?;
    let replay = Replay::of(&trial.scenario);
    if let Some(file) = &args.svg {
        fs::write(file, svg::chart(&trial, &replay))
            .with_context(|| format!("{}: cannot be written", file.display()))?;
    }
    if args.json {
        screen::line(&json::document(&trial, &replay).to_string());
    } else {
        screen::line(table::report(&trial, &replay).trim_end());
    }
    Ok(if replay.summary.is_in_time() { ExitCode::SUCCESS } else { ExitCode::from(EXIT_FOUND_WRONG) })
}

/// Reads both files and the flags.
fn trial(args: &SimulateArgs) -> anyhow::Result<Trial> {
    let resources = read_resources(&args.spec)?;
    let [resource] = resources.as_slice() else {
        anyhow::bail!("{}: holds {} proposals; name a file of one", args.spec.display(), resources.len());
    };
    let spec = resource.resolve_scaling()?;
    // The platform's domain is part of a proposal's id, which nothing here depends on.
    let proposal = resource.resolve("simulate", None)?;
    let curve = read_curve(&args.arrivals)?;
    let rate_per_shard = args.rate_per_shard.map_or_else(|| spec.rate_per_shard(), Rate::per_second);
    ensure!(
        rate_per_shard > Rate::ZERO && rate_per_shard <= Rate::per_second(RATE_PER_SECOND_MAX),
        "--rate-per-shard must be 1 to {RATE_PER_SECOND_MAX}"
    );
    let cluster = Cluster {
        rate_per_shard,
        start_up_s: args.start_up.as_secs(),
        rebalance_pause_s: args.rebalance_pause.as_secs(),
        sample_every_s: args.sample_every.as_secs(),
        commit_lag_s: args.commit_lag.as_secs(),
        hot_partition_percent: u64::from(args.hot_partition_percent),
        noise_percent: u64::from(args.noise_percent),
        noise_seed: args.noise_seed,
    };
    let (lines, curve) = curve;
    let scenario = Scenario { spec, window: proposal.window(), curve, cluster, restarts: Vec::new() };
    let window_s = scenario.window_s();
    ensure!(
        window_s <= WINDOW_S_MAX,
        "{}: spec.window: is longer than 7 days, the most that is replayed; take its last days",
        args.spec.display()
    );
    if let Some(index) = scenario.curve.beyond(window_s) {
        let line = lines.get(index).copied().unwrap_or_default();
        anyhow::bail!(
            "{}: line {line}: is not in the window, which closes after {window_s} seconds",
            args.arrivals.display()
        );
    }
    Ok(Trial { name: proposal.parts().name.clone(), scenario })
}

/// The curve, and the line that each of its steps stands in.
fn read_curve(file: &Path) -> anyhow::Result<(Vec<usize>, Curve)> {
    let length = fs::metadata(file).with_context(|| format!("{}: cannot be read", file.display()))?.len();
    ensure!(length <= CURVE_BYTES_MAX, "{}: is larger than {CURVE_BYTES_MAX} bytes", file.display());
    let text = fs::read_to_string(file).with_context(|| format!("{}: cannot be read", file.display()))?;
    curve::read(&text).map_err(|error| anyhow::anyhow!("{}: {error}", file.display()))
}

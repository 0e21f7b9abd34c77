//! `pnyx simulate`: an arrival curve through the planner that the operator uses, with shards that are only reckoned.
//!
//! Nothing is measured here and nothing is drawn at random: the same files give the same output, on every machine.

mod cluster;
mod curve;
mod replay;

mod json;
mod svg;
mod table;
mod text;

use std::{fs, path::Path, process::ExitCode};

use anyhow::{Context as _, ensure};
use pnyx_core::{
    scaling::{RATE_PER_SECOND_MAX, Rate},
    time::Window,
};
use pnyx_crds::read_resources;

use crate::{EXIT_FOUND_WRONG, cli::SimulateArgs, screen};

use cluster::Cluster;
use curve::Curve;
use replay::{Replay, Scenario};

/// Largest file of arrivals: a line for every second of the longest window, and room for comments.
const CURVE_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// Runs the command.
pub(crate) fn run(args: &SimulateArgs) -> anyhow::Result<ExitCode> {
    let scenario = scenario(args)?;
    let replay = Replay::of(&scenario);
    if let Some(file) = &args.svg {
        fs::write(file, svg::chart(&scenario, &replay))
            .with_context(|| format!("{}: cannot be written", file.display()))?;
    }
    if args.json {
        screen::line(&json::document(&scenario, &replay).to_string());
    } else {
        screen::line(table::report(&scenario, &replay).trim_end());
    }
    Ok(if replay.summary.is_in_time() { ExitCode::SUCCESS } else { ExitCode::from(EXIT_FOUND_WRONG) })
}

/// Reads both files and the flags.
fn scenario(args: &SimulateArgs) -> anyhow::Result<Scenario> {
    let resources = read_resources(&args.spec)?;
    ensure!(resources.len() == 1, "{}: holds {} proposals; name a file of one", args.spec.display(), resources.len());
    let [resource] = resources.as_slice() else { unreachable!("the length was looked at") };
    let spec = resource.resolve_scaling()?;
    // The platform's domain is part of a proposal's id, which nothing here depends on.
    let proposal = resource.resolve("simulate", None)?;
    let window_s = window_s(proposal.window()).with_context(|| format!("{}", args.spec.display()))?;
    let curve = read_curve(&args.arrivals)?;
    curve.check_within(window_s).map_err(|problem| anyhow::anyhow!("{}: {problem}", args.arrivals.display()))?;
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
        hot_partition_percent: u64::from(args.hot_partition_percent),
    };
    Ok(Scenario { name: proposal.parts().name.clone(), spec, window: proposal.window(), window_s, curve, cluster })
}

fn window_s(window: Window) -> anyhow::Result<u64> {
    let window_s = window.closes_at().saturating_since_ms(window.opens_at()).div_ceil(1_000);
    ensure!(
        window_s <= replay::WINDOW_S_MAX,
        "spec.window: is longer than 7 days, the most that is replayed; take its last days"
    );
    Ok(window_s)
}

fn read_curve(file: &Path) -> anyhow::Result<Curve> {
    let length = fs::metadata(file).with_context(|| format!("{}: cannot be read", file.display()))?.len();
    ensure!(length <= CURVE_BYTES_MAX, "{}: is larger than {CURVE_BYTES_MAX} bytes", file.display());
    let text = fs::read_to_string(file).with_context(|| format!("{}: cannot be read", file.display()))?;
    text.parse().map_err(|error| anyhow::anyhow!("{}: {error}", file.display()))
}

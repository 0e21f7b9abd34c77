//! The replay as a table, the decisions in sentences, and what it came to.

use std::{collections::BTreeSet, fmt::Write as _};

use pnyx_core::scaling::{
    Limit,
    simulation::{BEHIND_S, Broker, Decision, Moment, Replay, Summary},
};

use super::Trial;
use crate::numbers;

/// Rows at regular times, beside those where something changed.
const ROWS_REGULAR: i64 = 24;

/// Most rows and most decisions that are printed; `--json` has no such limit.
const ROWS_MAX: usize = 200;

/// Everything that `pnyx simulate` prints.
pub(super) fn report(trial: &Trial, replay: &Replay) -> String {
    let mut out = header(trial);
    let _ = writeln!(
        out,
        "\n{:>10}  {:<8}  {:>10}  {:>12}  {:>6}  {:>5}  {:>10}  limit",
        "time", "phase", "arrivals/s", "backlog", "shards", "ready", "partitions"
    );
    let rows = rows(replay);
    for moment in rows.iter().take(ROWS_MAX) {
        let _ = writeln!(out, "{}", row(moment));
    }
    if rows.len() > ROWS_MAX {
        let _ = writeln!(out, "… and {} more rows", rows.len() - ROWS_MAX);
    }
    let _ = writeln!(out, "\ndecisions");
    let changes = replay.decisions.iter().filter(|it| it.is_change());
    for decision in changes.clone().take(ROWS_MAX) {
        let _ = writeln!(out, "{:>10}  {}", numbers::clock(decision.second), decision.plan);
    }
    if changes.clone().count() > ROWS_MAX {
        let _ = writeln!(out, "… and {} more", changes.count() - ROWS_MAX);
    }
    let _ = writeln!(out, "\n{}", summary(&replay.summary, trial));
    out
}

fn header(trial: &Trial) -> String {
    let (spec, cluster) = (&trial.scenario.spec, &trial.scenario.cluster);
    let noise = match cluster.noise_percent {
        0 => String::new(),
        percent => format!(", measurements err by up to {percent} %"),
    };
    let spread = match cluster.hot_partition_percent {
        0 => "spread evenly".to_owned(),
        percent => format!("{percent} % in one partition"),
    };
    format!(
        "{}: open for {}, {} to {} shards, {} partitions of at most {}\n\
         cluster: {} a shard of which {} % are planned with, {} until it works, a rebalance stops all for {}, a look every {}, \
         ballots {spread}{noise}\n",
        trial.name,
        numbers::duration(trial.scenario.window_s()),
        spec.warm_shards(),
        spec.max_shards(),
        spec.partitions_initial(),
        spec.partitions_max(),
        cluster.rate_per_shard,
        spec.utilization_percent(),
        numbers::duration(cluster.start_up_s),
        numbers::duration(cluster.rebalance_pause_s),
        numbers::duration(cluster.sample_every_s),
    )
}

/// The moments worth a row: at regular times, and where a number changed or was held because nothing is known.
fn rows(replay: &Replay) -> Vec<&Moment> {
    let moments = &replay.moments;
    let every = regular(replay.summary.window_s);
    let is_news =
        |it: &&Decision| it.is_change() || matches!(it.plan.shards.limit, Limit::UnknownData | Limit::JustFresh);
    let changed: BTreeSet<i64> = replay.decisions.iter().filter(is_news).map(|it| it.second).collect();
    let last = moments.last().map(|moment| moment.second);
    let is_row = |moment: &&Moment| {
        let is_regular = moment.second % every == 0 && moment.second >= 0;
        is_regular || changed.contains(&moment.second) || Some(moment.second) == last
    };
    moments.iter().filter(is_row).collect()
}

/// A round number of seconds that gives about [`ROWS_REGULAR`] rows.
fn regular(window_s: i64) -> i64 {
    const ROUND: [i64; 12] = [10, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 14_400, 28_800];
    ROUND.into_iter().find(|every| window_s / every <= ROWS_REGULAR).unwrap_or(28_800)
}

fn row(moment: &Moment) -> String {
    let broker = match moment.broker {
        Broker::Up => "",
        Broker::Away => "  (broker away)",
    };
    format!(
        "{:>10}  {:<8}  {:>10}  {:>12}  {:>6}  {:>5}  {:>10}  {}{broker}",
        numbers::clock(moment.second),
        moment.phase.name(),
        numbers::ballots(moment.arrivals),
        numbers::grouped(moment.backlog),
        moment.shards,
        moment.ready,
        moment.partitions,
        moment.limit.name(),
    )
}

/// What it came to, a line each.
pub(super) fn summary(summary: &Summary, trial: &Trial) -> String {
    let caught_up = match summary.caught_up_second {
        None => "never: ballots still waited when the replay was given up".to_owned(),
        Some(0) => format!("always: never more waited than came in {}", numbers::duration(BEHIND_S)),
        Some(second) => format!("from {} on, {}", numbers::clock(second), relative(second, summary.window_s)),
    };
    let drained = match summary.drained_second {
        None => "never".to_owned(),
        Some(second) => format!(
            "{}, {} left",
            relative(second, summary.window_s),
            match summary.shards_left {
                0 => "no shards".to_owned(),
                left => format!("{left} shards"),
            }
        ),
    };
    let late = match summary.too_late {
        0 => String::new(),
        number => format!(", {} held back by the broker until it was too late", numbers::grouped(number)),
    };
    format!(
        "ballots       {}{late}\n\
         peak backlog  {} at {}\n\
         caught up     {caught_up}\n\
         drained       {drained}\n\
         cost          {} shard-seconds, {} % of the ideal {} (whole shards that come and go at once, are always busy and know what comes, \
         at least {} while warm); the work itself is {}\n\
         changes       {} of shards, {} of partitions\n",
        numbers::grouped(summary.ballots),
        numbers::grouped(summary.peak_backlog),
        numbers::clock(summary.peak_second),
        numbers::grouped(summary.shard_seconds),
        summary.cost_percent(),
        numbers::grouped(summary.ideal_shard_seconds),
        trial.scenario.spec.warm_shards(),
        numbers::grouped(summary.work_shard_seconds),
        summary.shard_changes,
        summary.partition_changes,
    )
}

/// `40s before the close`.
fn relative(second: i64, window_s: i64) -> String {
    let distance = numbers::duration(second.abs_diff(window_s));
    match second.cmp(&window_s) {
        std::cmp::Ordering::Less => format!("{distance} before the close"),
        std::cmp::Ordering::Equal => "at the close".to_owned(),
        std::cmp::Ordering::Greater => format!("{distance} after the close"),
    }
}

//! Votes of a million to a hundred million in one hour, at 2,000 ballots a second and shard: the backlog, kept partition by
//! partition, is gone by the close, and what it costs is at most a quarter more than what whole shards would cost that are
//! there and gone at once, are busy all the time and know what comes.

use std::fmt::Write as _;

use expect_test::expect_file;
use pnyx_core::{
    scaling::{
        CATCH_UP_MS_DEFAULT, Rate, ScalingParts, ScalingSpec, UTILIZATION_PERCENT_DEFAULT,
        simulation::{Broker, Cluster, Curve, Replay, Scenario, Step},
    },
    time::{TimestampMs, Window},
};

/// Voters, in steps as on a sheet of paper.
const VOTERS: [u64; 7] = [1_000_000, 2_000_000, 5_000_000, 10_000_000, 20_000_000, 50_000_000, 100_000_000];

/// How the voters of an hour come, in parts of all of them for each of twelve times five minutes.
const SHAPES: &[(&str, [u64; 12])] = &[
    ("evenly", [1; 12]),
    ("in a rush at the opening", [12, 7, 4, 3, 2, 2, 2, 2, 2, 2, 2, 2]),
    ("in a rush at the close", [2, 2, 2, 2, 2, 2, 2, 2, 3, 4, 7, 12]),
    ("in two waves", [1, 2, 5, 6, 4, 2, 1, 2, 5, 7, 4, 2]),
    ("in one great wave", [1, 1, 1, 2, 6, 12, 12, 6, 2, 1, 1, 1]),
];

/// Most of the cost relative to the ideal, in percent.
const COST_PERCENT_MAX: u64 = 125;

/// Most ballots that rounding the rates may cost: a thousandth a second, and the last begun one.
const ROUNDED_MAX: u64 = 5;

const HOUR_S: u64 = 3_600;

/// How somebody scales who minds the cost, and how one does who says nothing.
struct Owner {
    utilization_percent: u32,
    catch_up_target_ms: u64,
    partitions: u32,
}

const THRIFTY: Owner = Owner { utilization_percent: 100, catch_up_target_ms: 300_000, partitions: 640 };
const USUAL: Owner = Owner {
    utilization_percent: UTILIZATION_PERCENT_DEFAULT,
    catch_up_target_ms: CATCH_UP_MS_DEFAULT,
    partitions: 160,
};

fn scenario(voters: u64, parts: &[u64; 12], owner: &Owner) -> Scenario {
    let sum: u64 = parts.iter().sum();
    let steps = (0_u64..).zip(parts).map(|(index, part)| Step {
        second: index * 300,
        arrivals: Rate::from_milli(voters * part * 1_000 / (sum * 300)),
        broker: Broker::Up,
    });
    let rate_per_shard = Rate::per_second(2_000);
    let spec = ScalingParts {
        max_shards: 160,
        warm_shards: Some(1),
        rate_per_shard,
        utilization_percent: owner.utilization_percent,
        catch_up_target_ms: owner.catch_up_target_ms,
        partitions_initial: Some(owner.partitions),
        ..ScalingParts::default()
    };
    let opens_at = TimestampMs(1_000_000_000);
    Scenario {
        spec: ScalingSpec::new(&spec).unwrap(),
        window: Window::new(opens_at, opens_at.saturating_add_ms(HOUR_S * 1_000)).unwrap(),
        curve: Curve::new(steps.collect()).unwrap(),
        cluster: Cluster {
            rate_per_shard,
            start_up_s: 20,
            rebalance_pause_s: 3,
            sample_every_s: 5,
            commit_lag_s: 1,
            hot_partition_percent: 0,
            noise_percent: 0,
            noise_seed: 0,
        },
        restarts: Vec::new(),
    }
}

/// A table of all votes; whether each keeps to the cost is for the caller.
fn table(owner: &Owner, mut check: impl FnMut(&str, u64)) -> String {
    let mut table = String::new();
    for (shape, parts) in SHAPES {
        for voters in VOTERS {
            let summary = Replay::of(&scenario(voters, parts, owner)).summary;
            let about = format!("{voters:>11} {shape:<26}");
            writeln!(
                table,
                "{about} backlog at most {:>9}, at the close {:>6}; {:>6} shard-seconds, {:>3} % of the ideal {:>6}, work {:>6}; \
                 {:>2} changes",
                summary.peak_backlog,
                summary.backlog_at_close,
                summary.shard_seconds,
                summary.cost_percent(),
                summary.ideal_shard_seconds,
                summary.work_shard_seconds,
                summary.shard_changes,
            )
            .unwrap();
            assert!(summary.ballots.abs_diff(voters) <= ROUNDED_MAX, "{about}");
            assert_eq!(summary.too_late, 0);
            // What the last second brought may still wait, and nothing from before it.
            let last_second = voters * parts[11] / (parts.iter().sum::<u64>() * 300) + 1;
            assert!(summary.backlog_at_close <= last_second, "{about}: {} wait", summary.backlog_at_close);
            assert!(summary.is_in_time(), "{about}");
            check(&about, summary.cost_percent());
        }
    }
    table
}

#[test]
fn the_backlog_is_gone_by_the_close_and_little_is_spent_beside() {
    let mut dear = String::new();
    let table = table(&THRIFTY, |about, percent| {
        if percent > COST_PERCENT_MAX {
            writeln!(dear, "{about}: {percent} %").unwrap();
        }
    });
    expect_file!["large.txt"].assert_eq(&table);
    assert_eq!(dear, "");
}

/// What the defaults cost: the room that utilization leaves is paid for, and a backlog that is worked off sooner.
#[test]
fn room_costs_what_it_is() {
    expect_file!["large_roomy.txt"].assert_eq(&table(&USUAL, |_, _| {}));
}

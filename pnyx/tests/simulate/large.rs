//! Votes of a million to a hundred million in one hour, at 2,000 ballots a second and shard: the backlog, kept partition by
//! partition, is gone by the close, and what it costs is at most a quarter more than shards that come and go at once.

use std::{fmt::Write as _, fs};

use serde_json::Value;

use crate::{examples, simulate};

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

const SCALING: &str = "    minShards: 0
    maxShards: 160
    warmShards: 1
    ratePerShard: 2000
";

#[test]
fn the_backlog_is_gone_by_the_close_and_little_is_spent_beside() {
    let folder = tempfile::tempdir().unwrap();
    let example = fs::read_to_string(examples().join("proposal.yaml")).unwrap();
    let (head, _) = example.split_once("    # Before the window").unwrap();
    let spec = folder.path().join("spec.yaml");
    fs::write(&spec, format!("{head}{SCALING}")).unwrap();
    let mut table = String::new();
    for (shape, parts) in SHAPES {
        for voters in VOTERS {
            let curve = folder.path().join("curve.csv");
            fs::write(&curve, curve_of(voters, parts)).unwrap();
            let output = simulate(&curve, &spec, &["--json"]);
            let document: Value = serde_json::from_slice(&output.stdout).unwrap();
            let summary = &document["summary"];
            let number = |field: &str| summary[field].as_u64().unwrap();
            let at_close = last_in_window(&document);
            writeln!(
                table,
                "{voters:>11} {shape:<26} backlog at most {:>9}, at the close {:>5}; {:>3} % of {:>7} shard-seconds",
                number("peakBacklog"),
                at_close["backlog"],
                number("costPercent"),
                number("idealShardSeconds")
            )
            .unwrap();
            assert!(number("ballots").abs_diff(voters) <= ROUNDED_MAX, "{shape}: {summary}");
            assert_eq!(number("tooLate"), 0);
            let arrivals: u64 = at_close["arrivals"].as_str().unwrap().split('.').next().unwrap().parse().unwrap();
            let waiting = at_close["backlog"].as_u64().unwrap();
            assert!(
                waiting <= arrivals,
                "{voters} {shape}: {waiting} wait at the close, {arrivals} came in its last second"
            );
            assert!(number("costPercent") <= COST_PERCENT_MAX, "{voters} {shape}: {summary}");
            assert_eq!(output.status.code(), Some(0));
        }
    }
    expect_test::expect_file!["large.txt"].assert_eq(&table);
}

/// A line for each five minutes, rounded down to thousandths of a ballot a second.
fn curve_of(voters: u64, parts: &[u64; 12]) -> String {
    let sum: u64 = parts.iter().sum();
    let mut curve = String::new();
    for (index, part) in (0_u64..).zip(parts) {
        let milli_per_second = voters * part * 1_000 / (sum * 300);
        let second = index * 300;
        writeln!(curve, "{second},{}.{:03}", milli_per_second / 1_000, milli_per_second % 1_000).unwrap();
    }
    curve
}

/// What held in the window's last second: of moments that do not differ only the first is told.
fn last_in_window(document: &Value) -> Value {
    let moments = document["moments"].as_array().unwrap();
    moments.iter().rev().find(|moment| moment["second"].as_i64().unwrap() < 3_600).unwrap().clone()
}

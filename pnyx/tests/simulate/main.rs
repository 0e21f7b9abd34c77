//! `pnyx simulate`: four curves with golden output, and what it says of bad input.

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use expect_test::{expect, expect_file};

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/simulate")
}

fn simulate(arrivals: &Path, spec: &Path, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pnyx"));
    command.arg("simulate").arg("--arrivals").arg(arrivals).arg("--spec").arg(spec).args(more);
    command.output().unwrap()
}

fn example(curve: &str, more: &[&str]) -> Output {
    simulate(&examples().join(curve), &examples().join("proposal.yaml"), more)
}

fn text(output: &Output) -> String {
    let status = output.status.code().map_or_else(|| "a signal".to_owned(), |code| code.to_string());
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    format!("{out}{err}exit code {status}\n")
}

#[test]
fn a_flat_curve() {
    expect_file!["flat.txt"].assert_eq(&text(&example("flat.csv", &[])));
}

#[test]
fn a_spike_in_the_last_minutes() {
    expect_file!["spike.txt"].assert_eq(&text(&example("spike.csv", &[])));
}

#[test]
fn two_waves() {
    expect_file!["waves.txt"].assert_eq(&text(&example("waves.csv", &[])));
}

#[test]
fn a_broker_that_is_away_in_the_middle() {
    expect_file!["outage.txt"].assert_eq(&text(&example("outage.csv", &[])));
}

#[test]
fn a_partition_that_gets_too_much_is_not_caught_up_and_says_so() {
    let output = example("flat.csv", &["--hot-partition-percent", "60"]);
    assert_eq!(output.status.code(), Some(1));
    expect_file!["hot.txt"].assert_eq(&text(&output));
}

#[test]
fn the_chart_is_drawn_from_the_same_replay() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("chart.svg");
    let plain = example("outage.csv", &[]);
    let drawn = example("outage.csv", &["--svg", file.to_str().unwrap()]);
    assert_eq!(text(&drawn), text(&plain));
    expect_file!["outage.svg"].assert_eq(&fs::read_to_string(&file).unwrap());
}

#[test]
fn json_says_the_same_for_programs() {
    let output = example("waves.csv", &["--json"]);
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    expect_file!["waves_summary.json"].assert_eq(&format!("{:#}\n", document["summary"]));
    let decisions = document["decisions"].as_array().unwrap();
    expect_file!["waves_decision.json"].assert_eq(&format!("{:#}\n", decisions[decisions.len() / 2]));
}

#[test]
fn lines_of_json_are_the_same_curve() {
    let folder = tempfile::tempdir().unwrap();
    let lines = "# as outage.csv\n{\"second\": 0, \"ballotsPerSecond\": 4000}\n\
                 {\"second\": 1500, \"ballotsPerSecond\": 4000.000, \"broker\": \"away\"}\n\
                 {\"second\": 1800, \"ballotsPerSecond\": 4000, \"broker\": \"up\"}\n";
    let file = folder.path().join("outage.jsonl");
    fs::write(&file, lines).unwrap();
    let output = simulate(&file, &examples().join("proposal.yaml"), &[]);
    assert_eq!(text(&output), text(&example("outage.csv", &[])));
}

#[test]
fn each_bad_line_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.csv");
    let cases = [
        "",
        "# nothing\n\n",
        "second,ballots_per_second\n",
        "second;ballots\n0;5",
        "0,5\n0,6",
        "0,5\n\n7,5\n6,5",
        "0,5\n-1,5",
        "0,5\n1.5,5",
        "0,many",
        "0,-5",
        "0,1e6",
        "0,1.2345",
        "0,100000001",
        "0,99999999999999999999",
        "0,5,down",
        "0,5,up,now",
        "0",
        "0,5\n3600,5",
        "{\"second\": 0}",
        "{\"second\": 0, \"ballotsPerSecond\": \"5\"}",
        "{\"second\": 0, \"ballotsPerSecond\": -5}",
        "{\"second\": 0, \"ballotsPerSecond\": 5, \"color\": \"red\"}",
        "{\"second\": 0,",
    ];
    let mut table = String::new();
    for case in cases {
        fs::write(&file, case).unwrap();
        let output = simulate(&file, &examples().join("proposal.yaml"), &[]);
        assert_eq!(output.status.code(), Some(2), "{case}");
        let problem = String::from_utf8(output.stderr).unwrap().replace(&*folder.path().to_string_lossy(), "");
        write!(table, "{}\n  {problem}", case.replace('\n', "⏎")).unwrap();
    }
    expect_file!["bad_lines.txt"].assert_eq(&table);
}

#[test]
fn other_mistakes_say_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let good = fs::read_to_string(examples().join("proposal.yaml")).unwrap();
    let spec = folder.path().join("spec.yaml");
    let mut table = String::new();
    let mut note = |output: &Output| {
        assert_eq!(output.status.code(), Some(2));
        table += &String::from_utf8_lossy(&output.stderr).replace(&*folder.path().to_string_lossy(), "");
    };
    for (good_text, bad) in [
        ("maxShards: 12", "maxShards: 1"),
        ("maxShards: 12", "mostShards: 12"),
        ("lead: 2m", "lead: two minutes"),
        ("2026-12-01T13:00:00Z", "2026-12-31T13:00:00Z"),
    ] {
        fs::write(&spec, good.replace(good_text, bad)).unwrap();
        note(&simulate(&examples().join("flat.csv"), &spec, &[]));
    }
    fs::write(&spec, format!("{good}---\n{}", good.replace("hour-of-votes", "another"))).unwrap();
    note(&simulate(&examples().join("flat.csv"), &spec, &[]));
    note(&example("flat.csv", &["--rate-per-shard", "0"]));
    note(&example("flat.csv", &["--sample-every", "16s"]));
    expect![[r#"
        error: /spec.yaml: spec.scaling.warmShards: must be 1 to maxShards (1); it is 2
        error: /spec.yaml: spec.scaling.mostShards: is not a known field; known here: catchUpTarget, expectedPeak, hold, lead, maxShards, minShards, partitions, ratePerShard, shards, utilization, warmShards
        error: /spec.yaml: spec.scaling.lead: must be a duration such as "90s", "2m" or "1h30m", not "two minutes"
        error: /spec.yaml: spec.window: is longer than 7 days, the most that is replayed; take its last days
        error: /spec.yaml: holds 2 proposals; name a file of one
        error: --rate-per-shard must be 1 to 100000000
        error: invalid value '16s' for '--sample-every <DURATION>': must be whole seconds, at most 15 s, after which a sample is too old

        For more information, try '--help'.
    "#]].assert_eq(&table);
}

//! Four curves through the planner, with golden output; a hot partition; an operator that starts again.

use std::fmt::Write as _;

use expect_test::{ExpectFile, expect_file};
use pnyx_core::{
    scaling::{
        Limit, Rate, ScalingParts, ScalingSpec,
        simulation::{Broker, Cluster, Curve, CurveError, Replay, Scenario, Step},
    },
    time::{TimestampMs, Window},
};

const HOUR_S: u64 = 3_600;

fn step(second: u64, ballots_per_second: u64, broker: Broker) -> Step {
    Step { second, arrivals: Rate::per_second(ballots_per_second), broker }
}

fn up(steps: &[(u64, u64)]) -> Vec<Step> {
    steps.iter().map(|(second, rate)| step(*second, *rate, Broker::Up)).collect()
}

fn flat() -> Vec<Step> {
    up(&[(0, 5_000)])
}

fn spike() -> Vec<Step> {
    up(&[(0, 400), (3_000, 3_000), (3_060, 9_000), (3_120, 14_000), (3_300, 9_000), (3_480, 3_000)])
}

fn waves() -> Vec<Step> {
    let wave = [(0, 500), (300, 2_000), (600, 6_000), (900, 9_000), (1_200, 6_000), (1_500, 2_000)];
    up(&wave.into_iter().chain(wave.map(|(second, rate)| (second + 1_800, rate))).collect::<Vec<_>>())
}

fn outage() -> Vec<Step> {
    vec![step(0, 4_000, Broker::Up), step(1_500, 4_000, Broker::Away), step(1_800, 4_000, Broker::Up)]
}

fn scenario(steps: Vec<Step>) -> Scenario {
    let rate_per_shard = Rate::per_second(2_000);
    let parts = ScalingParts {
        max_shards: 12,
        warm_shards: Some(2),
        rate_per_shard,
        partitions_initial: Some(6),
        partitions_max: Some(24),
        ..ScalingParts::default()
    };
    let opens_at = TimestampMs(1_000_000_000);
    Scenario {
        spec: ScalingSpec::new(&parts).unwrap(),
        window: Window::new(opens_at, opens_at.saturating_add_ms(HOUR_S * 1_000)).unwrap(),
        curve: Curve::new(steps).unwrap(),
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

/// Every decision, and what it came to.
fn check(scenario: &Scenario, expected: &ExpectFile) -> Replay {
    let replay = Replay::of(scenario);
    let mut text = String::new();
    for decision in &replay.decisions {
        let plan = &decision.plan;
        let limits = (plan.shards.limit.name(), plan.partitions.limit.name());
        writeln!(text, "{:>5} s {:<8} [{} · {}] {plan}", decision.second, plan.phase.name(), limits.0, limits.1)
            .unwrap();
    }
    writeln!(text, "\n{:#?}\ncost {} %", replay.summary, replay.summary.cost_percent()).unwrap();
    expected.assert_eq(&text);
    replay
}

#[test]
fn a_flat_curve() {
    let replay = check(&scenario(flat()), &expect_file!["golden/flat.txt"]);
    assert!(replay.summary.is_in_time());
    assert_eq!(replay.summary.shard_changes, 3, "the warm ones, one jump, none at the end");
}

#[test]
fn a_spike_in_the_last_minutes() {
    let replay = check(&scenario(spike()), &expect_file!["golden/spike.txt"]);
    assert!(replay.summary.is_in_time());
}

#[test]
fn two_waves() {
    let replay = check(&scenario(waves()), &expect_file!["golden/waves.txt"]);
    assert!(replay.summary.is_in_time());
}

#[test]
fn a_broker_that_is_away_in_the_middle() {
    let replay = check(&scenario(outage()), &expect_file!["golden/outage.txt"]);
    assert!(replay.summary.is_in_time());
    let away = replay.moments.iter().filter(|moment| (1_500..1_800).contains(&moment.second));
    let shards: Vec<u32> = away.map(|moment| moment.shards).collect();
    assert!(shards.is_sorted(), "nothing is given back while nothing is known");
}

#[test]
fn a_hot_partition_buys_no_shards_that_cannot_help_it() {
    let mut hot = scenario(flat());
    hot.cluster.hot_partition_percent = 60;
    let replay = check(&hot, &expect_file!["golden/hot.txt"]);
    assert!(!replay.summary.is_in_time(), "one shard verifies 2,000 of its 3,000 a second");
    assert_eq!(replay.summary.partition_changes, 1, "the topic is made");
    let most = replay.moments.iter().map(|moment| moment.shards).max();
    assert!(most <= Some(4), "{most:?}");
    let tail = replay.moments.iter().find(|moment| moment.second > 5_000);
    assert_eq!(tail.map(|moment| moment.shards), Some(2), "what is left lies in one partition");
}

#[test]
fn an_operator_that_starts_again_gives_nothing_back_and_forgets_nothing() {
    let mut calm = scenario(up(&[(0, 9_000), (1_200, 2_000)]));
    let undisturbed = Replay::of(&calm);
    let given_back = |replay: &Replay| {
        let back = |it: &&pnyx_core::scaling::simulation::Decision| it.plan.shards.to < it.plan.shards.from;
        replay.decisions.iter().find(back).map(|decision| decision.second).unwrap()
    };
    let usually = given_back(&undisturbed);
    let restart = u64::try_from(usually).unwrap() - 5;
    calm.restarts = vec![restart];
    let restarted = Replay::of(&calm);
    // The second reading gives the first sample; from then on one stabilization passes.
    assert_eq!(given_back(&restarted), usually + 120);
    let first = restarted.decisions.iter().find(|decision| decision.second >= usually - 5).unwrap();
    assert_eq!(first.plan.shards.limit, Limit::UnknownData);
    assert_eq!(first.plan.inputs.rate_per_shard.rate(), Rate::per_second(2_000));
}

#[test]
fn curves_are_in_order() {
    assert_eq!(Curve::new(Vec::new()), Err(CurveError::Empty));
    let late = Curve::new(up(&[(0, 1), (5, 1), (5, 2)])).unwrap_err();
    assert_eq!((late.index(), late.to_string()), (Some(2), "second 5 must be after 5 of the line before".to_owned()));
    let much = Curve::new(up(&[(0, 100_000_001)])).unwrap_err();
    assert_eq!((much.index(), much.to_string()), (Some(0), "100,000,001/s are more than 100000000/s".to_owned()));
    assert_eq!(Curve::new(up(&[(0, 1), (5, 1)])).unwrap().beyond(5), Some(1));
}

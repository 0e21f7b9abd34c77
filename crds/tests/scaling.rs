//! A proposal's scaling: read in full, with the core's defaults, and no part of what voters sign.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up stops there")]

use std::path::Path;

use pnyx_core::{
    scaling::{
        History, Observed, PartitionLoad, Rate, Remembered, ReplicasOwner, Sample, ScalingParts, ScalingPhase, Shards,
        Start, plan,
    },
    time::{TimestampMs, Window},
};
use pnyx_crds::{
    GovernanceProposal, PartitionsSpec, ScalingRemembered, ScalingSpec, ScalingStart, read_resources, remembered,
    remembered_status, resolve, resolve_scaling, scaling_status,
};

fn example(scaling: Option<ScalingSpec>) -> GovernanceProposal {
    let file = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/grants-round.yaml"));
    let mut proposal = read_resources(file).unwrap().remove(0).proposal().clone();
    proposal.spec.scaling = scaling;
    proposal
}

fn full() -> ScalingSpec {
    ScalingSpec {
        min_shards: 1,
        max_shards: 12,
        warm_shards: Some(2),
        shards: Some(5),
        lead: "1h30m".to_owned(),
        catch_up_target: "90s".to_owned(),
        utilization: 75,
        expected_peak: Some(50_000),
        rate_per_shard: Some(20_001),
        partitions: Some(PartitionsSpec { initial: Some(6), max: Some(48) }),
        hold: true,
    }
}

#[test]
fn every_field_reaches_the_planner() {
    let parts = ScalingParts {
        min_shards: 1,
        max_shards: 12,
        warm_shards: Some(2),
        shards: Some(5),
        lead_ms: 5_400_000,
        catch_up_target_ms: 90_000,
        utilization_percent: 75,
        expected_peak: Some(Rate::per_second(50_000)),
        rate_per_shard: Rate::per_second(20_001),
        partitions_initial: Some(6),
        partitions_max: Some(48),
        hold: true,
    };
    let expected = pnyx_core::scaling::ScalingSpec::new(&parts).unwrap();
    assert_eq!(resolve_scaling(&example(Some(full()))).unwrap(), expected);
}

#[test]
fn nothing_and_an_empty_scaling_are_the_defaults_of_the_core() {
    let empty: ScalingSpec = serde_saphyr::from_str("{}").unwrap();
    assert_eq!(empty, ScalingSpec::default());
    let defaults = pnyx_core::scaling::ScalingSpec::default();
    assert_eq!(resolve_scaling(&example(None)).unwrap(), defaults);
    assert_eq!(resolve_scaling(&example(Some(empty))).unwrap(), defaults);
}

#[test]
fn scaling_is_no_part_of_the_proposal() {
    let plain = resolve(&example(None), "dev", None).unwrap();
    assert_eq!(resolve(&example(Some(full())), "dev", None).unwrap(), plain);
}

#[test]
fn shards_that_somebody_else_chooses_stay_within_the_most() {
    let problems = resolve_scaling(&example(Some(ScalingSpec { shards: Some(13), ..full() }))).unwrap_err();
    let told: Vec<_> = problems.iter().map(|problem| (&*problem.path, &*problem.problem)).collect();
    assert_eq!(told, [("spec.scaling.shards", "must be at most maxShards (12); it is 13")]);
}

#[test]
fn a_mistake_in_the_scaling_is_a_mistake_in_the_resource() {
    let wrong = ScalingSpec { max_shards: 0, ..full() };
    let problems = resolve(&example(Some(wrong)), "dev", None).unwrap_err();
    assert!(problems.iter().all(|problem| problem.path.starts_with("spec.scaling.")), "{problems:?}");
}

#[test]
fn status_shows_what_led_to_a_plan() {
    let (opens_at, now) = (TimestampMs(1_796_126_400_000), TimestampMs(1_796_126_460_000));
    let load = PartitionLoad { backlog: 70_000, arrival: Rate::from_milli(500_500) };
    let observed = Observed {
        sample: Some(Sample { taken_at: now, partitions: vec![load; 8] }),
        rate_per_shard: None,
        shards: Shards { desired: 2, ready: 2 },
        owner: ReplicasOwner::Operator,
        partitions: 8,
        rebalancing_since: None,
        watching_since: opens_at,
        has_cut: Some(false),
        is_drained: Some(false),
    };
    let parts = ScalingParts { rate_per_shard: Rate::per_second(2_000), ..ScalingParts::default() };
    let spec = pnyx_core::scaling::ScalingSpec::new(&parts).unwrap();
    let window = Window::new(opens_at, opens_at.saturating_add_ms(86_400_000)).unwrap();
    let status = scaling_status(&plan(&spec, &window, &observed, &History::default(), now));
    expect_test::expect_file!["scaling_status.json"]
        .assert_eq(&format!("{}\n", serde_json::to_string_pretty(&status).unwrap()));
}

#[test]
fn what_is_learnt_comes_back_from_status() {
    let learnt = Remembered {
        starts: vec![Start { at: TimestampMs(1_796_126_400_250), took_ms: 41_000 }],
        rate_per_shard: Some(Rate::from_milli(1_234_567)),
        reached: Some(ScalingPhase::Draining),
    };
    let status = remembered_status(&learnt).unwrap();
    expect_test::expect![[r#"{"starts":[{"at":"2026-12-01T12:00:00.25Z","tookMs":41000}],"ratePerShardMilli":1234567,"reached":"draining"}"#]]
        .assert_eq(&serde_json::to_string(&status).unwrap());
    assert_eq!(remembered(&status), learnt);
    assert_eq!(remembered_status(&Remembered::default()), None);
}

#[test]
fn what_somebody_wrote_into_status_is_left_out() {
    let start = |at: &str, took_ms| ScalingStart { at: at.to_owned(), took_ms };
    let status = ScalingRemembered {
        starts: vec![start("soon", 1), start("1969-12-31T23:59:59Z", 1), start("2026-12-01T12:00:00Z", -1)],
        rate_per_shard_milli: Some(-5),
        reached: Some("nowhere".to_owned()),
    };
    assert_eq!(remembered(&status), Remembered::default());
}

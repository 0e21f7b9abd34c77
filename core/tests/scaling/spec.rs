//! What a spec may say, and what a person reads who says something else.

use std::fmt::Write as _;

use expect_test::expect;
use pnyx_core::scaling::{Rate, ScalingParts, ScalingSpec};

#[test]
fn what_is_not_said_follows_from_the_rest() {
    let spec = ScalingSpec::new(&ScalingParts { min_shards: 2, max_shards: 6, ..ScalingParts::default() }).unwrap();
    assert_eq!((spec.warm_shards(), spec.partitions_initial(), spec.partitions_max()), (2, 6, 6));
    let parts = ScalingParts { partitions_initial: Some(20), ..ScalingParts::default() };
    let spec = ScalingSpec::new(&parts).unwrap();
    assert_eq!((spec.warm_shards(), spec.partitions_initial(), spec.partitions_max()), (1, 20, 20));
}

#[test]
fn each_mistake_is_explained_at_its_path() {
    type Change = fn(&mut ScalingParts);
    let cases: &[Change] = &[
        |parts| parts.min_shards = 9,
        |parts| parts.max_shards = 0,
        |parts| parts.max_shards = 1_025,
        |parts| parts.warm_shards = Some(0),
        |parts| parts.warm_shards = Some(9),
        |parts| {
            parts.min_shards = 3;
            parts.warm_shards = Some(2);
        },
        |parts| parts.shards = Some(9),
        |parts| parts.lead_ms = 86_400_001,
        |parts| parts.catch_up_target_ms = 9_999,
        |parts| parts.catch_up_target_ms = 86_400_001,
        |parts| parts.utilization_percent = 9,
        |parts| parts.utilization_percent = 101,
        |parts| parts.expected_peak = Some(Rate::ZERO),
        |parts| parts.expected_peak = Some(Rate::per_second(100_000_001)),
        |parts| parts.rate_per_shard = Rate::ZERO,
        |parts| parts.partitions_initial = Some(0),
        |parts| parts.partitions_max = Some(7),
        |parts| parts.partitions_max = Some(1_025),
    ];
    let mut table = String::new();
    for change in cases {
        let mut parts = ScalingParts::default();
        change(&mut parts);
        for problem in ScalingSpec::new(&parts).unwrap_err() {
            writeln!(table, "{}: {}", problem.path, problem.problem).unwrap();
        }
        writeln!(table).unwrap();
    }
    expect![[r#"
        spec.scaling.minShards: must be at most maxShards (8); it is 9

        spec.scaling.maxShards: must be 1 to 1024; it is 0

        spec.scaling.maxShards: must be 1 to 1024; it is 1025

        spec.scaling.warmShards: must be 1 to maxShards (8); it is 0

        spec.scaling.warmShards: must be 1 to maxShards (8); it is 9

        spec.scaling.warmShards: must be 3 to maxShards (8); it is 2

        spec.scaling.shards: must be at most maxShards (8); it is 9

        spec.scaling.lead: must be at most a day

        spec.scaling.catchUpTarget: must be 10s to a day

        spec.scaling.catchUpTarget: must be 10s to a day

        spec.scaling.utilization: must be 10 to 100 percent; it is 9

        spec.scaling.utilization: must be 10 to 100 percent; it is 101

        spec.scaling.expectedPeak: must be above 0 and at most 100000000; it is 0/s

        spec.scaling.expectedPeak: must be above 0 and at most 100000000; it is 100,000,001/s

        spec.scaling.ratePerShard: must be above 0 and at most 100000000; it is 0/s

        spec.scaling.partitions.initial: must be 1 to partitions.max (8); it is 0

        spec.scaling.partitions.initial: must be 1 to partitions.max (7); it is 8
        spec.scaling.partitions.max: must be maxShards (8) to 1024, since a partition is read by one shard; it is 7

        spec.scaling.partitions.max: must be maxShards (8) to 1024, since a partition is read by one shard; it is 1025

    "#]]
    .assert_eq(&table);
}

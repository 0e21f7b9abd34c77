//! One case at least for every limit, with the sentence that people read.

use std::{collections::BTreeSet, fmt::Write as _};

use expect_test::expect_file;
use pnyx_core::{
    scaling::{Limit, PartitionLoad, PartitionsLimit, Plan, Rate, ReplicasOwner, ScalingPhase},
    time::TimestampMs,
};

use crate::support::{CLOSES_AT, MIDDLE, OPENS_AT, Scene};

/// What the case is, and its plan.
type Case = (&'static str, Scene);

fn cases() -> Vec<Case> {
    let mut cases = ups();
    cases.extend(special());
    cases.extend(downs());
    cases.extend(partitions());
    cases.extend(ends());
    cases
}

/// Where more is needed, or as much as there is.
fn ups() -> Vec<Case> {
    let scene = Scene::new;
    vec![
        ("long before the window", scene().at(OPENS_AT - 3_600_000).with(|it| it.observed.shards.desired = 0)),
        ("the lead begins", scene().at(OPENS_AT - 120_000).with(|it| it.observed.shards.desired = 0)),
        (
            "the lead begins and a peak is expected",
            scene().at(OPENS_AT - 120_000).with(|it| {
                it.observed.shards.desired = 0;
                it.parts.expected_peak = Some(Rate::per_second(4_000));
            }),
        ),
        ("less arrives than warm shards can do", scene().loaded(50, 0).with(|it| it.observed.shards.desired = 2)),
        ("more arrives", scene().loaded(500, 0)),
        ("more arrives and a little waits", scene().loaded(500, 7_000)),
        (
            "the shards measured a higher rate",
            scene().loaded(500, 7_000).with(|it| it.observed.rate_per_shard = Some(Rate::per_second(1_600))),
        ),
        (
            "the shards measured what cannot be",
            scene().loaded(500, 7_000).with(|it| it.observed.rate_per_shard = Some(Rate::per_second(1_000_000))),
        ),
        (
            "as much waits, shards have just been asked for, and the close is near",
            scene()
                .at(CLOSES_AT - 90_000)
                .loaded(500, 70_000)
                .with(|it| it.observed.rebalancing_since = Some(TimestampMs(it.now - 30_000))),
        ),
        (
            "as much waits, shards have just been asked for, and none would come before the close",
            scene()
                .at(CLOSES_AT - 20_000)
                .loaded(500, 70_000)
                .with(|it| it.observed.rebalancing_since = Some(TimestampMs(it.now - 30_000))),
        ),
        (
            "as much waits, but shards have just been asked for",
            scene().loaded(500, 70_000).with(|it| it.observed.rebalancing_since = Some(TimestampMs(MIDDLE - 30_000))),
        ),
        (
            "so much waits that more would be needed than is allowed",
            scene().with(|it| it.observed.partitions = 24).loaded(250, 70_000),
        ),
        ("so much waits in all partitions that each could use a shard", scene().loaded(500, 70_000)),
    ]
}

/// Where one partition, or the moment, matters.
fn special() -> Vec<Case> {
    let scene = Scene::new;
    vec![
        (
            "one partition gets most of what one shard can do",
            scene()
                .with(|it| it.observed.shards.desired = 2)
                .loads((0..12).map(|index| load(if index == 3 { 900 } else { 60 }, 0)).collect())
                .settled(),
        ),
        (
            "one partition gets more than one shard can do",
            scene()
                .with(|it| it.observed.shards.desired = 2)
                .loads((0..12).map(|index| if index == 3 { load(9_000, 500_000) } else { load(30, 0) }).collect())
                .settled(),
        ),
        ("a little more arrives, only now", scene().with(|it| it.observed.shards.desired = 2).loaded(150, 0)),
        (
            "a little more has arrived for a while",
            scene().with(|it| it.observed.shards.desired = 2).loaded(150, 0).settled(),
        ),
        ("another scaler decides", scene().loaded(500, 0).with(|it| it.observed.owner = ReplicasOwner::Other)),
        ("the resource says how many", scene().loaded(500, 0).with(|it| it.parts.shards = Some(3))),
        ("the resource says fewer than warm", scene().with(|it| it.parts.shards = Some(0))),
        (
            "the resource says how many, and hold is set",
            scene().with(|it| {
                it.parts.shards = Some(3);
                it.parts.hold = true;
            }),
        ),
        (
            "what is learnt is known, and nothing is measured",
            scene().loaded(500, 0).with(|it| {
                it.observed.rate_per_shard = Some(Rate::per_second(1_600));
                it.history.record(&it.plan());
                it.now += 5_000;
                it.observed.rate_per_shard = None;
            }),
        ),
        ("a backlog shortly before the close", scene().at(CLOSES_AT - 60_000).loaded(100, 8_000)),
        ("the same in the middle", scene().loaded(100, 8_000)),
        (
            "nothing is known and there are fewer than warm",
            scene().with(|it| {
                it.observed.sample = None;
                it.observed.shards.desired = 1;
            }),
        ),
    ]
}

/// Where fewer would do.
fn downs() -> Vec<Case> {
    let scene = Scene::new;
    let needed_before = scene().with(|it| {
        it.observed.shards.desired = 0;
        let mut surge = it.clone().loaded(500, 0);
        surge.now = MIDDLE - 60_000;
        surge.observed.sample.as_mut().unwrap().taken_at = TimestampMs(surge.now);
        it.history.record(&surge.plan());
        for now in (MIDDLE - 55_000..MIDDLE).step_by(5_000) {
            let mut calm = it.clone();
            calm.now = now;
            calm.observed.sample.as_mut().unwrap().taken_at = TimestampMs(now);
            it.history.record(&calm.plan());
        }
        it.observed.shards.desired = 9;
    });
    vec![
        ("fewer would do", scene()),
        ("hold is set", scene().with(|it| it.parts.hold = true)),
        ("the sample is old", scene().with(|it| it.observed.sample.as_mut().unwrap().taken_at.0 -= 60_000)),
        ("the sample is from the future", scene().with(|it| it.observed.sample.as_mut().unwrap().taken_at.0 += 60_000)),
        ("there is no sample", scene().with(|it| it.observed.sample = None)),
        (
            "the operator was started a minute ago",
            scene().with(|it| {
                it.observed.watching_since = TimestampMs(MIDDLE - 60_000);
                it.history = Default::default();
            }),
        ),
        ("samples are back, but only now", scene().with(|it| it.history = Default::default())),
        ("the window opens soon", scene().at(OPENS_AT - 60_000)),
        ("the window closes soon", scene().at(CLOSES_AT - 200_000)),
        ("partitions move", scene().with(|it| it.observed.rebalancing_since = Some(TimestampMs(MIDDLE - 30_000)))),
        (
            "partitions have moved for so long that something is stuck",
            scene().with(|it| it.observed.rebalancing_since = Some(TimestampMs(MIDDLE - 600_000))),
        ),
        (
            "fewer would do, but so few fewer that little is saved",
            scene()
                .with(|it| it.parts.max_shards = 40)
                .with(|it| {
                    it.observed.partitions = 400;
                    it.parts.partitions_initial = Some(400);
                    it.observed.shards.desired = 39;
                })
                .loaded(72, 0)
                .settled(),
        ),
        ("fewer would do, but not if a little more arrived", scene().loaded(195, 0).settled()),
        ("more was needed a minute ago", needed_before),
        (
            "some were given back a moment ago",
            scene().with(|it| {
                it.history.record(&it.plan());
                it.now += 5_000;
                it.observed.shards.desired = 3;
            }),
        ),
        (
            "maxShards was lowered below what there is, while nothing is known",
            scene().with(|it| {
                it.parts.max_shards = 3;
                it.observed.sample = None;
            }),
        ),
        ("somebody asked for shards long before the window", scene().at(OPENS_AT - 3_600_000)),
    ]
}

/// Where partitions matter.
fn partitions() -> Vec<Case> {
    let few = || {
        Scene::new().with(|it| {
            it.parts.partitions_initial = Some(4);
            it.parts.partitions_max = Some(48);
            it.observed.partitions = 4;
        })
    };
    vec![
        (
            "there is no topic yet",
            few().at(OPENS_AT - 3_600_000).with(|it| {
                it.observed.partitions = 0;
                it.observed.sample = None;
                it.observed.shards.desired = 0;
            }),
        ),
        (
            "there is no topic yet, and a peak needs more than it has at first",
            few().at(OPENS_AT - 3_600_000).with(|it| {
                it.observed.partitions = 0;
                it.observed.sample = None;
                it.observed.shards.desired = 0;
                it.parts.expected_peak = Some(Rate::per_second(6_000));
            }),
        ),
        (
            "the same when the shards for it are wanted already",
            few().at(OPENS_AT - 60_000).with(|it| {
                it.observed.partitions = 0;
                it.observed.sample = None;
                it.observed.shards.desired = 0;
                it.parts.expected_peak = Some(Rate::per_second(6_000));
            }),
        ),
        ("shards outnumber partitions", few().loaded(1_500, 0)),
        ("shards outnumber partitions by far", few().loaded(9_000, 0)),
        ("shards outnumber partitions just before the close", few().at(CLOSES_AT - 60_000).loaded(1_500, 0)),
        ("shards outnumber partitions after the close", few().at(CLOSES_AT + 10_000).loaded(0, 90_000)),
        (
            "warm shards outnumber partitions after the close",
            few().at(CLOSES_AT + 10_000).loaded(0, 90_000).with(|it| it.parts.warm_shards = Some(6)),
        ),
    ]
}

/// After the close.
fn ends() -> Vec<Case> {
    let scene = Scene::new;
    let drained = |it: &mut Scene| {
        it.observed.has_cut = Some(true);
        it.observed.is_drained = Some(true);
    };
    vec![
        ("closed, and something waits", scene().at(CLOSES_AT + 5_000).loaded(0, 30_000)),
        ("closed a moment ago, and nothing waits", scene().loaded(0, 0).at(CLOSES_AT + 30_000)),
        ("closed, and a little waits", scene().loaded(0, 10).at(CLOSES_AT + 600_000)),
        (
            "closed, and nearly all that waits is in one partition",
            scene()
                .loads((0..12).map(|index| load(0, if index == 3 { 900_000 } else { 1_000 })).collect())
                .at(CLOSES_AT + 600_000),
        ),
        ("closed, and nothing waits", scene().loaded(0, 0).at(CLOSES_AT + 600_000)),
        (
            "drained without a cut means nothing",
            scene().at(CLOSES_AT + 5_000).with(|it| it.observed.is_drained = Some(true)),
        ),
        ("drained", scene().at(CLOSES_AT + 60_000).with(drained)),
        (
            "drained, and nothing is known",
            scene().at(CLOSES_AT + 60_000).with(drained).with(|it| it.observed.sample = None),
        ),
        ("the log was not read since the close", scene().at(CLOSES_AT + 60_000).with(|it| it.observed.has_cut = None)),
        (
            "the log was not read, and there are none left",
            scene().at(CLOSES_AT + 60_000).with(|it| {
                it.observed.has_cut = None;
                it.observed.is_drained = None;
                it.observed.sample = None;
                it.observed.shards.desired = 0;
            }),
        ),
        ("drained, and held", scene().at(CLOSES_AT + 60_000).with(drained).with(|it| it.parts.hold = true)),
    ]
}

const fn load(arrival_per_second: u64, backlog: u64) -> PartitionLoad {
    PartitionLoad { backlog, arrival: Rate::per_second(arrival_per_second) }
}

#[test]
fn each_case_reads_as_it_should() {
    let mut table = String::new();
    for (about, scene) in cases() {
        let plan = scene.plan();
        let (shards, partitions) = (plan.shards, plan.partitions);
        let wait_s = plan.look_again_at.saturating_since_ms(plan.at) / 1_000;
        writeln!(table, "{about}\n  {plan}").unwrap();
        let names = (plan.phase.name(), shards.limit.name(), partitions.limit.name());
        writeln!(table, "  phase {} · limit {} · partitions {} · again in {wait_s} s\n", names.0, names.1, names.2)
            .unwrap();
    }
    expect_file!["limits.txt"].assert_eq(&table);
}

#[test]
fn every_limit_and_phase_has_a_case() {
    let plans: Vec<Plan> = cases().iter().map(|(_, scene)| scene.plan()).collect();
    assert_eq!(
        plans.iter().map(|plan| plan.shards.limit).collect::<BTreeSet<_>>(),
        Limit::ALL.iter().copied().collect()
    );
    assert_eq!(
        plans.iter().map(|plan| plan.partitions.limit).collect::<BTreeSet<_>>(),
        PartitionsLimit::ALL.iter().copied().collect()
    );
    assert_eq!(
        plans.iter().map(|plan| plan.phase).collect::<BTreeSet<_>>(),
        ScalingPhase::ALL.iter().copied().collect()
    );
}

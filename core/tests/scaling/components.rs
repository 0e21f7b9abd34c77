//! The edge and the tally, sized for all windows together.

use std::collections::BTreeSet;

use crate::support::{CLOSES_AT, OPENS_AT, Scene};
use pnyx_core::{
    scaling::{Component, ComponentSpec, Instances, InstancesHistory, InstancesLimit, Rate, WindowDemand, instances},
    time::TimestampMs,
};

const SPEC: ComponentSpec = ComponentSpec {
    min: 2,
    max: 10,
    rate_per_instance: Rate::per_second(10_000),
    utilization_percent: 50,
    component: Component::Tally,
};

fn window(expected_peak: Option<u64>, arrival: Option<u64>, lanes: u16) -> WindowDemand {
    let arrival = arrival.map(Rate::per_second);
    WindowDemand { expected_peak: expected_peak.map(Rate::per_second), arrival, verified: arrival, lanes }
}

/// A past of `looks` looks, five seconds apart, at which the same was asked for; and when the next one is.
fn past(demands: &[WindowDemand], looks: u64) -> (InstancesHistory, TimestampMs) {
    let mut history = InstancesHistory::default();
    for look in 0..looks {
        let chosen = instances(&SPEC, demands, 0, &history, TimestampMs(look * 5_000));
        history.record(&chosen);
    }
    (history, TimestampMs(looks * 5_000))
}

#[test]
fn every_limit_has_a_case() {
    use InstancesLimit::{Demand, JustKnown, Lanes, Max, Min, Stabilizing, Unconfirmed, UnknownData};
    // What is asked for, for how many looks the same was, how many there are, and what is chosen.
    let cases = [
        (vec![], 30, 5, (2, Min)),
        (vec![], 10, 5, (5, JustKnown)),
        (vec![window(Some(4_000), Some(1_000), 4)], 30, 2, (2, Min)),
        (vec![window(Some(10_000), Some(1_000), 4), window(None, Some(5_001), 4)], 30, 2, (4, Demand)),
        (vec![window(Some(10_000), Some(22_000), 8)], 30, 9, (5, Demand)),
        (vec![window(Some(10_000), Some(22_000), 8)], 30, 5, (5, Demand)),
        (vec![window(None, Some(24_500), 8)], 30, 6, (6, Stabilizing)),
        (vec![window(None, Some(30_000), 4)], 30, 2, (4, Lanes)),
        (vec![window(None, Some(300_000), 64)], 30, 2, (10, Max)),
        (vec![window(Some(10_000), None, 4), window(None, Some(5_000), 4)], 30, 6, (6, UnknownData)),
        (vec![window(Some(30_000), None, 8)], 30, 2, (6, Demand)),
        (vec![window(None, None, 8)], 30, 12, (10, Max)),
    ];
    let mut limits = BTreeSet::new();
    for (demands, looks, from, expected) in cases {
        let (history, now) = past(&demands, looks);
        let Instances { to, limit, .. } = instances(&SPEC, &demands, from, &history, now);
        assert_eq!((to, limit), expected, "{demands:?}");
        limits.insert(limit);
    }
    let (history, now) = past(&[window(None, Some(9_000), 8)], 30);
    let a_little_more = instances(&SPEC, &[window(None, Some(11_000), 8)], 2, &history, now);
    assert_eq!((a_little_more.to, a_little_more.limit), (2, Unconfirmed));
    limits.insert(a_little_more.limit);
    assert_eq!(limits, InstancesLimit::ALL.into());
}

#[test]
fn more_that_cannot_wait_is_there_at_once() {
    let (history, now) = past(&[window(None, Some(9_000), 8)], 30);
    assert_eq!(instances(&SPEC, &[window(None, Some(21_000), 8)], 2, &history, now).to, 5);
}

#[test]
fn the_edge_knows_no_lanes() {
    let edge = ComponentSpec { component: Component::Ingest, ..SPEC };
    let chosen = instances(&edge, &[window(None, Some(30_000), 1)], 2, &InstancesHistory::default(), TimestampMs(0));
    assert_eq!(chosen.to, 6);
}

#[test]
fn a_load_around_a_whole_number_changes_nothing() {
    let mut history = InstancesHistory::default();
    let mut from = 2;
    let mut changes = 0;
    for look in 0..5_000_u64 {
        // 15,000/s, of which three are just enough, give or take a tenth.
        let arrival = 13_500 + (look * 7_919) % 3_001;
        let chosen = instances(&SPEC, &[window(None, Some(arrival), 8)], from, &history, TimestampMs(look * 5_000));
        history.record(&chosen);
        changes += u32::from(look > 60 && chosen.to != from);
        from = chosen.to;
    }
    assert!(changes <= 1, "{changes}");
    assert!((3..=4).contains(&from), "{from}");
}

/// While shards catch up, more verdicts come than ballots do.
#[test]
fn the_tally_is_sized_by_what_shards_verify() {
    let behind = Scene::new().loaded(100, 70_000);
    let demand = |scene: &Scene| WindowDemand::of(&scene.spec(), &scene.plan(), 8);
    let at_once = demand(&behind).unwrap();
    // 840,000 that wait would be 14,000 a second; twelve shards do 12,000.
    assert_eq!((at_once.arrival, at_once.verified), (Some(Rate::per_second(1_200)), Some(Rate::per_second(12_000))));
    let little = demand(&Scene::new().loaded(100, 1_000)).unwrap();
    assert_eq!(little.verified, Some(Rate::per_second(1_400)));
    let sized = |component, demand| {
        let spec = ComponentSpec { component, ..SPEC };
        instances(&spec, &[demand], 0, &InstancesHistory::default(), TimestampMs(0)).demand
    };
    assert_eq!(sized(Component::Ingest, at_once), Rate::per_second(1_200));
    assert_eq!(sized(Component::Tally, at_once), Rate::per_second(12_000));
}

#[test]
fn a_window_asks_for_nothing_before_and_after() {
    let peak = |now| {
        let scene = Scene::new().at(now).with(|it| it.parts.expected_peak = Some(Rate::per_second(5_000)));
        WindowDemand::of(&scene.spec(), &scene.plan(), 8).map(|demand| demand.expected_peak)
    };
    let expected = Some(Some(Rate::per_second(5_000)));
    assert_eq!(peak(OPENS_AT - 3_600_000), None);
    assert_eq!((peak(OPENS_AT - 60_000), peak(OPENS_AT), peak(CLOSES_AT - 1)), (expected, expected, expected));
    assert_eq!(peak(CLOSES_AT), Some(None), "nobody comes any more, and the rest is verified");
    let unknown = Scene::new().with(|it| it.observed.sample = None);
    let demand = WindowDemand::of(&unknown.spec(), &unknown.plan(), 8).unwrap();
    assert_eq!((demand.arrival, demand.verified), (None, None));
}

//! The edge and the tally, sized for all windows together.

use std::collections::BTreeSet;

use pnyx_core::scaling::{ComponentSpec, Instances, InstancesLimit, Rate, WindowDemand, instances};

const SPEC: ComponentSpec = ComponentSpec {
    min: 2,
    max: 10,
    rate_per_instance: Rate::per_second(10_000),
    utilization_percent: 50,
    is_by_lane: true,
};

fn window(expected_peak: Option<u64>, arrival: Option<u64>, lanes: u16) -> WindowDemand {
    WindowDemand { expected_peak: expected_peak.map(Rate::per_second), arrival: arrival.map(Rate::per_second), lanes }
}

#[test]
fn every_limit_has_a_case() {
    use InstancesLimit::{Demand, Lanes, Max, Min, UnknownData};
    let cases = [
        (vec![], 5, (2, Min)),
        (vec![window(Some(4_000), Some(1_000), 4)], 2, (2, Min)),
        (vec![window(Some(10_000), Some(1_000), 4), window(None, Some(5_001), 4)], 2, (4, Demand)),
        (vec![window(Some(10_000), Some(22_000), 8)], 9, (5, Demand)),
        (vec![window(None, Some(30_000), 4)], 2, (4, Lanes)),
        (vec![window(None, Some(300_000), 64)], 2, (10, Max)),
        (vec![window(Some(10_000), None, 4), window(None, Some(5_000), 4)], 6, (6, UnknownData)),
        (vec![window(Some(30_000), None, 8)], 2, (6, Demand)),
        (vec![window(None, None, 8)], 12, (10, Max)),
    ];
    let mut limits = BTreeSet::new();
    for (demands, current, expected) in cases {
        let Instances { to, limit, demand: _ } = instances(&SPEC, &demands, current);
        assert_eq!((to, limit), expected, "{demands:?}");
        limits.insert(limit);
    }
    assert_eq!(limits, InstancesLimit::ALL.into());
}

#[test]
fn the_edge_knows_no_lanes() {
    let edge = ComponentSpec { is_by_lane: false, ..SPEC };
    assert_eq!(instances(&edge, &[window(None, Some(30_000), 1)], 2).to, 6);
}

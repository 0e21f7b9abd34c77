//! The lead is learnt from starts and never shorter than the spec asks.

use pnyx_core::scaling::{History, LEAD_MS_MAX, STARTS_KEPT, ScalingPhase, ScalingSpec};

use crate::support::{OPENS_AT, Scene};

fn learnt(starts_ms: impl IntoIterator<Item = u64>) -> u64 {
    let mut history = History::default();
    starts_ms.into_iter().for_each(|start_ms| history.record_start(start_ms));
    history.lead_ms(&ScalingSpec::default())
}

#[test]
fn the_lead_is_what_nineteen_of_twenty_starts_took_and_a_quarter() {
    assert_eq!(learnt([]), 120_000, "nothing is known");
    assert_eq!(learnt([400_000, 400_000]), 120_000, "two starts say nothing");
    assert_eq!(learnt([40_000; 10]), 120_000, "never shorter than the spec asks");
    assert_eq!(learnt([400_000; 3]), 500_000);
    assert_eq!(learnt((1..=20).map(|minute| minute * 60_000)), 19 * 75_000);
    assert_eq!(learnt([u64::MAX; 3]), LEAD_MS_MAX);
}

#[test]
fn old_starts_are_forgotten() {
    let starts = std::iter::repeat_n(900_000, 5).chain(std::iter::repeat_n(200_000, STARTS_KEPT));
    assert_eq!(learnt(starts), 250_000);
}

#[test]
fn a_slow_cluster_warms_earlier() {
    let scene = Scene::new().at(OPENS_AT - 400_000);
    assert_eq!(scene.plan().phase, ScalingPhase::Idle);
    let slow = scene.with(|it| (0..3).for_each(|_| it.history.record_start(400_000)));
    assert_eq!(slow.plan().phase, ScalingPhase::Warming);
    assert_eq!(slow.plan().inputs.lead_ms, 500_000);
}

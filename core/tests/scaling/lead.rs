//! The lead is learnt from starts and never shorter than the spec asks.

use pnyx_core::{
    scaling::{
        History, LEAD_LEARNT_MS_MAX, Limit, Rate, RatePerShard, Remembered, START_AHEAD_MS_MAX, START_MS_MAX,
        STARTS_KEPT, ScalingPhase, ScalingSpec, Start, WARMING_KEPT_MS,
    },
    time::TimestampMs,
};

use crate::support::{OPENS_AT, Scene};

/// After all starts of these tests.
const NOW: TimestampMs = TimestampMs(1_000_000);

/// Starts that took so long, one a second.
fn starts(took_ms: impl IntoIterator<Item = u64>) -> impl Iterator<Item = Start> {
    (0..).map(|second| TimestampMs(second * 1_000)).zip(took_ms).map(|(at, took_ms)| Start { at, took_ms })
}

fn learnt(starts_ms: impl IntoIterator<Item = u64>) -> u64 {
    let mut history = History::default();
    starts(starts_ms).for_each(|start| history.record_start(start));
    history.lead_ms(&ScalingSpec::default())
}

#[test]
fn the_lead_is_what_nineteen_of_twenty_starts_took_and_a_quarter() {
    assert_eq!(learnt([]), 120_000, "nothing is known");
    assert_eq!(learnt([400_000, 400_000]), 120_000, "two starts say nothing");
    assert_eq!(learnt([40_000; 10]), 120_000, "never shorter than the spec asks");
    assert_eq!(learnt([400_000; 3]), 500_000);
    assert_eq!(learnt((1..=20).map(|minute| minute * 60_000)), 19 * 75_000);
    assert_eq!(learnt([u64::MAX; 3]), LEAD_LEARNT_MS_MAX, "no lead brings what took so long");
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
    let slow = scene.with(|it| starts([400_000; 3]).for_each(|start| it.history.record_start(start)));
    assert_eq!(slow.plan().phase, ScalingPhase::Warming);
    assert_eq!(slow.plan().inputs.lead_ms, 500_000);
}

#[test]
fn a_lead_that_turns_out_shorter_stops_nothing() {
    let slow = Scene::new().at(OPENS_AT - 400_000).with(|it| {
        starts([400_000; 3]).for_each(|start| it.history.record_start(start));
        it.observed.shards.desired = 0;
    });
    let warming = slow.plan();
    assert_eq!((warming.phase, warming.shards.to), (ScalingPhase::Warming, 2));
    let quick = slow.with(|it| {
        it.history.record(&warming);
        it.observed.shards.desired = 2;
        let later = (0..40).map(|second| Start { at: TimestampMs(1_000_000 + second), took_ms: 1_000 });
        later.for_each(|start| it.history.record_start(start));
        it.now += 5_000;
    });
    assert_eq!(quick.plan().inputs.lead_ms, 120_000);
    assert_eq!((quick.plan().phase, quick.plan().shards.to), (ScalingPhase::Warming, 2));
}

#[test]
fn an_operator_that_starts_again_knows_what_it_kept() {
    let scene = Scene::new().with(|it| {
        starts([400_000; 3]).for_each(|start| it.history.record_start(start));
        it.observed.rate_per_shard = Some(Rate::per_second(800));
        it.history.record(&it.plan());
    });
    let kept = scene.history.remembered().clone();
    assert_eq!(kept.reached, Some(ScalingPhase::Open));
    let again = scene.with(|it| {
        it.history = History::of(kept.clone(), TimestampMs(it.now));
        it.observed.rate_per_shard = None;
        it.observed.watching_since = TimestampMs(it.now);
        it.now += 5_000;
    });
    let plan = again.plan();
    assert_eq!(plan.inputs.lead_ms, 500_000);
    assert_eq!(plan.inputs.rate_per_shard, RatePerShard::Learnt(Rate::per_second(800)));
    assert_eq!(plan.shards.to, plan.shards.from, "nothing is given back at first");
    assert_eq!(again.history.remembered(), &kept);
}

#[test]
fn what_stands_in_status_and_cannot_be_is_left_out() {
    let nonsense = Remembered {
        starts: starts([0; 50]).chain(starts([200_000; 50])).collect(),
        rate_per_shard: Some(Rate::ZERO),
        reached: None,
    };
    let history = History::of(nonsense, NOW);
    assert_eq!(history.remembered().starts.len(), STARTS_KEPT);
    assert_eq!(history.remembered().rate_per_shard, None);
    assert_eq!(history.lead_ms(&ScalingSpec::default()), 250_000);
}

#[test]
fn a_new_proposal_begins_with_the_starts_of_all_others() {
    let of = |took_ms: u64| {
        let mut history = History::default();
        starts([took_ms; 20]).for_each(|start| history.record_start(start));
        history.remembered().clone()
    };
    let (slow, slower) = (of(200_000), of(400_000));
    let both = Remembered { rate_per_shard: Some(Rate::per_second(5)), ..slow.clone() };
    let new = Remembered::of_others([&both, &slower], NOW);
    assert_eq!((new.starts.len(), new.rate_per_shard, new.reached), (STARTS_KEPT, None, None));
    assert_eq!(History::of(new.clone(), NOW).lead_ms(&ScalingSpec::default()), 500_000);
    assert_eq!(Remembered::of_others([&slower, &both], NOW), new, "in any order");
    assert_eq!(Remembered::of_others([&slow, &slow], NOW).starts.len(), 20, "each once");
}

#[test]
fn starts_from_the_future_teach_nothing() {
    let ahead = |ms: u64| Start { at: NOW.saturating_add_ms(START_AHEAD_MS_MAX + ms), took_ms: 1_500_000 };
    let kept = Remembered { starts: vec![ahead(0), ahead(1), ahead(u64::MAX / 2)], ..Remembered::default() };
    assert_eq!(History::of(kept.clone(), NOW).remembered().starts, [ahead(0)]);
    assert_eq!(Remembered::of_others([&kept], NOW).starts, [ahead(0)]);
    // A clock that was ahead and is right again: what it noted is not the latest for ever.
    let mut history = History::default();
    history.record_start(ahead(1));
    history.record_start(Start { at: NOW, took_ms: 1_000 });
    assert_eq!(history.remembered().starts, [Start { at: NOW, took_ms: 1_000 }]);
}

#[test]
fn no_start_takes_longer_than_is_noted() {
    let endless = Remembered { starts: vec![Start { at: NOW, took_ms: u64::MAX }], ..Remembered::default() };
    assert_eq!(History::of(endless, NOW).remembered().starts, [Start { at: NOW, took_ms: START_MS_MAX }]);
}

/// Shards were started by a clock ahead, or by a lead that is shorter now.
#[test]
fn warming_that_began_too_early_ends_again() {
    let early = |before_ms: u64| {
        let opening = Scene::new().loaded(0, 0).at(OPENS_AT - 60_000);
        let warming = opening.plan();
        assert_eq!(warming.phase, ScalingPhase::Warming);
        opening.at(OPENS_AT - before_ms).with(|it| {
            it.history =
                History::of(Remembered { reached: Some(warming.phase), ..Remembered::default() }, TimestampMs(it.now));
        })
    };
    let lead_ms = 120_000;
    let near = early(lead_ms + WARMING_KEPT_MS);
    assert_eq!(near.plan().phase, ScalingPhase::Warming);
    let far = early(lead_ms + WARMING_KEPT_MS + 1);
    let plan = far.plan();
    assert_eq!((plan.phase, plan.shards.to, plan.shards.limit), (ScalingPhase::Idle, 4, Limit::JustFresh));
    let settled = far.settled().plan();
    assert_eq!((settled.phase, settled.shards.to), (ScalingPhase::Idle, 0), "given back by the rules of giving back");
}

#[test]
fn warming_that_ended_begins_again_only_with_the_lead() {
    let left = Scene::new().at(OPENS_AT - 3_600_000).with(|it| {
        let reached = Some(ScalingPhase::Open);
        it.history = History::of(Remembered { reached, ..Remembered::default() }, TimestampMs(it.now));
        it.history.record(&it.plan());
    });
    assert_eq!(left.history.remembered().reached, Some(ScalingPhase::Idle));
    let mut nearer = left;
    nearer.now = OPENS_AT - 300_000;
    assert_eq!(nearer.plan().phase, ScalingPhase::Idle);
    nearer.now = OPENS_AT - 120_000;
    assert_eq!(nearer.plan().phase, ScalingPhase::Warming);
}

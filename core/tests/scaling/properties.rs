//! What holds for every plan, whatever is observed.

use pnyx_core::{
    scaling::{
        Data, FRESH_MS, History, Limit, Observed, PartitionLoad, Plan, REBALANCE_MS_MAX, Rate, ReplicasOwner,
        STABILIZATION_MS, Sample, ScalingParts, ScalingPhase, ScalingSpec, Shards, plan,
    },
    time::TimestampMs,
};
use proptest::prelude::*;

use crate::support::{CLOSES_AT, OPENS_AT, window};

fn any_spec() -> impl Strategy<Value = ScalingSpec> {
    let shards = (0_u32..20, 0_u32..20, 1_u32..40);
    let rates = (10_u32..=100, prop::option::of(1_u64..60_000), 1_u64..30_000);
    let partitions = (1_u32..60, 0_u32..60);
    let words = (any::<bool>(), prop::option::weighted(0.1, 0_u32..60));
    (shards, rates, partitions, words, 0_u64..600_000, 10_000_u64..600_000).prop_map(
        |((min, more_warm, more_max), (percent, peak, rate), (initial, more), (hold, shards), lead_ms, target_ms)| {
            let warm = min.max(1) + more_warm;
            let max = warm + more_max;
            let parts = ScalingParts {
                min_shards: min,
                max_shards: max,
                warm_shards: Some(warm),
                shards: shards.map(|shards| shards.min(max)),
                lead_ms,
                catch_up_target_ms: target_ms,
                utilization_percent: percent,
                expected_peak: peak.map(Rate::per_second),
                rate_per_shard: Rate::per_second(rate),
                partitions_initial: Some(initial),
                partitions_max: Some(initial.max(max) + more),
                hold,
            };
            ScalingSpec::new(&parts).expect("made to keep the rules")
        },
    )
}

/// The same spec with something changed.
fn with(spec: &ScalingSpec, change: impl FnOnce(&mut ScalingParts)) -> ScalingSpec {
    let mut parts = ScalingParts {
        min_shards: spec.min_shards(),
        max_shards: spec.max_shards(),
        warm_shards: Some(spec.warm_shards()),
        shards: spec.shards(),
        lead_ms: spec.lead_ms(),
        catch_up_target_ms: spec.catch_up_target_ms(),
        utilization_percent: spec.utilization_percent(),
        expected_peak: spec.expected_peak(),
        rate_per_shard: spec.rate_per_shard(),
        partitions_initial: Some(spec.partitions_initial()),
        partitions_max: Some(spec.partitions_max()),
        hold: spec.hold(),
    };
    change(&mut parts);
    ScalingSpec::new(&parts).expect("still keeps the rules")
}

/// Any instant from long before the window to long after it, often next to a turn.
fn any_now() -> impl Strategy<Value = u64> {
    let near = |turn: u64| turn - 20_000..turn + 20_000;
    prop_oneof![OPENS_AT - 2_000_000..CLOSES_AT + 2_000_000, near(OPENS_AT), near(CLOSES_AT), near(CLOSES_AT - 120_000),]
}

fn any_load() -> impl Strategy<Value = PartitionLoad> {
    let backlog = prop_oneof![Just(0), 0_u64..100_000, Just(u64::MAX)];
    let arrival = prop_oneof![Just(0), 0_u64..10_000_000, Just(u64::MAX)];
    (backlog, arrival).prop_map(|(backlog, arrival)| PartitionLoad { backlog, arrival: Rate::from_milli(arrival) })
}

fn any_observed() -> impl Strategy<Value = (Observed, u64)> {
    let sample = prop::option::of((0_u64..40_000, prop::collection::vec(any_load(), 0..30)));
    let rate = prop::option::of(prop_oneof![Just(0), 1_u64..100_000_000, Just(u64::MAX)]);
    let shards = (0_u32..80, 0_u32..80);
    let rebalancing = prop::option::of(0_u64..1_200_000);
    let owner = prop_oneof![9 => Just(ReplicasOwner::Operator), 1 => Just(ReplicasOwner::Other)];
    let fact = || prop::option::weighted(0.8, any::<bool>());
    let facts = (rebalancing, fact(), fact(), owner);
    (any_now(), sample, rate, shards, 0_u32..60, 0_u64..400_000, facts).prop_map(
        |(now, sample, rate, (desired, ready), partitions, watched_ms, (rebalanced_ms, has_cut, is_drained, owner))| {
            let sample = sample.map(|(age_ms, partitions)| Sample { taken_at: TimestampMs(now - age_ms), partitions });
            let observed = Observed {
                sample,
                rate_per_shard: rate.map(Rate::from_milli),
                shards: Shards { desired, ready },
                owner,
                partitions,
                rebalancing_since: rebalanced_ms.map(|ago_ms| TimestampMs(now - ago_ms)),
                watching_since: TimestampMs(now - watched_ms),
                has_cut,
                is_drained,
            };
            (observed, now)
        },
    )
}

/// A past in which plans were made of the same or other data, some seconds apart, up to `now`.
fn past(spec: &ScalingSpec, observed: &Observed, now: u64, steps: &[(u64, u64)]) -> History {
    let mut history = History::default();
    let total_ms: u64 = steps.iter().map(|(wait_s, _)| wait_s * 1_000).sum();
    let mut then = now - total_ms;
    for (wait_s, arrival) in steps {
        let mut earlier = observed.clone();
        if let Some(sample) = earlier.sample.as_mut() {
            sample.taken_at = TimestampMs(then);
            sample.partitions.iter_mut().for_each(|load| {
                *load = PartitionLoad { backlog: 0, arrival: Rate::per_second(*arrival) };
            });
        }
        history.record(&plan(spec, &window(), &earlier, &history, TimestampMs(then)));
        then += wait_s * 1_000;
    }
    history
}

prop_compose! {
    fn any_scene()(
        spec in any_spec(),
        (observed, now) in any_observed(),
        steps in prop::collection::vec((1_u64..20, 0_u64..5_000), 0..40),
    ) -> (ScalingSpec, Observed, History, u64) {
        let history = past(&spec, &observed, now, &steps);
        (spec, observed, history, now)
    }
}

fn applied(observed: &Observed, plan: &Plan) -> Observed {
    let shards = Shards { desired: plan.shards.to, ready: observed.shards.ready };
    Observed { shards, partitions: plan.partitions.to, ..observed.clone() }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn never_above_what_is_allowed((spec, observed, history, now) in any_scene()) {
        let plan = plan(&spec, &window(), &observed, &history, TimestampMs(now));
        if observed.owner == ReplicasOwner::Operator {
            prop_assert!(plan.shards.to <= spec.max_shards());
            prop_assert!(plan.shards.to <= plan.partitions.to.max(observed.shards.desired));
        }
        prop_assert!(plan.partitions.to >= observed.partitions);
        prop_assert!(plan.partitions.to <= spec.partitions_max().max(observed.partitions));
        prop_assert!(plan.look_again_at > plan.at);
    }

    #[test]
    fn never_below_the_floor_from_warming_to_the_drain((spec, mut observed, history, now) in any_scene()) {
        observed.owner = ReplicasOwner::Operator;
        let plan = plan(&spec, &window(), &observed, &history, TimestampMs(now));
        let floor = match plan.phase {
            ScalingPhase::Idle => spec.min_shards(),
            ScalingPhase::Warming | ScalingPhase::Open | ScalingPhase::Closing | ScalingPhase::Draining => {
                spec.warm_shards()
            }
            ScalingPhase::Drained => 0,
        };
        // What is not known to be over is left as it is.
        let is_unknown = plan.shards.limit == Limit::UnknownDrain;
        // A shard without a partition verifies nothing.
        prop_assert!(is_unknown || plan.shards.to >= floor.min(plan.partitions.to));
        if plan.shards.to == 0 && !is_unknown {
            prop_assert!(matches!(plan.phase, ScalingPhase::Drained | ScalingPhase::Idle));
        }
    }

    #[test]
    fn wrong_or_new_data_never_scales_down((spec, observed, history, now) in any_scene()) {
        let plan = plan(&spec, &window(), &observed, &history, TimestampMs(now));
        let kept = observed.shards.desired.min(spec.max_shards());
        if spec.hold() {
            prop_assert!(plan.shards.to >= kept);
        }
        if plan.phase == ScalingPhase::Drained || spec.shards().is_some() {
            return Ok(());
        }
        let age_ms = observed.sample.as_ref().map(|sample| now - sample.taken_at.0);
        let sampled = observed.sample.as_ref().map_or(0, |sample| sample.partitions.len());
        let is_whole = sampled >= 1.max(observed.partitions as usize);
        let is_known = is_whole && age_ms.is_some_and(|age_ms| age_ms <= FRESH_MS);
        prop_assert_eq!(is_known, matches!(plan.inputs.data, Data::Fresh { .. }));
        let is_new = now - observed.watching_since.0 < STABILIZATION_MS;
        let is_edge = matches!(plan.phase, ScalingPhase::Warming | ScalingPhase::Closing);
        let is_rebalancing =
            observed.rebalancing_since.is_some_and(|since| now - since.0 < REBALANCE_MS_MAX);
        if !is_known || is_new || is_edge || is_rebalancing || history == History::default() {
            prop_assert!(plan.shards.to >= kept, "{}", plan);
        }
    }

    #[test]
    fn an_applied_plan_changes_nothing_more((spec, observed, mut history, now) in any_scene()) {
        let first = plan(&spec, &window(), &observed, &history, TimestampMs(now));
        let applied = applied(&observed, &first);
        let again = plan(&spec, &window(), &applied, &history, TimestampMs(now));
        prop_assert_eq!((again.shards.to, again.partitions.to), (first.shards.to, first.partitions.to));
        history.record(&first);
        let noted = plan(&spec, &window(), &applied, &history, TimestampMs(now));
        prop_assert_eq!((noted.shards.to, noted.partitions.to), (first.shards.to, first.partitions.to));
        let mut twice = history.clone();
        twice.record(&first);
        prop_assert_eq!(twice, history);
    }

    #[test]
    fn a_larger_backlog_never_asks_for_less(
        (spec, observed, history, now) in any_scene(),
        more in prop::collection::vec(0_u64..1_000_000, 30),
    ) {
        let mut fuller = observed.clone();
        if let Some(sample) = fuller.sample.as_mut() {
            for (load, more) in sample.partitions.iter_mut().zip(more) {
                load.backlog = load.backlog.saturating_add(more);
            }
        }
        let less = plan(&spec, &window(), &observed, &history, TimestampMs(now));
        let more = plan(&spec, &window(), &fuller, &history, TimestampMs(now));
        prop_assert!(more.shards.to >= less.shards.to, "{less}\n{more}");
        prop_assert!(more.partitions.to >= less.partitions.to);
    }

    #[test]
    fn what_another_scaler_owns_is_left_alone((spec, mut observed, history, now) in any_scene()) {
        observed.owner = ReplicasOwner::Other;
        let plan = plan(&spec, &window(), &observed, &history, TimestampMs(now));
        prop_assert_eq!(plan.shards.to, observed.shards.desired);
        prop_assert_eq!(plan.shards.limit, Limit::ExternalScaler);
    }

    #[test]
    fn as_many_as_the_resource_says((spec, mut observed, history, now) in any_scene(), shards in 0_u32..60) {
        observed.owner = ReplicasOwner::Operator;
        let shards = shards.min(spec.max_shards());
        let spec = with(&spec, |parts| (parts.shards, parts.hold) = (Some(shards), false));
        let plan = plan(&spec, &window(), &observed, &history, TimestampMs(now));
        let kept = observed.shards.desired.min(spec.max_shards());
        let expected = match plan.phase {
            ScalingPhase::Drained => return Ok(()),
            ScalingPhase::Draining if observed.has_cut.is_none() || observed.is_drained.is_none() => return Ok(()),
            _ => shards.max(plan.candidates.floor).min(plan.partitions.to.max(kept)),
        };
        prop_assert_eq!(plan.shards.to, expected, "{}", plan);
    }

    #[test]
    fn a_window_that_may_be_drained_is_left_as_it_is(
        (spec, mut observed, history, _) in any_scene(),
        after_ms in 0_u64..2_000_000,
        is_cut in any::<bool>(),
    ) {
        observed.owner = ReplicasOwner::Operator;
        (observed.has_cut, observed.is_drained) = (is_cut.then_some(true), None);
        let plan = plan(&spec, &window(), &observed, &history, TimestampMs(CLOSES_AT + after_ms));
        prop_assert_eq!(plan.shards.to, observed.shards.desired.min(spec.max_shards()));
        prop_assert_eq!(plan.partitions.to, observed.partitions);
    }

    #[test]
    fn one_busy_partition_asks_for_one_shard(
        spec in any_spec(),
        partitions in 3_usize..30,
        load in any_load(),
        mut observed in any_observed(),
    ) {
        let spec = with(&spec, |parts| (parts.expected_peak, parts.shards) = (None, None));
        let mut loads = vec![PartitionLoad::default(); partitions];
        loads[partitions / 2] = load;
        let now = TimestampMs((OPENS_AT + CLOSES_AT) / 2);
        observed.0.sample = Some(Sample { taken_at: now, partitions: loads });
        observed.0.partitions = u32::try_from(partitions).unwrap();
        (observed.0.has_cut, observed.0.rebalancing_since) = (Some(false), None);
        let plan = plan(&spec, &window(), &observed.0, &History::default(), now);
        prop_assert!(plan.candidates.need_milli.is_some_and(|milli| milli <= 1_000), "{}", plan);
        prop_assert!(plan.shards.wanted <= plan.candidates.floor, "{}", plan);
        prop_assert!(plan.partitions.to <= observed.0.partitions.max(spec.partitions_initial()).max(2 * spec.max_shards()));
    }

    #[test]
    fn no_more_is_wanted_than_partitions_are_there((spec, observed, history, now) in any_scene()) {
        let plan = plan(&spec, &window(), &observed, &history, TimestampMs(now));
        prop_assert!(plan.shards.wanted <= plan.partitions.to);
    }

    #[test]
    fn a_plan_is_the_same_of_the_same_and_explains_itself((spec, observed, history, now) in any_scene()) {
        let first = plan(&spec, &window(), &observed, &history, TimestampMs(now));
        prop_assert_eq!(first, plan(&spec, &window(), &observed, &history, TimestampMs(now)));
        prop_assert!(!first.shards_reason().is_empty());
        let is_held = first.shards.to > first.shards.wanted && first.shards.to <= first.shards.from;
        let holds = [
            Limit::Hold, Limit::UnknownData, Limit::JustStarted, Limit::JustFresh, Limit::Warming, Limit::Closing,
            Limit::Draining, Limit::Rebalance, Limit::Stabilizing, Limit::Room, Limit::Little, Limit::MaxShards,
            Limit::Partitions, Limit::ExternalScaler, Limit::Stated, Limit::UnknownDrain, Limit::Floor,
        ];
        prop_assert!(!is_held || holds.contains(&first.shards.limit), "{}", first);
    }
}

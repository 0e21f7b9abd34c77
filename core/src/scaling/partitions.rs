//! The choice of a number of partitions. They are never taken away.

use super::{GROW_BEFORE_CLOSE_MS, PartitionsChoice, PartitionsLimit, ScalingPhase, ScalingSpec};
use crate::time::{TimestampMs, Window};

/// As many partitions as `shards` could use, and twice that where they must grow: a vote should see one growth and not
/// one with every jump.
pub(super) fn choose(
    spec: &ScalingSpec,
    window: &Window,
    phase: ScalingPhase,
    shards: u32,
    from: u32,
    now: TimestampMs,
) -> PartitionsChoice {
    // More partitions than shards can ever read them would be of no use.
    let useful = shards.min(spec.max_shards());
    let is_missing = useful > from;
    let roomy = if is_missing { useful.saturating_mul(2) } else { 0 };
    let goal = roomy.max(spec.partitions_initial()).min(spec.partitions_max());
    let is_late = now.saturating_add_ms(GROW_BEFORE_CLOSE_MS) > window.closes_at();
    let (to, limit) = match phase {
        ScalingPhase::Draining | ScalingPhase::Drained => {
            (from, if is_missing { PartitionsLimit::Closed } else { PartitionsLimit::Enough })
        }
        _ if from == 0 => (goal_at_first(spec, goal), PartitionsLimit::Created),
        ScalingPhase::Idle | ScalingPhase::Warming | ScalingPhase::Open | ScalingPhase::Closing => {
            if goal <= from {
                (from, PartitionsLimit::Enough)
            } else if is_late {
                (from, PartitionsLimit::NearClose)
            } else {
                (goal, PartitionsLimit::Grown)
            }
        }
    };
    PartitionsChoice { from, to, limit }
}

/// A topic that is made can have what the expected peak needs at once.
fn goal_at_first(spec: &ScalingSpec, goal: u32) -> u32 {
    let planned = spec.rate_per_shard().percent(spec.utilization_percent());
    let peak = spec.expected_peak().map_or(0, |peak| peak.instances_of(planned)).min(spec.max_shards());
    goal.max(peak).min(spec.partitions_max()).max(1)
}

//! The choice of a number of partitions. They are never taken away.

use super::{GROW_BEFORE_CLOSE_MS, PartitionsChoice, PartitionsLimit, ScalingPhase, ScalingSpec};
use crate::time::{TimestampMs, Window};

/// As many partitions as `shards` could use, and twice that where they must grow: a vote should see one growth and not
/// one with every jump. A topic that is made has as many as the spec says it has at first, and grows at once only if more
/// shards than that are there or wanted already.
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
    let is_missing = useful > if from == 0 { spec.partitions_initial() } else { from };
    let roomy = if is_missing { useful.saturating_mul(2) } else { 0 };
    let goal = roomy.max(spec.partitions_initial()).min(spec.partitions_max());
    let is_late = now.saturating_add_ms(GROW_BEFORE_CLOSE_MS) > window.closes_at();
    let (to, limit) = match phase {
        ScalingPhase::Draining | ScalingPhase::Drained => {
            (from, if is_missing { PartitionsLimit::Closed } else { PartitionsLimit::Enough })
        }
        _ if from == 0 => (goal.max(1), PartitionsLimit::Created),
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

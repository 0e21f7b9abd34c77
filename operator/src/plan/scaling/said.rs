//! What conditions say of a proposal's scaling. No number stands in them that changes by itself: each change is a write.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use pnyx_core::scaling::{Data, Plan, ScalingPhase, URGENT_PERCENT};
use pnyx_crds::conditions::{proposal as types, reasons};

use crate::status::{Said, State};

/// What follows from a plan; `before` is what status says, because who was behind is behind until it has caught up for sure.
pub(super) fn conditions(plan: &Plan, before: &[Condition]) -> Vec<(&'static str, Said)> {
    let was_behind = before.iter().any(|said| said.type_ == types::CAUGHT_UP && said.reason == reasons::BEHIND);
    vec![
        (types::PREWARMED, prewarmed(plan)),
        (types::CAUGHT_UP, caught_up(plan, was_behind)),
        (types::SCALING_DATA_FRESH, data_fresh(plan)),
    ]
}

/// Whether the shards that the spec alone asks for work.
fn prewarmed(plan: &Plan) -> Said {
    let stated = plan.candidates.floor.max(plan.candidates.peak.unwrap_or_default());
    match plan.phase {
        ScalingPhase::Idle => Said::new(false, reasons::WAITING_FOR_LEAD, "the lead before the opening has not begun"),
        ScalingPhase::Drained => Said::new(true, reasons::NOT_NEEDED, "everything is verified"),
        ScalingPhase::Draining => Said::new(true, reasons::NOT_NEEDED, "the window is over"),
        ScalingPhase::Warming | ScalingPhase::Open | ScalingPhase::Closing if plan.inputs.ready >= stated => {
            Said::new(true, reasons::AS_EXPECTED, "")
        }
        ScalingPhase::Warming | ScalingPhase::Open | ScalingPhase::Closing => {
            Said::new(false, reasons::WARMING, "shards are starting")
        }
    }
}

fn caught_up(plan: &Plan, was_behind: bool) -> Said {
    match plan.phase {
        ScalingPhase::Idle | ScalingPhase::Warming => {
            return Said::new(true, reasons::NOT_NEEDED, "the window has not opened");
        }
        ScalingPhase::Drained => return Said::new(true, reasons::AS_EXPECTED, "everything is verified"),
        ScalingPhase::Open | ScalingPhase::Closing | ScalingPhase::Draining => {}
    }
    // Between what is measured and what is sure it stays as it was.
    let percent = if was_behind { 100 } else { URGENT_PERCENT };
    let (Some(is_behind), Some(backlog)) =
        (plan.inputs.is_behind(percent).filter(|_| plan.inputs.data.is_fresh()), plan.inputs.backlog)
    else {
        return Said::new(State::Unknown, reasons::STALE, "how many ballots wait is not known");
    };
    if !is_behind {
        return Said::new(true, reasons::AS_EXPECTED, "");
    }
    let message = format!("{} wait, more than the catch-up target allows", magnitude(backlog));
    Said::new(false, reasons::BEHIND, message)
}

/// `tens of thousands of ballots`: a word that changes only when a backlog is ten times another.
const fn magnitude(backlog: u64) -> &'static str {
    match backlog {
        0..1_000 => "some ballots",
        1_000..10_000 => "thousands of ballots",
        10_000..100_000 => "tens of thousands of ballots",
        100_000..1_000_000 => "hundreds of thousands of ballots",
        1_000_000.. => "millions of ballots",
    }
}

fn data_fresh(plan: &Plan) -> Said {
    match plan.phase {
        ScalingPhase::Idle => return Said::new(true, reasons::NOT_NEEDED, "nothing is decided by samples yet"),
        ScalingPhase::Drained => return Said::new(true, reasons::NOT_NEEDED, "nothing is decided by samples any more"),
        ScalingPhase::Warming | ScalingPhase::Open | ScalingPhase::Closing | ScalingPhase::Draining => {}
    }
    match plan.inputs.data {
        Data::Fresh { .. } => Said::new(true, reasons::AS_EXPECTED, ""),
        Data::Stale { .. } => Said::new(false, reasons::STALE, "the last sample of the log is too old"),
        Data::Partial { .. } => Said::new(false, reasons::STALE, "the last sample of the log lacks partitions"),
        Data::Missing => Said::new(false, reasons::STALE, "there is no sample of the log"),
    }
}

//! What status says of a decision, and when that is written.
//!
//! Rates, ages and backlogs change at every look, and 500 open proposals are looked at every few seconds. So the decision that
//! stands in status stays there, to the letter, until one of these: the choice or the phase is another (written at once), or
//! it is a minute old and the limit, the quality of the data, what is remembered, or a number by more than half has changed.

use kube::core::DynamicObject;
use pnyx_core::{
    scaling::{Plan, Remembered, ScalingSpec},
    time::TimestampMs,
};
use pnyx_crds::{ScalingRemembered, ScalingStatus, remembered, remembered_status, scaling_status};
use serde::Deserialize as _;

use crate::clock::since_epoch;

/// How long what status says stands where the choice is the same: one write a minute and proposal is what the API server is
/// asked to bear.
const STANDS_MS: u64 = 60_000;

/// A number that changed by less than this is told as it was: ballots that come and go.
const STEP_MIN: i64 = 100;

/// What a proposal's status remembers, for others.
pub fn remembered_of(object: &DynamicObject) -> Option<Remembered> {
    let kept = object.data.pointer("/status/scaling/remembered")?;
    Some(remembered(&ScalingRemembered::deserialize(kept).ok()?))
}

/// What status says from now on: this decision, or still the one before.
pub(super) fn said(plan: &Plan, learnt: &Remembered, before: Option<&ScalingStatus>) -> ScalingStatus {
    let now = ScalingStatus { remembered: remembered_status(learnt), ..scaling_status(plan) };
    match before {
        Some(before) if !is_worth_writing(before, &now, plan.at) => before.clone(),
        Some(_) | None => now,
    }
}

/// The lead, where starts taught that it must be longer than the spec says.
pub(super) fn learnt_lead(spec: &ScalingSpec, lead_ms: u64) -> Option<String> {
    (lead_ms > spec.lead_ms()).then(|| format!("{}s", lead_ms.div_ceil(1_000)))
}

fn is_worth_writing(before: &ScalingStatus, now: &ScalingStatus, at: TimestampMs) -> bool {
    let choice = |status: &ScalingStatus| (status.shards.to, status.partitions.to);
    if choice(before) != choice(now) || before.phase != now.phase {
        return true;
    }
    // What was decided in the future, by another clock, stands no longer.
    let stands = before.decided_at.parse().is_ok_and(|decided: jiff::Timestamp| {
        let decided = since_epoch(decided);
        decided <= at && at.saturating_since_ms(decided) < STANDS_MS
    });
    !stands && is_other(before, now)
}

fn is_other(before: &ScalingStatus, now: &ScalingStatus) -> bool {
    let words = |status: &ScalingStatus| {
        let ScalingStatus { shards, partitions, inputs, .. } = status;
        (shards.limit.clone(), partitions.limit.clone(), inputs.data.clone(), inputs.is_rate_measured)
    };
    let numbers = |status: &ScalingStatus| {
        let inputs = &status.inputs;
        [inputs.arrivals_per_second, inputs.backlog, inputs.fullest_partition, inputs.rate_per_shard]
    };
    let starts = |status: &ScalingStatus| status.remembered.as_ref().map_or_else(Vec::new, |kept| kept.starts.clone());
    let is_step = numbers(before).into_iter().zip(numbers(now)).any(|(before, now)| is_step(before, now));
    words(before) != words(now) || starts(before) != starts(now) || is_step
}

/// Whether a number changed by more than half, and not only by a few.
fn is_step(before: Option<i64>, now: Option<i64>) -> bool {
    match (before, now) {
        (Some(before), Some(now)) => {
            let (least, most) = (before.min(now), before.max(now));
            most.saturating_sub(least) > (least / 2).max(STEP_MIN)
        }
        (None, None) => false,
        (Some(_), None) | (None, Some(_)) => true,
    }
}

//! A scaling plan as status shows it.

use jiff::Timestamp;
use pnyx_core::{
    scaling::{Candidate, Candidates, Inputs, Plan, Rate, RatePerShard, Remembered, ScalingPhase, Start},
    time::TimestampMs,
};

use crate::{ScalingCandidate, ScalingChoice, ScalingInputs, ScalingRemembered, ScalingStart, ScalingStatus};

/// Everything that led to `plan`, and what it chose; nothing is remembered in it yet. Numbers that are larger than a resource can hold are held at the largest.
pub fn scaling_status(plan: &Plan) -> ScalingStatus {
    let Plan { at, phase, inputs, candidates, shards, partitions, .. } = plan;
    ScalingStatus {
        decided_at: timestamp(*at),
        phase: phase.name().to_owned(),
        message: plan.to_string(),
        inputs: inputs_of(inputs),
        candidates: candidates_of(candidates),
        shards: ScalingChoice {
            from: shards.from.into(),
            to: shards.to.into(),
            wanted: Some(shards.wanted.into()),
            limit: shards.limit.name().to_owned(),
        },
        partitions: ScalingChoice {
            from: partitions.from.into(),
            to: partitions.to.into(),
            wanted: None,
            limit: partitions.limit.name().to_owned(),
        },
        remembered: None,
    }
}

/// What was learnt, as status keeps it; nothing if nothing was.
pub fn remembered_status(remembered: &Remembered) -> Option<ScalingRemembered> {
    let Remembered { starts, rate_per_shard, reached } = remembered;
    let start = |Start { at, took_ms }: &Start| ScalingStart { at: timestamp(*at), took_ms: held(*took_ms) };
    let status = ScalingRemembered {
        starts: starts.iter().map(start).collect(),
        rate_per_shard_milli: rate_per_shard.map(|rate| held(rate.milli())),
        reached: reached.map(|phase| phase.name().to_owned()),
    };
    (status != ScalingRemembered::default()).then_some(status)
}

/// What status kept. What cannot be read is left out: anybody can write a status.
pub fn remembered(status: &ScalingRemembered) -> Remembered {
    let ScalingRemembered { starts, rate_per_shard_milli, reached } = status;
    let start = |ScalingStart { at, took_ms }: &ScalingStart| {
        let at = u64::try_from(at.parse::<Timestamp>().ok()?.as_millisecond()).ok()?;
        Some(Start { at: TimestampMs(at), took_ms: u64::try_from(*took_ms).ok()? })
    };
    Remembered {
        starts: starts.iter().filter_map(start).collect(),
        rate_per_shard: rate_per_shard_milli.and_then(|milli| u64::try_from(milli).ok()).map(Rate::from_milli),
        reached: reached.as_deref().and_then(ScalingPhase::named),
    }
}

fn timestamp(at: TimestampMs) -> String {
    Timestamp::from_millisecond(held(at.0)).unwrap_or(Timestamp::MAX).to_string()
}

fn inputs_of(inputs: &Inputs) -> ScalingInputs {
    ScalingInputs {
        data: inputs.data.quality().name().to_owned(),
        sample_age_seconds: inputs.data.age_ms().map(|age_ms| held(age_ms.div_ceil(1_000))),
        arrivals_per_second: inputs.arrival.map(per_second),
        backlog: inputs.backlog.map(held),
        fullest_partition: inputs.fullest_backlog.map(held),
        rate_per_shard: Some(per_second(inputs.rate_per_shard.rate())),
        is_rate_measured: match inputs.rate_per_shard {
            RatePerShard::Measured(_) | RatePerShard::Bounded(_) | RatePerShard::Learnt(_) => true,
            RatePerShard::Stated(_) => false,
        },
        utilization_percent: Some(inputs.utilization_percent.into()),
        catch_up_seconds: Some(held(inputs.catch_up_ms.div_ceil(1_000))),
        lead_seconds: Some(held(inputs.lead_ms.div_ceil(1_000))),
        shards_ready: Some(inputs.ready.into()),
    }
}

fn candidates_of(candidates: &Candidates) -> Vec<ScalingCandidate> {
    let told = |(candidate, shards): (Candidate, u32)| ScalingCandidate {
        name: candidate.name().to_owned(),
        shards: shards.into(),
    };
    candidates.known().map(told).collect()
}

/// Whole ballots a second, rounded up.
fn per_second(rate: Rate) -> i64 {
    held(rate.milli().div_ceil(1_000))
}

fn held(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

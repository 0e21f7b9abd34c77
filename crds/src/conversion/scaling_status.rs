//! A scaling plan as status shows it.

use jiff::Timestamp;
use pnyx_core::scaling::{Candidates, Data, Inputs, Plan, Rate, RatePerShard};

use crate::{ScalingCandidate, ScalingChoice, ScalingInputs, ScalingStatus};

/// Everything that led to `plan`, and what it chose. Numbers that are larger than a resource can hold are held at the largest.
pub fn scaling_status(plan: &Plan) -> ScalingStatus {
    let Plan { at, phase, inputs, candidates, shards, partitions, .. } = plan;
    let decided_at = Timestamp::from_millisecond(held(at.0)).unwrap_or(Timestamp::MAX);
    ScalingStatus {
        decided_at: decided_at.to_string(),
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
    }
}

fn inputs_of(inputs: &Inputs) -> ScalingInputs {
    let data = match inputs.data {
        Data::Fresh { .. } => "fresh",
        Data::Stale { .. } => "stale",
        Data::Partial { .. } => "partial",
        Data::Missing => "missing",
    };
    ScalingInputs {
        data: data.to_owned(),
        arrivals_per_second: inputs.arrival.map(per_second),
        backlog: inputs.backlog.map(held),
        fullest_partition: inputs.fullest_backlog.map(held),
        rate_per_shard: Some(per_second(inputs.rate_per_shard.rate())),
        is_rate_measured: match inputs.rate_per_shard {
            RatePerShard::Measured(_) | RatePerShard::Bounded(_) | RatePerShard::Learnt(_) => true,
            RatePerShard::Stated(_) => false,
        },
        catch_up_seconds: Some(held(inputs.catch_up_ms.div_ceil(1_000))),
        lead_seconds: Some(held(inputs.lead_ms.div_ceil(1_000))),
        shards_ready: Some(inputs.ready.into()),
    }
}

/// The considerations that asked for something, by the names that limits have.
fn candidates_of(candidates: &Candidates) -> Vec<ScalingCandidate> {
    let Candidates { floor, peak, need_milli: _, arrivals, backlog, fullest, urgent, roomy, recent } = *candidates;
    let named = [
        ("floor", Some(floor)),
        ("peak", peak),
        ("arrivals", arrivals),
        ("backlog", backlog),
        ("fullestPartition", fullest),
        ("urgent", urgent),
        ("room", roomy),
        ("recent", Some(recent)),
    ];
    let known = named.into_iter().filter_map(|(name, shards)| Some((name, shards?)));
    known.map(|(name, shards)| ScalingCandidate { name: name.to_owned(), shards: shards.into() }).collect()
}

/// Whole ballots a second, rounded up.
fn per_second(rate: Rate) -> i64 {
    held(rate.milli().div_ceil(1_000))
}

fn held(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

//! The replay as one JSON document, for programs. Rates are ballots per second, times seconds after the opening.

use pnyx_core::scaling::{
    Candidates, Inputs, Plan, Rate, RatePerShard,
    simulation::{Broker, Decision, Moment, Replay, Scenario, Summary},
};
use serde_json::{Value, json};

use super::Trial;

/// What `--json` prints.
pub(super) fn document(trial: &Trial, replay: &Replay) -> Value {
    let Trial { name, scenario } = trial;
    let Scenario { spec, window: _, curve: _, cluster, restarts: _ } = scenario;
    json!({
        "proposal": name,
        "windowSeconds": scenario.window_s(),
        "warmShards": spec.warm_shards(),
        "maxShards": spec.max_shards(),
        "cluster": {
            "ratePerShard": rate(cluster.rate_per_shard),
            "startUpSeconds": cluster.start_up_s,
            "rebalancePauseSeconds": cluster.rebalance_pause_s,
            "sampleEverySeconds": cluster.sample_every_s,
            "commitLagSeconds": cluster.commit_lag_s,
            "hotPartitionPercent": cluster.hot_partition_percent,
            "noisePercent": cluster.noise_percent,
            "noiseSeed": cluster.noise_seed,
        },
        "decisions": replay.decisions.iter().map(decision).collect::<Vec<_>>(),
        "moments": changes(&replay.moments).map(moment).collect::<Vec<_>>(),
        "summary": summary(&replay.summary),
    })
}

/// The moments that differ from the one before; what is left out is as the one before it.
fn changes(moments: &[Moment]) -> impl Iterator<Item = &Moment> {
    let is_same = |earlier: &Moment, later: &Moment| Moment { second: earlier.second, ..*later } == *earlier;
    moments.iter().enumerate().filter_map(move |(index, moment)| {
        let earlier = index.checked_sub(1).and_then(|earlier| moments.get(earlier));
        earlier.is_none_or(|earlier| !is_same(earlier, moment)).then_some(moment)
    })
}

fn moment(moment: &Moment) -> Value {
    json!({
        "second": moment.second,
        "phase": moment.phase.name(),
        "arrivals": rate(moment.arrivals),
        "backlog": moment.backlog,
        "fullestBacklog": moment.fullest_backlog,
        "shards": moment.shards,
        "ready": moment.ready,
        "partitions": moment.partitions,
        "limit": moment.limit.name(),
        "brokerAway": moment.broker == Broker::Away,
    })
}

fn decision(Decision { second, plan }: &Decision) -> Value {
    let Plan { at: _, phase, inputs, candidates, shards, partitions, .. } = plan;
    json!({
        "second": second,
        "phase": phase.name(),
        "inputs": inputs_of(inputs),
        "candidates": candidates_of(candidates),
        "shards": {"from": shards.from, "to": shards.to, "wanted": shards.wanted, "limit": shards.limit.name()},
        "partitions": {"from": partitions.from, "to": partitions.to, "limit": partitions.limit.name()},
        "why": plan.to_string(),
    })
}

fn inputs_of(inputs: &Inputs) -> Value {
    let Inputs {
        data,
        arrival,
        backlog,
        fullest_backlog,
        overfull,
        rate_per_shard,
        utilization_percent,
        catch_up_ms,
        in_flight_ms,
        is_settling,
        lead_ms,
        ready,
    } = inputs;
    let source = match rate_per_shard {
        RatePerShard::Measured(_) => "measured",
        RatePerShard::Bounded(_) => "bounded",
        RatePerShard::Learnt(_) => "learnt",
        RatePerShard::Stated(_) => "stated",
    };
    json!({
        "data": data.quality().name(),
        "sampleAgeMs": data.age_ms(),
        "arrivals": arrival.map(rate),
        "backlog": backlog,
        "fullestBacklog": fullest_backlog,
        "ratePerShard": rate(rate_per_shard.rate()),
        "ratePerShardSource": source,
        "utilizationPercent": utilization_percent,
        "overfullPartitions": overfull,
        "catchUpMs": catch_up_ms,
        "inFlightMs": in_flight_ms,
        "isSettling": is_settling,
        "leadMs": lead_ms,
        "ready": ready,
    })
}

fn candidates_of(candidates: &Candidates) -> Value {
    let Candidates { floor, peak, need_milli, arrivals, backlog, fullest, urgent, roomy, recent } = candidates;
    json!({
        "floor": floor,
        "peak": peak,
        "needMilli": need_milli,
        "arrivals": arrivals,
        "backlog": backlog,
        "fullestPartition": fullest,
        "urgent": urgent,
        "roomy": roomy,
        "recent": recent,
    })
}

fn summary(summary: &Summary) -> Value {
    json!({
        "ballots": summary.ballots,
        "tooLate": summary.too_late,
        "peakBacklog": summary.peak_backlog,
        "peakSecond": summary.peak_second,
        "backlogAtClose": summary.backlog_at_close,
        "caughtUpSecond": summary.caught_up_second,
        "drainedSecond": summary.drained_second,
        "shardsLeft": summary.shards_left,
        "shardSeconds": summary.shard_seconds,
        "idealShardSeconds": summary.ideal_shard_seconds,
        "workShardSeconds": summary.work_shard_seconds,
        "costPercent": summary.cost_percent(),
        "shardChanges": summary.shard_changes,
        "partitionChanges": summary.partition_changes,
        "inTime": summary.is_in_time(),
    })
}

/// A rate as a decimal text, since JSON numbers would be rounded: "9800", "0.5".
fn rate(rate: Rate) -> String {
    let (whole, rest) = (rate.milli() / 1_000, rate.milli() % 1_000);
    if rest == 0 { whole.to_string() } else { format!("{whole}.{rest:03}").trim_end_matches('0').to_owned() }
}

//! What stands in the metrics of a decision, and that nothing of it stays.

use pnyx_backbone::telemetry::Metrics;
use pnyx_core::{
    scaling::{History, Observed, PartitionLoad, ReplicasOwner, Sample, ScalingSpec, Shards, plan},
    time::{TimestampMs, Window},
};

use super::*;
use crate::metrics::OperatorMetrics;

const OPENS_AT: TimestampMs = TimestampMs(1_796_126_400_000);
const NOW: TimestampMs = TimestampMs(1_796_126_460_500);

/// A minute after the opening, with as many shards ready as `shards` and half a ballot a second in each of two partitions.
fn decision(shards: u32, is_sampled: bool) -> Plan {
    let load = PartitionLoad { backlog: 3, arrival: Rate::from_milli(500) };
    let sample = Sample { taken_at: TimestampMs(NOW.0 - 2_500), partitions: vec![load; 2] };
    let observed = Observed {
        sample: is_sampled.then_some(sample),
        rate_per_shard: None,
        shards: Shards { desired: shards, ready: shards },
        owner: ReplicasOwner::Operator,
        partitions: 2,
        rebalancing_since: None,
        watching_since: OPENS_AT,
        has_cut: Some(false),
        is_drained: Some(false),
    };
    let window = Window::new(OPENS_AT, OPENS_AT.saturating_add_ms(86_400_000)).expect("it opens before it closes");
    plan(&ScalingSpec::default(), &window, &observed, &History::default(), NOW)
}

/// The lines about scaling, without what explains them.
fn lines(metrics: &Metrics) -> Vec<String> {
    let text = metrics.encode();
    text.lines().filter(|line| line.starts_with("pnyx_operator_scaling_")).map(str::to_owned).collect()
}

/// What is said of the proposal `grants`; the number as it is written.
fn told(lines: &[String], metric: &str) -> Option<String> {
    let start = format!(r#"pnyx_operator_scaling_{metric}{{namespace="votes",proposal="grants"}} "#);
    lines.iter().find_map(|line| line.strip_prefix(&start)).map(str::to_owned)
}

fn count(lines: &[String], part: &str) -> usize {
    lines.iter().filter(|line| line.contains(part)).count()
}

#[test]
fn a_decision_is_told_in_numbers_and_goes_with_its_proposal() {
    let metrics = Metrics::new();
    let scaling = metrics.register(OperatorMetrics::register).scaling;
    let key = ObjectKey::new("votes", "grants");
    let plan = decision(1, true);
    scaling.decided(&key, &plan);
    let known = lines(&metrics);
    let numbers = [
        ("decided_timestamp_seconds", "1796126460.5"),
        ("shards_ready", "1.0"),
        ("sample_age_seconds", "2.5"),
        ("arrivals_per_second", "1.0"),
        ("backlog_ballots", "6.0"),
        ("fullest_partition_ballots", "3.0"),
        ("shard_ballots_per_second", "20000.0"),
    ];
    for (metric, number) in numbers {
        assert_eq!(told(&known, metric).as_deref(), Some(number), "{metric}");
    }
    assert_eq!(told(&known, "shards_desired"), Some(format!("{}.0", plan.shards.to)));
    assert_eq!(told(&known, "partitions"), Some(format!("{}.0", plan.partitions.to)));
    assert_eq!(count(&known, r#"candidate="floor"} 1.0"#), 1);
    assert_eq!(count(&known, "scaling_candidate_shards{"), plan.candidates.known().count());
    assert_eq!(count(&known, &format!(r#"of="shards",limit="{}"}} 1.0"#, plan.shards.limit.name())), 1);
    assert_eq!(count(&known, &format!(r#"of="partitions",limit="{}"}} 1.0"#, plan.partitions.limit.name())), 1);
    assert_eq!(count(&known, "scaling_limit{"), 2);

    // What is not known any more is not there, and one limit takes the place of another.
    let plan = decision(2, false);
    assert_eq!(plan.shards.limit, Limit::UnknownData);
    scaling.decided(&key, &plan);
    let unknown = lines(&metrics);
    for metric in ["sample_age_seconds", "arrivals_per_second", "backlog_ballots", "fullest_partition_ballots"] {
        assert_eq!(told(&unknown, metric), None, "{metric}");
    }
    assert_eq!(told(&unknown, "shards_ready").as_deref(), Some("2.0"));
    assert_eq!(count(&unknown, r#"of="shards",limit="unknownData"} 1.0"#), 1);
    assert_eq!(count(&unknown, "scaling_limit{"), 2);

    let other = ObjectKey::new("votes", "other");
    scaling.decided(&other, &decision(1, true));
    scaling.forget(&key);
    assert_eq!(count(&lines(&metrics), r#"proposal="grants""#), 0);
    assert!(count(&lines(&metrics), r#"proposal="other""#) > 10);
    scaling.forget(&other);
    assert_eq!(lines(&metrics), [""; 0]);
}

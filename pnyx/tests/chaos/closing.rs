//! Around the close: the writer of decisions is paused and another writes instead, a record comes too late for the cut,
//! and the paused writer goes on with what it had in mind.

use std::{
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use pnyx_core::wire;
use rand::Rng as _;
use serde_json::Value;

use crate::{
    common::{
        ballots::Target,
        http,
        pipeline::{Pipeline, Role},
        raw,
    },
    plan::Plan,
    report::RoundReport,
};

/// When the writer is paused, from a second before the close on: while it waits, reads the ends, counts, or has decided.
const PAUSED_AT_MS: std::ops::Range<u64> = 0..9_000;
/// How long results may take after the close: grace, drain and the recount of all ballots on a busy machine.
const RESULT_WAIT_MAX: Duration = Duration::from_secs(150);

/// Sees the round's proposals through to their results.
pub(crate) fn run(plan: &Plan, pipeline: &mut Pipeline, targets: &[Target], report: &mut RoundReport) {
    let mut random = plan.random("closing");
    let closes_at = Duration::from_secs(targets[0].closes_at_s);
    let second = start_second_writer(pipeline);
    let paused_at = closes_at - Duration::from_secs(1) + Duration::from_millis(random.random_range(PAUSED_AT_MS));
    wait_until(paused_at);
    let first = pipeline.of(Role::Recount)[0];
    pipeline.process(first).sigstop().unwrap();

    wait_for_cut(pipeline, &targets[0]);
    let late = late_record(plan, pipeline, &targets[0]);
    for target in targets {
        for url in pipeline.reads() {
            wait_until_final(&url, target);
        }
    }
    pipeline.process(first).sigcont().unwrap();
    pipeline.wait_until_ready(first);
    let second_status = pipeline.terminate(second);
    assert!(second_status.success(), "the second recount ended with {second_status}");
    check_decisions(pipeline, targets, late);
    let after_close_ms =
        i128::try_from(paused_at.as_millis()).unwrap() - i128::try_from(closes_at.as_millis()).unwrap();
    report.survived("a paused writer of decisions", &format!("paused {after_close_ms} ms after the close"));
    report.survived("an in-window record beyond the cut", &format!("at offset {} of partition {}", late.1, late.0));
}

/// The one of an earlier round again, or a new one.
fn start_second_writer(pipeline: &mut Pipeline) -> usize {
    let second = match pipeline.of(Role::Recount).get(1) {
        Some(index) => {
            pipeline.spawn(*index);
            *index
        }
        None => pipeline.add(Role::Recount, &[]),
    };
    pipeline.wait_until_ready(second);
    second
}

fn wait_until(moment: Duration) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    thread::sleep(moment.saturating_sub(now));
}

/// The cut is decided once the phase is beyond `closed`.
fn wait_for_cut(pipeline: &Pipeline, target: &Target) {
    let url = format!("{}/v1/proposals/{}", pipeline.reads()[0], target.id);
    http::poll("the cut", RESULT_WAIT_MAX, || {
        let phase = http::try_json(&url)?["phase"].as_str()?.to_owned();
        ["draining", "recounting", "final"].contains(&phase.as_str()).then_some(())
    });
}

/// A good ballot with an append time in the window, at an offset beyond the cut.
fn late_record(plan: &Plan, pipeline: &Pipeline, target: &Target) -> (i32, i64) {
    let ballot = target.ballot(&format!("late {} {}", plan.seed, plan.index), target.opens_at_s, 1);
    let in_window_ms = i64::try_from((target.closes_at_s - 1) * 1000).unwrap();
    raw::append_dated(
        &pipeline.kafka.bootstrap(),
        &target.ballots_topic(),
        &wire::record::encode(&ballot.body),
        in_window_ms,
    )
}

fn wait_until_final(url: &str, target: &Target) {
    http::poll(&format!("the result of {}", target.name), RESULT_WAIT_MAX, || {
        let proposal = http::try_json(&format!("{url}/v1/proposals/{}", target.id))?;
        assert_ne!(proposal["phase"], "disputed", "the recount of {} differs: {proposal}", target.name);
        (proposal["phase"] == "final").then_some(())
    });
}

/// What the processes took as decided is what stands first in the log, and the late record lies beyond it.
fn check_decisions(pipeline: &Pipeline, targets: &[Target], late: (i32, i64)) {
    let decisions = raw::decisions(&pipeline.kafka.bootstrap());
    for target in targets {
        let cuts: Vec<&Value> =
            decisions.iter().filter(|decision| decision["cut"]["proposal"] == target.id.as_str()).collect();
        let result = crate::common::get_json(&format!("{}/v1/proposals/{}/result", pipeline.reads()[0], target.id));
        assert_eq!(cuts[0]["cut"], result["provenance"]["cut"], "the first of {} cuts stands", cuts.len());
    }
    let result = crate::common::get_json(&format!("{}/v1/proposals/{}/result", pipeline.reads()[0], targets[0].id));
    let partition = usize::try_from(late.0).unwrap();
    let end = result["provenance"]["cut"]["partitions"][partition]["endOffset"].as_i64().unwrap();
    assert!(late.1 >= end, "the late record lies at {}, the cut at {end}", late.1);
}

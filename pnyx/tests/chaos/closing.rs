//! Around the close: the writer of decisions is paused and another writes instead, a record comes too late for the cut,
//! the paused writer goes on with what it had in mind, and a cut that would let the late record count is written as well,
//! as by a writer that was paused between reading the ends and writing them.

use std::{
    slice, thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use pnyx_core::wire;
use rand::Rng as _;
use serde_json::Value;

use crate::{
    common::{
        ballots::Target,
        get_json, http,
        pipeline::{Pipeline, Role},
        raw,
    },
    plan::Plan,
    report::RoundReport,
};

/// When the writer is paused, from a second before the close on: while it waits, reads the ends, counts, or has decided.
const PAUSED_AT_MS: std::ops::Range<u64> = 0..9_000;
/// How long results may take after the close: grace, drain and the recount of all ballots on a busy machine.
const RESULT_WAIT_MAX: Duration = Duration::from_secs(300);
/// How long it may take until a late record is told: recounts look for it every half a minute.
const TOLD_WAIT_MAX: Duration = Duration::from_secs(90);

/// A record that came too late.
struct Late {
    voter: String,
    partition: usize,
    offset: u64,
}

/// Sees the round's proposals through to their results; the probe's is the last.
pub(crate) fn run(plan: &Plan, pipeline: &mut Pipeline, targets: &[Target], report: &mut RoundReport) {
    let mut random = plan.random("closing");
    let closes_at = Duration::from_secs(targets[0].closes_at_s);
    let second = start_second_writer(pipeline);
    let paused_at = closes_at - Duration::from_secs(1) + Duration::from_millis(random.random_range(PAUSED_AT_MS));
    wait_until(paused_at);
    let first = pipeline.of(Role::Recount)[0];
    pipeline.process(first).sigstop().unwrap();

    // Of the probe's proposal, where every wallet has power: of another the late ballot might not count in any case.
    let probed = targets.last().expect("a round has proposals");
    wait_for_cut(pipeline, probed);
    let late = late_record(plan, pipeline, probed);
    write_another_cut(pipeline, probed, &late);
    for target in targets {
        for url in pipeline.reads() {
            wait_until_final(&url, target);
        }
    }
    let published: Vec<Value> = targets.iter().map(|target| result(pipeline, target)).collect();
    pipeline.process(first).sigcont().unwrap();
    // It may have a recount of all before it.
    wait_until_told(pipeline, first, "final", targets, RESULT_WAIT_MAX);
    wait_until_told(pipeline, second, "lies beyond the cut", slice::from_ref(probed), TOLD_WAIT_MAX);
    let second_status = pipeline.terminate(second);
    assert!(second_status.success(), "the second recount ended with {second_status}");
    check_decisions(pipeline, targets, &published);
    check_late(pipeline, probed, &late);
    let after_close_ms =
        i128::try_from(paused_at.as_millis()).unwrap() - i128::try_from(closes_at.as_millis()).unwrap();
    report.survived("a paused writer of decisions", &format!("paused {after_close_ms} ms after the close"));
    report.survived("another cut after the first", "which holds the late record");
    let Late { partition, offset, .. } = late;
    report.survived("an in-window record beyond the cut", &format!("at offset {offset} of partition {partition}"));
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
fn late_record(plan: &Plan, pipeline: &Pipeline, target: &Target) -> Late {
    let ballot = target.ballot(&format!("late {} {}", plan.seed, plan.index), target.opens_at_s, 1);
    let in_window_ms = i64::try_from((target.closes_at_s - 1) * 1000).unwrap();
    let (partition, offset) = raw::append_dated(
        &pipeline.kafka.bootstrap(),
        &target.ballots_topic(),
        &wire::record::encode(&ballot.body),
        in_window_ms,
    );
    Late { voter: ballot.voter, partition: usize::try_from(partition).unwrap(), offset: u64::try_from(offset).unwrap() }
}

/// Decides once more, otherwise than it was: whoever took this for the cut would count the late record.
fn write_another_cut(pipeline: &Pipeline, target: &Target, late: &Late) {
    let bootstrap = pipeline.kafka.bootstrap();
    let mut decision = cuts_of(&raw::decisions(&bootstrap), target)[0].clone();
    let end = &mut decision["cut"]["partitions"][late.partition]["endOffset"];
    assert!(end.as_u64().unwrap() <= late.offset, "the record at {} is not late: the cut lies at {end}", late.offset);
    *end = (late.offset + 1).into();
    raw::append(&bootstrap, "pnyx.proposals", decision.to_string().as_bytes());
}

fn cuts_of<'a>(decisions: &'a [Value], target: &Target) -> Vec<&'a Value> {
    decisions.iter().filter(|decision| decision["cut"]["proposal"] == target.id.as_str()).collect()
}

fn result(pipeline: &Pipeline, target: &Target) -> Value {
    get_json(&format!("{}/v1/proposals/{}/result", pipeline.reads()[0], target.id))
}

/// Waits until a process has a line in its log with these words for each of these proposals.
fn wait_until_told(pipeline: &Pipeline, index: usize, words: &str, targets: &[Target], wait_max: Duration) {
    let name = &pipeline.members[index].name;
    http::poll(&format!("a line of {name} with {words:?} for each proposal"), wait_max, || {
        let log = pipeline.log_of(index);
        let is_told = |target: &Target| log.lines().any(|line| line.contains(words) && line.contains(&target.id));
        targets.iter().all(is_told).then_some(())
    });
}

fn wait_until_final(url: &str, target: &Target) {
    http::poll(&format!("the result of {}", target.name), RESULT_WAIT_MAX, || {
        let proposal = http::try_json(&format!("{url}/v1/proposals/{}", target.id))?;
        assert_ne!(proposal["phase"], "disputed", "the recount of {} differs: {proposal}", target.name);
        (proposal["phase"] == "final").then_some(())
    });
}

/// What the processes took as decided is what stands first in the log, and stays what it was when the paused writer came
/// back.
fn check_decisions(pipeline: &Pipeline, targets: &[Target], published: &[Value]) {
    let decisions = raw::decisions(&pipeline.kafka.bootstrap());
    for (target, published) in targets.iter().zip(published) {
        let cuts = cuts_of(&decisions, target);
        assert_eq!(cuts[0]["cut"], published["provenance"]["cut"], "the first of {} cuts stands", cuts.len());
        assert_eq!(&result(pipeline, target), published, "{} is published once", target.name);
    }
}

/// The late record lies beyond the cut although another cut holds it, and does not count: not for who was there, and not
/// for who reads the log anew.
fn check_late(pipeline: &Pipeline, target: &Target, late: &Late) {
    let decisions = raw::decisions(&pipeline.kafka.bootstrap());
    let ends = cuts_of(&decisions, target).into_iter();
    let ends: Vec<u64> =
        ends.map(|cut| cut["cut"]["partitions"][late.partition]["endOffset"].as_u64().unwrap()).collect();
    assert!(ends[0] <= late.offset && ends.contains(&(late.offset + 1)), "cuts at {ends:?}, record at {}", late.offset);
    for url in pipeline.reads() {
        let url = format!("{url}/v1/proposals/{}/voters/{}", target.id, late.voter);
        let answer = http::try_get(&url).expect("reads are answered");
        assert!(answer.json()["ballot"].is_null(), "the late ballot counts at {url}: {}", answer.body);
    }
    pipeline.assert_recount_agrees(target);
}

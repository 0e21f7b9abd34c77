//! Records that no component wrote, in each topic: logged, counted, skipped; nobody ends, and what comes after counts.

use std::time::Duration;

use serde_json::Value;

use crate::common::{
    ballots::{Target, now_s},
    get_json, http,
    pipeline::{Pipeline, Role},
    proposals::{Window, write_plain},
    raw,
};

/// How long counting may take.
const COUNTED_WAIT_MAX: Duration = Duration::from_secs(90);
/// A record just below the largest that Kafka takes.
const LARGE_BYTES: usize = 1_000_000;
/// Ballots before and after the poison, enough for every partition and lane.
const BALLOTS: usize = 40;

/// Puts poison everywhere and goes on.
pub(crate) fn is_skipped_in_every_topic(pipeline: &mut Pipeline) {
    let file = write_plain("poisoned", Window::around_now(60, 1_200), pipeline.folder());
    let target = pipeline.propose(&[file], &["--partitions", "1", "--lanes", "1"]).remove(0);
    cast(pipeline, &target, "before");
    wait_until_counted(pipeline, &target, BALLOTS);
    let verdicts = format!("pnyx.{}.verdicts", target.id.trim_start_matches("0x"));
    let topics = ["pnyx.proposals".to_owned(), target.ballots_topic(), verdicts];
    let bootstrap = pipeline.kafka.bootstrap();
    for topic in &topics {
        for poison in poisons(topic) {
            raw::append(&bootstrap, topic, &poison);
        }
    }
    cast(pipeline, &target, "after");
    wait_until_counted(pipeline, &target, 2 * BALLOTS);
    // Also after a restart, which reads it all again.
    for role in [Role::Verifier, Role::Tally, Role::Ingest, Role::Recount] {
        for index in pipeline.of(role) {
            pipeline.kill(index);
            pipeline.spawn(index);
        }
    }
    pipeline.wait_until_all_ready();
    cast(pipeline, &target, "after a restart");
    wait_until_counted(pipeline, &target, 3 * BALLOTS);
    pipeline.assert_nobody_ended();
    check_evidence(pipeline, &target, &topics[2]);
    println!("poison: garbage, a future version and {LARGE_BYTES} bytes in each of {} topics skipped", topics.len());
}

/// Who read a record that nobody could read has said so, and rejected ballots are counted.
fn check_evidence(pipeline: &Pipeline, target: &Target, verdicts: &str) {
    let mut tally_logs = String::new();
    for (index, member) in pipeline.members.iter().enumerate() {
        let log = pipeline.log_of(index);
        assert!(log.contains("a decision cannot be read and is skipped"), "{} says nothing:\n{log}", member.name);
        if member.role == Role::Tally {
            tally_logs.push_str(&log);
        }
    }
    assert!(tally_logs.contains("a verdict is skipped") && tally_logs.contains(verdicts), "{tally_logs}");
    for url in pipeline.reads() {
        let progress = get_json(&format!("{url}/v1/proposals/{}/progress", target.id));
        let rejected: u64 = progress["rejected"].as_object().unwrap().values().filter_map(Value::as_u64).sum();
        assert_eq!(rejected, 3, "{progress}");
    }
}

/// Garbage, a version that does not exist yet, and a large one.
fn poisons(topic: &str) -> [Vec<u8>; 3] {
    let future = if topic.ends_with("proposals") {
        br#"{"v":99,"kind":"definition","definition":{}}"#.to_vec()
    } else {
        vec![99; 200]
    };
    [vec![0xff; 100], future, vec![b'x'; LARGE_BYTES]]
}

fn cast(pipeline: &Pipeline, target: &Target, when: &str) {
    for number in 0..BALLOTS {
        let ballot = target.ballot(&format!("poison {when} {number}"), now_s(), 1);
        let accepted = http::poll("acceptance of a ballot", COUNTED_WAIT_MAX, || {
            http::post(pipeline.edge(), ballot.body.clone()).filter(http::Answer::is_success)
        });
        assert_eq!(accepted.json()["id"], ballot.digest.as_str());
    }
}

fn wait_until_counted(pipeline: &Pipeline, target: &Target, ballots: usize) {
    for url in pipeline.reads() {
        let url = format!("{url}/v1/proposals/{}", target.id);
        http::poll(&format!("counting of {ballots} ballots at {url}"), COUNTED_WAIT_MAX, || {
            http::try_json(&url).filter(|proposal| proposal["tally"]["ballots"] == ballots)
        });
    }
}

//! What the edge does when it is asked for too much, or cannot do anything.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use pnyx_core::ballot::BODY_BYTES_MAX;

use crate::common::{
    ballots::{Target, now_s},
    http::{self, Answer},
    load::Load,
    pipeline::{Pipeline, Role},
    proposals::{Window, write_plain},
    reads::Reads,
};

/// Longest answer to a ballot while the broker is silent: the edge gives an append up before that.
const REFUSED_WITHIN: Duration = Duration::from_secs(6);
/// How soon after the broker goes on ballots are taken again.
const RECOVERED_WITHIN: Duration = Duration::from_secs(20);
/// Ballots in flight that the flooded edge takes: its capacity.
const IN_FLIGHT: usize = 32;
/// Ballots at once that it is offered: 20 times its capacity, and what the open files of a process allow.
const OFFERED: usize = 20 * IN_FLIGHT;
/// How long they come, so that a hundredth of the reads meanwhile is more than one or two.
const FLOOD: Duration = Duration::from_secs(8);
/// What the flooded edge may take beyond what it took at rest: a body of the largest size for each ballot in flight, as
/// the edge states it; the log's queue, 64 MiB, which it keeps while brokers are away; 64 KiB for each connection.
const MEMORY_BYTES_MAX: usize = IN_FLIGHT * BODY_BYTES_MAX + 64 * 1024 * 1024 + OFFERED * 64 * 1024;
/// Longest that one read in a hundred may take while the edge is flooded, however slow the machine: reads ask the log how
/// far it is for a second before they serve what they have. Against what they take at capacity they are only printed,
/// since flood, edge, brokers and readers share the cores of whoever runs this.
const READ_P99_MAX: Duration = Duration::from_secs(2);
/// What reads are promised at 20 times the capacity: 99 in 100 take at most so many times what they take at the capacity.
const READ_P99_RATIO: u32 = 2;
/// Ballots that one address sends at once to the limited edge.
const BURST: usize = 200;
/// Ballots a second that one address may send to the limited edge.
const PER_SECOND: &str = "40";

/// More than one address may send is answered 429, and who waits as told gets everything through.
pub(crate) fn limits_a_source_address(pipeline: &mut Pipeline) {
    let limited = pipeline.add(Role::Ingest, &["--requests-per-second-per-address", PER_SECOND]);
    pipeline.wait_until_ready(limited);
    let target = propose(pipeline, "limited");
    let url = pipeline.members[limited].url.clone();
    let answers = post_at_once(&url, &target);
    let refused: Vec<&Answer> = answers.iter().filter(|answer| answer.status == 429).collect();
    assert!(!refused.is_empty(), "{BURST} ballots at once and none was refused");
    assert!(refused.iter().all(|answer| answer.retry_after_s >= Some(1)), "{refused:?}");
    assert!(answers.iter().all(|answer| answer.is_success() || answer.status == 429), "{answers:?}");

    // Of a proposal of its own: the load knows nothing of the ballots above.
    let target = propose(pipeline, "limited-load");
    let load = Load::start(pipeline.folder(), "limited", |command| {
        command.args(["--url", &url, "--read-url", &pipeline.reads().join(",")]);
        command.args(["--proposal", &target.id, "--ballots", "300", "--connections", "8", "--counted-within", "60s"]);
    });
    let report = load.finish(Duration::from_secs(120));
    report.assert_good();
    assert!(report.number("resent") > 0, "the limit was never met: {}", report.json);
    assert!(pipeline.terminate(limited).success());
    println!(
        "limit: {} of {BURST} at once refused; load with errors {} got everything through",
        refused.len(),
        report.json["errors"]
    );
}

/// All from one address.
fn post_at_once(url: &str, target: &Target) -> Vec<Answer> {
    let client = http::client();
    http::block_on(async {
        let mut posts = tokio::task::JoinSet::new();
        for number in 0..BURST {
            let body = target.ballot(&format!("limited {number}"), now_s(), 1).body;
            let (client, url) = (client.clone(), url.to_owned());
            posts.spawn(async move { http::post_with(&client, &url, body).await });
        }
        posts.join_all().await.into_iter().flatten().collect()
    })
}

/// What came of a flood, and of the reads meanwhile.
struct Flooded {
    acknowledged: usize,
    refused: usize,
    of_tally: Reads,
    of_edge: Reads,
}

/// With 20 times what the edge can take it says so to the rest, memory stays bounded and reads go on. While the broker is
/// silent nothing is acknowledged, and afterwards everything goes on without a restart.
pub(crate) fn stands_twenty_times_its_capacity(pipeline: &mut Pipeline) {
    let flooded = pipeline.add(Role::Ingest, &["--in-flight-max", &IN_FLIGHT.to_string()]);
    pipeline.wait_until_ready(flooded);
    let edge = pipeline.members[flooded].url.clone();
    let target = propose(pipeline, "flooded");
    let standing = cast_until_accepted(&edge, &target, "flooded before");
    let at_rest_bytes = memory_bytes(pipeline.process(flooded).id(), "VmRSS:");
    let quiet = flood(pipeline, &edge, &target, 0);
    let at_capacity = flood(pipeline, &edge, &target, IN_FLIGHT);
    let loud = flood(pipeline, &edge, &target, OFFERED);
    assert!(loud.acknowledged > 0 && loud.refused > 0, "{} and {}", loud.acknowledged, loud.refused);

    pipeline.kafka.pause(1).unwrap();
    let start = Instant::now();
    let refused = http::post(&edge, target.ballot("flooded alone", now_s(), 1).body).expect("the edge answers");
    assert_eq!(refused.status, 503, "{refused:?}");
    assert!(refused.retry_after_s.is_some(), "{refused:?}");
    assert!(start.elapsed() < REFUSED_WITHIN, "refused only after {:?}", start.elapsed());
    let silent = flood(pipeline, &edge, &target, OFFERED);
    let peak_bytes = memory_bytes(pipeline.process(flooded).id(), "VmHWM:");
    pipeline.kafka.resume(1).unwrap();
    let resumed = Instant::now();
    let after = cast_until_accepted(&edge, &target, "flooded after");
    let recovered = resumed.elapsed();
    assert!(recovered < RECOVERED_WITHIN, "recovered only after {recovered:?}");
    assert_eq!(silent.acknowledged, 0, "acknowledged although the broker could not");
    for url in pipeline.reads() {
        for voter in [&standing, &after] {
            wait_until_counted(&url, &target, voter);
        }
    }
    check_memory(at_rest_bytes, peak_bytes);
    check_reads("the broker takes them", &quiet, &at_capacity, &loud);
    check_reads("the broker is silent", &quiet, &at_capacity, &silent);
    pipeline.assert_nobody_ended();
    assert!(pipeline.terminate(flooded).success());
    println!("flood: ballots taken again {recovered:.1?} after the broker went on");
}

fn check_memory(at_rest_bytes: usize, peak_bytes: usize) {
    let mb = |bytes: usize| bytes / 1_000_000;
    let bound = at_rest_bytes + MEMORY_BYTES_MAX;
    println!("flood: the edge took {} MB, at rest {} MB, bound {} MB", mb(peak_bytes), mb(at_rest_bytes), mb(bound));
    assert!(peak_bytes < bound, "the edge took {peak_bytes} bytes, at most {bound} are stated");
}

fn check_reads(when: &str, quiet: &Flooded, at_capacity: &Flooded, flooded: &Flooded) {
    println!(
        "flood: {OFFERED} ballots at once for {IN_FLIGHT} places, {when}: {} acknowledged ({} at capacity), {} told when \
         to come back",
        flooded.acknowledged, at_capacity.acknowledged, flooded.refused
    );
    for (whose, quietly, before, meanwhile) in [
        ("tally", &quiet.of_tally, &at_capacity.of_tally, &flooded.of_tally),
        ("edge", &quiet.of_edge, &at_capacity.of_edge, &flooded.of_edge),
    ] {
        let is_kept = meanwhile.p99() <= before.p99() * READ_P99_RATIO;
        let verdict = if is_kept { "kept" } else { "not kept here" };
        println!(
            "flood: reads of the {whose}: {quietly} quietly, {before} at capacity, {meanwhile} meanwhile; 2 times what \
             they take at capacity {verdict}"
        );
        let limit = READ_P99_MAX.max(before.p99() * READ_P99_RATIO);
        assert!(meanwhile.p99() <= limit, "reads of the {whose} while {when}: {meanwhile}, at most {limit:?}");
    }
}

/// So many senders at once for a while, each of which waits as it is told; measures reads meanwhile.
fn flood(pipeline: &Pipeline, edge: &str, target: &Target, senders: usize) -> Flooded {
    let body = target.ballot("flood", now_s(), 1).body;
    let of_tally = Reads::measure(format!("{}/v1/proposals/{}", pipeline.reads()[0], target.id), FLOOD);
    let of_edge = Reads::measure(format!("{edge}/v1/keys"), FLOOD);
    let until = Instant::now() + FLOOD;
    let client = http::client();
    let sent = http::block_on(async {
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..senders {
            tasks.spawn(send_until(until, client.clone(), edge.to_owned(), body.clone()));
        }
        tasks.join_all().await
    });
    let acknowledged = sent.iter().map(|(acknowledged, _)| acknowledged).sum();
    let refused = sent.iter().map(|(_, refused)| refused).sum();
    let [of_tally, of_edge] = [of_tally, of_edge].map(|measuring| measuring.join().unwrap());
    Flooded { acknowledged, refused, of_tally, of_edge }
}

/// How many were acknowledged, and how many refused.
async fn send_until(until: Instant, client: reqwest::Client, edge: String, body: Vec<u8>) -> (usize, usize) {
    let (mut acknowledged, mut refused) = (0, 0);
    while Instant::now() < until {
        let answer = http::post_with(&client, &edge, body.clone()).await.expect("the edge answers");
        if answer.is_success() {
            acknowledged += 1;
            continue;
        }
        assert_eq!(answer.status, 503, "{answer:?}");
        let wait_s = answer.retry_after_s.unwrap_or_else(|| panic!("not told when to come back: {answer:?}"));
        refused += 1;
        tokio::time::sleep(Duration::from_secs(wait_s)).await;
    }
    (acknowledged, refused)
}

fn propose(pipeline: &Pipeline, name: &str) -> Target {
    let file = write_plain(name, Window::around_now(60, 1_200), pipeline.folder());
    pipeline.propose(&[file], &[]).remove(0)
}

/// Gives the voter.
fn cast_until_accepted(edge: &str, target: &Target, wallet: &str) -> String {
    let ballot = target.ballot(wallet, now_s(), 1);
    let start = Instant::now();
    loop {
        let answer = http::post(edge, ballot.body.clone());
        if answer.as_ref().is_some_and(Answer::is_success) {
            return ballot.voter;
        }
        let metrics = || http::try_get(&format!("{edge}/metrics")).map(|metrics| metrics.body).unwrap_or_default();
        assert!(start.elapsed() < RECOVERED_WITHIN, "after {RECOVERED_WITHIN:?} still {answer:?}\n{}", metrics());
        thread::sleep(Duration::from_millis(50));
    }
}

fn wait_until_counted(url: &str, target: &Target, voter: &str) {
    let url = format!("{url}/v1/proposals/{}/voters/{voter}", target.id);
    http::poll("counting of a ballot", RECOVERED_WITHIN, || {
        http::try_json(&url).filter(|voter| voter["ballot"]["digest"].is_string())
    });
}

/// Resident memory of a process: now (`VmRSS:`), or the most it ever had (`VmHWM:`).
fn memory_bytes(process: u32, field: &str) -> usize {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1_024
}

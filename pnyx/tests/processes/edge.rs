//! What the edge does when it is asked for too much, or cannot do anything.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use crate::common::{
    ballots::{Target, now_s},
    http::{self, Answer},
    load::Load,
    pipeline::{Pipeline, Role},
    proposals::{Window, write_plain},
};

/// Longest answer to a ballot while the broker is silent: the edge gives an append up before that.
const REFUSED_WITHIN: Duration = Duration::from_secs(6);
/// How soon after the broker goes on ballots are taken again.
const RECOVERED_WITHIN: Duration = Duration::from_secs(20);
/// Ballots while the broker is silent, as many at once as there are connections, each of them refused after two seconds.
const AT_ONCE: usize = 4 * 1_024;
/// Most memory of the edge under that, in kB.
const MEMORY_KB_MAX: u64 = 400 * 1_024;
/// Connections over which those come: what the open files of this process allow.
const CONNECTIONS: usize = 400;
/// Longest answer of the read API meanwhile.
const READ_WITHIN: Duration = Duration::from_secs(2);
/// Ballots a second that one address may send to the limited edge.
const PER_SECOND: &str = "40";

/// More than one address may send is answered 429, and who waits as told gets everything through.
pub(crate) fn limits_a_source_address(pipeline: &mut Pipeline) {
    let limited = pipeline.add(Role::Ingest, &["--requests-per-second-per-address", PER_SECOND]);
    pipeline.wait_until_ready(limited);
    let target = propose(pipeline, "limited");
    let url = pipeline.members[limited].url.clone();
    let answers: Vec<Answer> =
        (0..200).filter_map(|n| http::post(&url, target.ballot(&format!("limited {n}"), now_s(), 1).body)).collect();
    let refused: Vec<&Answer> = answers.iter().filter(|answer| answer.status == 429).collect();
    assert!(!refused.is_empty(), "200 ballots at once and none was refused");
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
        "limit: {} of 200 at once refused; load with errors {} got everything through",
        refused.len(),
        report.json["errors"]
    );
}

/// While the broker is silent nothing is acknowledged, everybody is told when to come back, memory stays bounded and
/// reads go on; afterwards everything goes on without a restart.
pub(crate) fn answers_503_while_the_broker_is_silent(pipeline: &mut Pipeline) {
    let target = propose(pipeline, "silent");
    let edge = pipeline.edge().to_owned();
    let standing = cast_until_accepted(&edge, &target, "silent before");
    pipeline.kafka.pause(1).unwrap();
    let start = Instant::now();
    let refused = http::post(&edge, target.ballot("silent alone", now_s(), 1).body).expect("the edge answers");
    assert_eq!(refused.status, 503, "{refused:?}");
    assert!(refused.retry_after_s.is_some(), "{refused:?}");
    assert!(start.elapsed() < REFUSED_WITHIN, "refused only after {:?}", start.elapsed());
    let (refused_count, slowest_read) = flood(pipeline, &edge, &target);
    let memory_kb = peak_memory_kb(pipeline.process(0).id());
    pipeline.kafka.resume(1).unwrap();
    let resumed = Instant::now();
    let after = cast_until_accepted(&edge, &target, "silent after");
    let recovered = resumed.elapsed();
    assert!(memory_kb < MEMORY_KB_MAX, "the edge took {memory_kb} kB");
    assert!(recovered < RECOVERED_WITHIN, "recovered only after {recovered:?}");
    for url in pipeline.reads() {
        for voter in [&standing, &after] {
            wait_until_counted(&url, &target, voter);
        }
    }
    pipeline.assert_nobody_ended();
    println!(
        "silent broker: {refused_count} of {AT_ONCE} refused with Retry-After, edge at most {} MB, slowest read {slowest_read:?}, \
         ballots taken again {recovered:?} after it went on",
        memory_kb / 1_024
    );
}

/// Ballots from many connections while nothing can be stored; gives how many were refused, and the slowest read.
fn flood(pipeline: &Pipeline, edge: &str, target: &Target) -> (usize, Duration) {
    let body = target.ballot("silent flood", now_s(), 1).body;
    let (edge, reads) = (edge.to_owned(), format!("{}/v1/proposals/{}", pipeline.reads()[0], target.id));
    let flood = thread::spawn(move || {
        http::block_on(async {
            let mut senders = tokio::task::JoinSet::new();
            let client = http::client();
            for _ in 0..CONNECTIONS {
                let (client, edge, body) = (client.clone(), edge.clone(), body.clone());
                senders.spawn(async move {
                    let mut refused = 0;
                    for _ in 0..AT_ONCE / CONNECTIONS {
                        let answer = http::post_with(&client, &edge, body.clone()).await.expect("the edge answers");
                        assert_eq!(answer.status, 503, "{answer:?}");
                        assert!(answer.retry_after_s.is_some(), "{answer:?}");
                        refused += 1;
                    }
                    refused
                });
            }
            senders.join_all().await.into_iter().sum::<usize>()
        })
    });
    let mut slowest = Duration::ZERO;
    while !flood.is_finished() {
        let start = Instant::now();
        let answer = http::try_get(&reads).expect("reads go on");
        assert!(answer.is_success(), "{answer:?}");
        slowest = slowest.max(start.elapsed());
        thread::sleep(Duration::from_millis(20));
    }
    assert!(slowest < READ_WITHIN, "a read took {slowest:?}");
    (flood.join().unwrap(), slowest)
}

fn propose(pipeline: &Pipeline, name: &str) -> Target {
    let file = write_plain(name, Window::around_now(60, 1_200), pipeline.folder());
    pipeline.propose(&[file], &[]).remove(0)
}

/// Gives the voter.
fn cast_until_accepted(edge: &str, target: &Target, wallet: &str) -> String {
    let ballot = target.ballot(wallet, now_s(), 1);
    http::poll("acceptance of a ballot", RECOVERED_WITHIN, || {
        http::post(edge, ballot.body.clone()).filter(Answer::is_success)
    });
    ballot.voter
}

fn wait_until_counted(url: &str, target: &Target, voter: &str) {
    let url = format!("{url}/v1/proposals/{}/voters/{voter}", target.id);
    http::poll("counting of a ballot", RECOVERED_WITHIN, || {
        http::try_json(&url).filter(|voter| voter["ballot"]["digest"].is_string())
    });
}

/// The largest resident memory that a process ever had.
fn peak_memory_kb(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

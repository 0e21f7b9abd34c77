//! Every process of a platform under load is ended and started again, one after another: no client that retries as it
//! is told sees an error, and no ballot takes more than five seconds, neither to its receipt nor into the tally.
//!
//! `PNYX_TEST_STANDING=100000` says how many voters have a standing ballot before, 20,000 unless it is set.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crate::common::{
    ballots::{Target, now_s},
    front, http,
    load::Load,
    pipeline::{Pipeline, Role},
    proposals::{Window, write_plain},
};

/// Names how many voters have a standing ballot before.
const STANDING_VARIABLE: &str = "PNYX_TEST_STANDING";
/// How many that are unless the variable says otherwise.
const STANDING_DEFAULT: u64 = 20_000;
/// Voters a second whose ballots a slow machine signs, takes and counts.
const STANDING_PER_SECOND_MIN: u64 = 250;
/// Ballots a second meanwhile.
const RATE: u64 = 500;
/// How long they are sent: seven processes, each with its pause for balancers, its end and its start, 6 s each on an idle
/// machine.
const SECONDS: u64 = 90;
/// Longest time of a ballot to its receipt, and into the tally.
const DELAY_MAX: Duration = Duration::from_secs(5);
/// How long the load may take beside sending.
const LOAD_WAIT_MAX: Duration = Duration::from_secs(120);

/// Restarts everything under load.
pub(crate) fn restarts_are_noticed_by_nobody(pipeline: &mut Pipeline) {
    let names = ["standing", "watched"];
    let files = names.map(|name| write_plain(name, Window::around_now(60, 1_200), pipeline.folder()));
    let [voted, watched]: [Target; 2] = pipeline.propose(&files, &[]).try_into().unwrap();
    let edges: Vec<String> = pipeline
        .of(Role::Ingest)
        .into_iter()
        .filter(|index| pipeline.is_up(*index))
        .map(|index| pipeline.members[index].url.clone())
        .collect();
    let front = front::start(edges, pipeline.reads());
    let standing = standing();
    // A third replaces or repeats another, or is not in order.
    let ballots = (standing + standing / 2).to_string();
    let began = Instant::now();
    let before = load(pipeline, &front, &voted, "before", &["--ballots", &ballots, "--seed", "1"])
        .finish(LOAD_WAIT_MAX + Duration::from_secs(standing / STANDING_PER_SECOND_MIN));
    before.assert_good();
    let voters = before.number("standing");
    println!("rolling restart: {voters} voters have a standing ballot after {:.0?}", began.elapsed());
    assert!(voters >= standing, "only {voters} voters have a standing ballot");

    let ballots = (RATE * SECONDS).to_string();
    let arguments = ["--ballots", ballots.as_str(), "--rate", &RATE.to_string(), "--seed", "2"];
    let mut under_way = load(pipeline, &front, &voted, "rolling", &arguments);
    let watcher = Watcher::start(front, watched);
    let mut restarted = Vec::new();
    for index in 0..pipeline.members.len() {
        if !pipeline.is_up(index) {
            continue;
        }
        let start = Instant::now();
        let status = pipeline.terminate(index);
        assert!(status.success(), "{} ended with {status}\n{}", pipeline.members[index].name, pipeline.log_of(index));
        let ended = start.elapsed();
        pipeline.spawn(index);
        pipeline.wait_until_ready(index);
        let name = &pipeline.members[index].name;
        restarted.push(format!("{name} {:.1}+{:.1} s", ended.as_secs_f64(), (start.elapsed() - ended).as_secs_f64()));
    }
    let was_under_load = under_way.is_running();
    let (slowest, watched_count) = watcher.finish();
    let report = under_way.finish(LOAD_WAIT_MAX + Duration::from_secs(SECONDS));
    println!(
        "rolling restart ({}): {} ballots, errors {}, to the receipt p99 {} ms, max {} ms; to the tally max {slowest:?} of {watched_count}",
        restarted.join(", "),
        report.number("sent"),
        report.json["errors"],
        report.json["latencyMs"]["p99"],
        report.json["latencyMs"]["max"]
    );
    report.assert_good();
    assert!(was_under_load, "the load was over before everything was restarted: {restarted:?}");
    assert!(
        report.json["errors"].as_object().unwrap().keys().all(|error| error.starts_with("503 ")),
        "{}",
        report.json
    );
    assert!(report.json["latencyMs"]["max"].as_f64().unwrap() < DELAY_MAX.as_secs_f64() * 1_000.0, "{}", report.json);
    assert!(slowest < DELAY_MAX, "a ballot was counted only after {slowest:?}");
}

fn standing() -> u64 {
    let asked = std::env::var(STANDING_VARIABLE).ok();
    asked.map_or(STANDING_DEFAULT, |asked| asked.parse().expect("the variable holds a number"))
}

fn load(pipeline: &Pipeline, front: &str, target: &Target, name: &str, arguments: &[&str]) -> Load {
    Load::start(pipeline.folder(), name, |command| {
        command.args(["--url", front, "--proposal", &target.id, "--counted-within", "90s"]).args(arguments);
    })
}

/// Casts a ballot after the other and looks how long each takes into the tally.
struct Watcher {
    is_over: Arc<AtomicBool>,
    thread: thread::JoinHandle<(Duration, usize)>,
}

impl Watcher {
    fn start(front: String, target: Target) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&is_over);
        let thread = thread::spawn(move || {
            let (mut slowest, mut count) = (Duration::ZERO, 0);
            while !stop.load(Ordering::Relaxed) {
                let ballot = target.ballot(&format!("watched {count}"), now_s(), 1);
                let start = Instant::now();
                http::poll("acceptance of a watched ballot", LOAD_WAIT_MAX, || {
                    http::post(&front, ballot.body.clone()).filter(http::Answer::is_success)
                });
                let url = format!("{front}/v1/proposals/{}/voters/{}", target.id, ballot.voter);
                http::poll("counting of a watched ballot", LOAD_WAIT_MAX, || {
                    http::try_json(&url).filter(|voter| voter["ballot"]["digest"] == ballot.digest.as_str())
                });
                slowest = slowest.max(start.elapsed());
                count += 1;
            }
            (slowest, count)
        });
        Self { is_over, thread }
    }

    /// The slowest ballot, and how many there were.
    fn finish(self) -> (Duration, usize) {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

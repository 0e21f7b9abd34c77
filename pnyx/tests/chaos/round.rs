//! One round: fresh proposals, ballots, faults one after another, the close, and the checks.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use rand::Rng as _;

use crate::{
    checks, closing,
    common::{
        ballots::{Target, now_s},
        http,
        load::Load,
        pipeline::{Pipeline, Shape},
        proposals::{Window, copy_example, write_plain},
    },
    disk,
    plan::{OTHER_LOG, Plan},
    probe::{Paced, Probe},
    report::RoundReport,
};

/// Ballots a second, where the machine takes them.
const RATE: f64 = 2_000.0;
/// The least that is a load.
const RATE_MIN: f64 = 20.0;
/// Of what the platform takes without faults so much is asked of it: the rest is for what outages delay, which must be
/// sent before the window closes.
const RATE_SHARE: f64 = 0.75;
/// Ballots that show how much it takes: seconds, or most of a minute where each is acknowledged after seconds.
const PACE_BALLOTS: &str = "5000";
/// Connections of the load. A ballot for a partition whose leader is gone keeps its connection for seconds; of few soon all
/// wait for such partitions, and the others are not asked anything.
const CONNECTIONS: &str = "512";
/// How long ballots are sent: as long as the faults take, each with its recovery and the pause after it.
const LOAD_S: u64 = 90;
/// How long the proposals are open: looking how much the machine takes, signing, sending, and time to send again what
/// outages delayed.
const WINDOW_S: u64 = 175;
/// How much longer where a first log is started, voted on and thrown away meanwhile.
const OTHER_LOG_S: u64 = 40;
/// No fault begins later than this before the close: ballots must still be counted before the window is over.
const FAULTS_END_BEFORE_CLOSE_S: u64 = 25;
/// Longest pause between two faults.
const PAUSE_MS_MAX: u64 = 1_500;
/// Ballots that the other log's Redis knows of each proposal.
const OTHER_LOG_BALLOTS: u64 = 25;
/// How long the load may take to sign its ballots and send the first.
const FIRST_BALLOT_WAIT_MAX: Duration = Duration::from_secs(120);
/// How long the load may take after the result is expected.
const LOAD_WAIT_MAX: Duration = Duration::from_secs(300);

/// Runs it on the pipeline of the round before, if it fits.
pub(crate) fn run(plan: &Plan, pipeline: &mut Option<Pipeline>, report: &mut RoundReport) {
    if plan.has_full_disk {
        disk::run(report);
    }
    if pipeline.as_ref().is_some_and(|running| running.shape.brokers != plan.brokers) {
        *pipeline = None;
    }
    let shape = Shape { brokers: plan.brokers, can_be_cut: true, ..Shape::usual() };
    let pipeline = pipeline.get_or_insert_with(|| Pipeline::start(shape));
    let folder = pipeline.folder().join(format!("round-{}-{}", plan.seed, plan.index));
    fs::create_dir(&folder).unwrap();
    let window_s = WINDOW_S + if plan.has_other_log { OTHER_LOG_S } else { 0 };
    let files = write_proposals(plan, &folder, i64::try_from(window_s).unwrap());
    if plan.has_other_log {
        leave_another_logs_redis(pipeline, &files, report);
    }
    let mut targets = pipeline.propose(&files, &["--partitions", "2", "--lanes", "2"]);
    let probed = targets.pop().expect("the last file is the probe's");
    let paced = look_at_the_pace(plan, pipeline, &folder, &probed);
    let rate = (paced.per_second * RATE_SHARE).clamp(RATE_MIN, RATE).round();
    report.asked(rate, paced.per_second);
    let mut probe = Probe::new(probed, paced);
    let first = probe.measure(pipeline, Instant::now());
    report.recovered("none (a probe without a fault)", "", &first, false);

    let receipts = folder.join("receipts.jsonl");
    let mut load = start_load(plan, pipeline, &folder, &targets, &receipts, rate);
    wait_for_ballots(pipeline, &targets[0]);
    inject_faults(plan, pipeline, &targets, &mut probe, &mut load, report);
    let with_probe: Vec<Target> = targets.iter().chain([&probe.target]).cloned().collect();
    closing::run(plan, pipeline, &with_probe, report);
    let loaded = load.finish(LOAD_WAIT_MAX);
    report.load = loaded.json.clone();
    loaded.assert_good();
    pipeline.assert_nobody_ended();
    checks::run(pipeline, &targets, &probe, &receipts, &loaded, report);
    fs::remove_dir_all(&folder).unwrap();
}

/// The round's proposals, the probe's last.
fn write_proposals(plan: &Plan, folder: &Path, window_s: i64) -> Vec<PathBuf> {
    let window = Window::around_now(1, window_s);
    let suffix = format!("-{}-{}", plan.seed, plan.index);
    let mut files: Vec<PathBuf> =
        plan.proposals.iter().map(|example| copy_example(example, &suffix, window, folder)).collect();
    files.push(write_plain(&format!("probe{suffix}"), window, folder));
    files
}

/// Has the same proposals voted on in a log that is then gone, so that Redis holds totals of them that must not count.
fn leave_another_logs_redis(pipeline: &mut Pipeline, files: &[PathBuf], report: &mut RoundReport) {
    let targets = pipeline.propose(files, &["--partitions", "2", "--lanes", "2"]);
    // Only of those where every wallet has power.
    let probe = targets.last().expect("a round has proposals");
    for number in 0..OTHER_LOG_BALLOTS {
        let ballot = probe.ballot(&format!("other log {number}"), now_s(), 1);
        let answer = http::post(pipeline.edge(), ballot.body).expect("the edge answers");
        assert!(answer.is_success(), "{answer:?}");
    }
    let url = format!("{}/v1/proposals/{}", pipeline.reads()[0], probe.id);
    http::poll("counting in the other log", FIRST_BALLOT_WAIT_MAX, || {
        http::try_json(&url).filter(|proposal| proposal["tally"]["ballots"] == OTHER_LOG_BALLOTS)
    });
    pipeline.start_log_anew();
    report.survived(OTHER_LOG, &format!("with {OTHER_LOG_BALLOTS} ballots that must not count"));
}

/// How much this machine takes at present, with whatever else it does.
fn look_at_the_pace(plan: &Plan, pipeline: &Pipeline, folder: &Path, target: &Target) -> Paced {
    let receipts = folder.join("pace-receipts.jsonl");
    let load = Load::start(folder, "pace", |command| {
        send_to(pipeline, &receipts, command);
        command.args(["--proposal", &target.id, "--ballots", PACE_BALLOTS, "--counted-within", "1m"]);
        command.args(["--seed", &(plan.load_seed() / 2).to_string()]);
    });
    let loaded = load.finish(LOAD_WAIT_MAX);
    loaded.assert_good();
    Paced {
        acknowledged: loaded.number("accepted"),
        standing: loaded.number("standing"),
        per_second: loaded.json["perSecond"].as_f64().unwrap(),
        receipts,
    }
}

fn start_load(plan: &Plan, pipeline: &Pipeline, folder: &Path, targets: &[Target], receipts: &Path, rate: f64) -> Load {
    let ballots = rate * Duration::from_secs(LOAD_S).as_secs_f64();
    Load::start(folder, "load", |command| {
        send_to(pipeline, receipts, command);
        command.args(["--ballots", &format!("{ballots:.0}"), "--rate", &format!("{rate:.0}")]);
        command.args(["--seed", &plan.load_seed().to_string(), "--counted-within", "2m", "--until-final"]);
        for target in targets {
            command.args(["--proposal", &target.id]);
        }
    })
}

/// What every load of a round is told: where to send, over how many connections, and where receipts go.
fn send_to(pipeline: &Pipeline, receipts: &Path, command: &mut Command) {
    command.args(["--url", pipeline.edge(), "--read-url", &pipeline.reads().join(",")]);
    command.args(["--connections", CONNECTIONS]).arg("--receipts").arg(receipts);
}

/// The load signs all ballots first; faults before the first is sent would show nothing.
fn wait_for_ballots(pipeline: &Pipeline, target: &Target) {
    let url = format!("{}/v1/proposals/{}/progress", pipeline.reads()[0], target.id);
    http::poll("the first ballot of the load", FIRST_BALLOT_WAIT_MAX, || {
        http::try_json(&url).filter(|progress| progress["accepted"].as_u64() > Some(0))
    });
}

fn inject_faults(
    plan: &Plan,
    pipeline: &mut Pipeline,
    targets: &[Target],
    probe: &mut Probe,
    load: &mut Load,
    report: &mut RoundReport,
) {
    let mut random = plan.random("faults");
    let sending_ends = Instant::now() + Duration::from_secs(LOAD_S);
    let topics: Vec<String> = targets.iter().chain([&probe.target]).map(Target::ballots_topic).collect();
    let mut skipped = Vec::new();
    for fault in &plan.faults {
        let name = fault.name(plan.brokers);
        if now_s() + FAULTS_END_BEFORE_CLOSE_S > probe.target.closes_at_s {
            skipped.push(name);
            continue;
        }
        thread::sleep(Duration::from_millis(random.random_range(0..PAUSE_MS_MAX)));
        let injected = fault.inject(pipeline, &topics, &mut random);
        let recovery = probe.measure(pipeline, injected.over_at);
        let is_under_load = load.is_running() && Instant::now() < sending_ends;
        report.recovered(name, &injected.detail, &recovery, is_under_load);
        // Also whoever has no part in counting comes back.
        injected.member.into_iter().for_each(|index| pipeline.wait_until_ready(index));
        pipeline.assert_nobody_ended();
    }
    if !skipped.is_empty() {
        println!("  no time left in this round for: {}", skipped.join(", "));
    }
}

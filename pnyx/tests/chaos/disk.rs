//! A full disk under the embedded log: the process says so and takes nothing more; with room and started again it goes
//! on, and nothing that was acknowledged is missing.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use pnyx_testbed::{Port, Process};

use crate::{
    common::{self, http, load::Load, repository},
    plan::FULL_DISK,
    report::RoundReport,
};

/// Runs the command in a mount namespace of its own on a disk of 8 MB, then, at a word, once more with room enough; at
/// another word it ends. The mounts go with the process.
const SCRIPT: &str = r#"
disk=$1; words=$2; shift 2
mount -t tmpfs -o size=8m tmpfs "$disk" || exit 77
serve() { "$@" & pid=$!; read -r _ < "$words"; kill -TERM $pid; wait $pid; echo "ended with $?"; }
serve "$@"
mount -o remount,size=512m "$disk"
serve "$@"
"#;

/// Ballots: twice what the disk holds.
const BALLOTS: &str = "20000";
/// How long each step may take.
const STEP_WAIT_MAX: Duration = Duration::from_secs(180);

/// Runs the scenario.
pub(crate) fn run(report: &mut RoundReport) {
    let folder = tempfile::tempdir().unwrap();
    let (disk, words, log) = (folder.path().join("disk"), folder.path().join("words"), folder.path().join("dev.log"));
    fs::create_dir(&disk).unwrap();
    common::succeed(Command::new("mkfifo").arg(&words));
    let port = Port::reserve().unwrap();
    let url = format!("http://{}", port.address());
    let mut process = start(&disk, &words, &log, &port);
    wait_until_ready(&mut process, &url);

    let receipts = folder.path().join("receipts.jsonl");
    let load = Load::start(folder.path(), "load", |command| {
        command.args(["--url", &url, "--ballots", BALLOTS, "--rate", "4000", "--counted-within", "1m"]);
        command.arg("--receipts").arg(&receipts);
    });
    // It may end, or stay to be read from.
    http::poll("the process to be ready no more on the full disk", STEP_WAIT_MAX, || {
        http::try_get(&format!("{url}/readyz")).is_none_or(|answer| !answer.is_success()).then_some(())
    });
    http::poll("what the process says of the full disk", STEP_WAIT_MAX, || {
        fs::read_to_string(&log).unwrap().contains("No space left on device").then_some(())
    });
    say(&words);
    let with_room = Instant::now();
    wait_until_ready(&mut process, &url);
    let recovery = with_room.elapsed();
    let loaded = load.finish(STEP_WAIT_MAX);
    loaded.assert_good();
    assert!(loaded.number("resent") > 0, "the disk was never full: {}", loaded.json);
    let acknowledged = usize::try_from(loaded.number("accepted")).unwrap();
    assert_eq!(fs::read_to_string(&receipts).unwrap().lines().count(), acknowledged);
    say(&words);
    assert!(process.wait(STEP_WAIT_MAX).unwrap().success(), "{}", process.log_tail());
    report.survived(
        FULL_DISK,
        &format!(
            "{acknowledged} acknowledged, all counted; ready {:.2} s after there was room",
            recovery.as_secs_f64()
        ),
    );
}

fn start(disk: &Path, words: &Path, log: &Path, port: &Port) -> Process {
    let mut command = Command::new("unshare");
    // Whoever is not root may do this in a user namespace.
    command.args(["--user", "--map-root-user", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", SCRIPT, "sh"]);
    command.arg(disk).arg(words).arg(env!("CARGO_BIN_EXE_pnyx")).arg("dev").arg(repository().join("examples"));
    command.args(["--open-for", "10m", "--listen", &port.address().to_string(), "--data"]).arg(disk.join("data"));
    Process::spawn("pnyx dev on a small disk", &command, log).unwrap()
}

fn wait_until_ready(process: &mut Process, url: &str) {
    let readyz = format!("{url}/readyz");
    process.wait_until(STEP_WAIT_MAX, || http::try_get(&readyz).is_some_and(|answer| answer.is_success())).unwrap();
}

/// The script reads one line from its fifo.
fn say(words: &Path) {
    let mut words = OpenOptions::new().write(true).open(words).unwrap();
    writeln!(words, "on").unwrap();
}

//! Processes obey, and never outlive their test.

use std::{
    env, fs,
    os::unix::process::ExitStatusExt as _,
    panic,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use pnyx_testbed::{Process, TestbedError};

/// How long anything here may take on a machine that compiles beside.
const LIMIT: Duration = Duration::from_secs(20);

/// Tells this test, run again as a program of its own, where to write the id of its child before it waits to be killed.
const CHILD_FILE: &str = "PNYX_TESTBED_CHILD_FILE";

fn sleeper(folder: &Path) -> Process {
    let mut command = Command::new("sleep");
    Process::spawn("sleeper", command.arg("600"), &folder.join("log")).expect("there is `sleep`")
}

/// Whether the process runs: neither gone nor waiting to be noticed.
fn runs(id: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    let state = status.rsplit_once(')').and_then(|(_, rest)| rest.trim_start().chars().next());
    state.is_some_and(|state| state != 'Z')
}

/// Whether the process is a sleeper that has begun to sleep: before, what ends it together with its parent may not be set.
fn sleeps(id: u32) -> bool {
    fs::read_to_string(format!("/proc/{id}/comm")).is_ok_and(|name| name.trim_end() == "sleep") && runs(id)
}

fn wait_until(is_so: impl Fn() -> bool) -> bool {
    let start = Instant::now();
    while !is_so() && start.elapsed() < LIMIT {
        thread::sleep(Duration::from_millis(5));
    }
    is_so()
}

#[test]
fn signals_arrive_and_the_log_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let mut command = Command::new("sh");
    command.args(["-c", "echo $WORD; pwd; trap 'echo bye; exit 3' TERM; while :; do sleep 0.02; done"]);
    let mut process = Process::spawn("shell", command.env("WORD", "hello").current_dir(folder.path()), &log).unwrap();
    process.wait_until(LIMIT, || fs::read_to_string(&log).unwrap().lines().count() == 2).unwrap();
    assert!(matches!(process.wait(Duration::from_millis(50)), Err(TestbedError::TimedOut { .. })));
    process.sigstop().unwrap();
    process.sigterm().unwrap();
    assert!(process.wait(Duration::from_millis(200)).is_err(), "a stopped process does not end");
    process.sigcont().unwrap();
    assert_eq!(process.wait(LIMIT).unwrap().code(), Some(3));
    assert!(process.log_tail().starts_with("hello\n") && process.log_tail().ends_with("bye"));
    assert!(matches!(process.sigterm(), Err(TestbedError::NotRunning { .. })));
    process.kill9().unwrap();
}

#[test]
fn a_missing_program_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let error = Process::spawn("none", &Command::new("no-such-program"), &folder.path().join("log")).unwrap_err();
    assert!(error.to_string().contains("no-such-program"), "{error}");
}

#[test]
fn an_early_end_is_told_with_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", "echo reason >&2; exit 4"]);
    let mut process = Process::spawn("shell", &command, &folder.path().join("log")).unwrap();
    let error = process.wait_until(LIMIT, || false).unwrap_err();
    assert!(matches!(&error, TestbedError::Died { log, .. } if log == "reason"), "{error}");
}

#[test]
fn a_panicking_test_takes_its_processes_along() {
    let folder = tempfile::tempdir().unwrap();
    let id_file = folder.path().join("id");
    let panicked = panic::catch_unwind(|| {
        let process = sleeper(folder.path());
        fs::write(&id_file, process.id().to_string()).unwrap();
        assert!(!runs(process.id()), "this is the panic");
    });
    assert!(panicked.is_err());
    let id = fs::read_to_string(&id_file).unwrap().parse().unwrap();
    assert!(!runs(id));
}

#[test]
fn the_end_of_the_thread_that_asked_ends_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_owned();
    let mut process = thread::spawn(move || sleeper(&path)).join().unwrap();
    assert!(matches!(process.wait(Duration::from_millis(200)), Err(TestbedError::TimedOut { .. })));
    process.kill9().unwrap();
    assert_eq!(process.wait(LIMIT).unwrap().signal(), Some(9));
}

#[test]
fn a_killed_test_takes_its_processes_along() {
    if let Some(file) = env::var_os(CHILD_FILE) {
        let process = sleeper(Path::new(&file).parent().unwrap());
        fs::write(file, process.id().to_string()).unwrap();
        thread::sleep(LIMIT);
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("id");
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", "a_killed_test_takes_its_processes_along"]).env(CHILD_FILE, &file);
    let mut test = command.stdout(Stdio::null()).spawn().unwrap();
    let id = || fs::read_to_string(&file).ok()?.parse().ok();
    assert!(wait_until(|| id().is_some_and(sleeps)), "it started a process");
    test.kill().unwrap();
    test.wait().unwrap();
    assert!(wait_until(|| !runs(id().unwrap())), "its process ended with it");
}

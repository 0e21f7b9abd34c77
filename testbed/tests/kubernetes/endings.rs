//! Nothing is left running, however a test ends.

use std::{env, fs, panic, process::Command, thread};

use pnyx_testbed::kubernetes::{ControlPlane, ControlPlaneOptions, FakeNodes, Part};

use crate::{LIMIT, wait_until};

/// Tells a test, run again as a program of its own, where to write what it started before it waits to be killed.
const CHILD_FILE: &str = "PNYX_TESTBED_CHILD_FILE";

/// Ids of all processes that have to do with a control plane: they name its address or its directory.
fn processes_of(marks: &[String]) -> Vec<String> {
    let entries = fs::read_dir("/proc").expect("Linux has it").flatten();
    let about = |id: &str| fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let ours = names.filter(|name| name.parse::<u32>().is_ok_and(|id| id != std::process::id()));
    ours.filter(|id| {
        let line = String::from_utf8_lossy(&about(id)).into_owned();
        marks.iter().any(|mark| line.contains(mark.as_str()))
    })
    .collect()
}

fn start() -> (ControlPlane, FakeNodes, String) {
    let control_plane = ControlPlane::start(ControlPlaneOptions::new().controllers()).expect("it starts");
    let nodes = FakeNodes::start(&control_plane, "fake", 1).expect("nodes become Ready");
    let log = control_plane.log(Part::Etcd).to_owned();
    let directory = log.parent().expect("a log lies in a directory").display().to_string();
    (control_plane, nodes, directory)
}

#[test]
fn a_panicking_test_takes_its_control_plane_along() {
    let mut directory = String::new();
    let panicked = panic::catch_unwind(panic::AssertUnwindSafe(|| {
        let (_control_plane, _nodes, of) = start();
        directory = of;
        let marks = [directory.clone()];
        assert_eq!(processes_of(&marks).len(), 0, "this is the panic");
    }));
    let message = panicked.unwrap_err().downcast::<String>().unwrap();
    assert!(message.contains("left: 4"), "etcd, API server, controllers and kwok ran: {message}");
    assert_eq!(processes_of(&[directory.clone()]), [""; 0]);
    assert!(!fs::exists(directory).unwrap());
}

#[test]
fn a_killed_test_takes_its_control_plane_along() {
    if let Some(file) = env::var_os(CHILD_FILE) {
        let (_control_plane, _nodes, directory) = start();
        fs::write(file, directory).unwrap();
        thread::sleep(LIMIT);
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("directory");
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", "endings::a_killed_test_takes_its_control_plane_along"]).env(CHILD_FILE, &file);
    let mut test = command.stdout(std::process::Stdio::null()).spawn().unwrap();
    assert!(wait_until(|| fs::read_to_string(&file).is_ok_and(|text| !text.is_empty())), "it started a control plane");
    let marks = [fs::read_to_string(&file).unwrap()];
    assert_eq!(processes_of(&marks).len(), 4);
    test.kill().unwrap();
    test.wait().unwrap();
    assert!(wait_until(|| processes_of(&marks).is_empty()), "its processes ended with it");
}

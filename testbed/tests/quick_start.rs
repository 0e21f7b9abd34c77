//! The quick start: the page has all its lines, the files that they name are there, and kind takes what it is given, as far as
//! that shows without Docker.
#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

use std::{env, fs, os::unix::fs::PermissionsExt as _, path::Path, process::Command};

use pnyx_testbed::{
    kubernetes::Tool,
    quick_start::{self, Line, Program, Step},
};

/// All that `up` and `down` do.
fn steps() -> Vec<Step> {
    let vote = quick_start::vote("2026-12-01T12:00:00Z", "2026-12-01T12:10:00Z");
    [&quick_start::cluster("target/pnyx-image.tar")[..], &quick_start::platform(), &vote, &[quick_start::down()]]
        .concat()
}

/// Something of this repository.
fn text(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)).expect(path)
}

#[test]
fn the_page_has_every_line() {
    let page = text("docs/kind.md");
    let lines = steps().into_iter().chain([quick_start::load(2000, 100, false)]).map(|step| step.to_string());
    let all = lines.chain(quick_start::next().map(str::to_owned));
    let missing: Vec<String> = all.filter(|line| !page.contains(&format!("\n{line}\n"))).collect();
    assert!(missing.is_empty(), "docs/kind.md lacks:\n{}", missing.join("\n"));
}

#[test]
fn every_file_that_it_names_is_there() {
    let lines = |step: Step| -> Vec<Line> {
        match step {
            Step::Run(line) => vec![line],
            Step::Pipe(first, second) => vec![first, second],
        }
    };
    let words = steps().into_iter().flat_map(lines).flat_map(|line| line.arguments);
    let files: Vec<String> = words.filter(|word| word.ends_with(".yaml")).collect();
    assert_eq!(files.len(), 4, "the cluster, the values, the platform and the proposal: {files:?}");
    files.iter().for_each(|path| assert!(!text(path).is_empty()));
}

#[test]
fn the_cluster_is_called_as_kind_is_told() {
    assert!(text("testbed/kind.yaml").contains(&format!("\nname: {}\n", quick_start::CLUSTER)));
    assert_eq!(quick_start::CONTEXT, format!("kind-{}", quick_start::CLUSTER));
}

/// Answers what kind asks of Docker before it makes something, says that there are no containers, and does nothing.
const NO_DOCKER: &str = r#"#!/bin/sh
case "$1" in
  info) echo '{"CgroupDriver":"cgroupfs","CgroupVersion":"1","MemoryLimit":true,"PidsLimit":true,"CPUShares":true,"SecurityOptions":[]}' ;;
  ps | network) ;;
  *) exit 1 ;;
esac
"#;

/// What kind says of a step.
fn said_of(step: &Step, folder: &Path) -> String {
    let Step::Run(line) = step else { panic!("it is one line") };
    assert_eq!(line.program, Program::Kind);
    let docker = folder.join("docker");
    fs::write(&docker, NO_DOCKER).unwrap();
    fs::set_permissions(&docker, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", folder.display(), env::var("PATH").unwrap());
    let mut kind = Command::new(Tool::Kind.prepared().unwrap());
    kind.args(&line.arguments).current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."));
    let output =
        kind.env("PATH", path).env("HOME", folder).env("KIND_EXPERIMENTAL_PROVIDER", "docker").output().unwrap();
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

#[test]
fn kind_takes_the_configuration_and_the_lines() {
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("image.tar");
    fs::write(&archive, "").unwrap();
    let [create, load] = quick_start::cluster(&archive.to_string_lossy());
    // The first thing that it does once it has read everything.
    let said = said_of(&create, folder.path());
    assert!(said.contains("Ensuring node image"), "{said}");
    let said = said_of(&load, folder.path());
    assert!(said.contains("no nodes found for cluster \"pnyx\""), "{said}");
    let said = said_of(&quick_start::down(), folder.path());
    assert!(said.contains("Deleting cluster \"pnyx\""), "{said}");
}

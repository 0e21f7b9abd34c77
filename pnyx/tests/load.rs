//! 100,000 ballots over all seven systems, faults included: what is served equals the load generator's own expectation
//! to the unit.
#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

mod common;

use std::{fs, path::Path};

use common::{Dev, pnyx, repository, succeed};
use jiff::{Timestamp, ToSpan as _};

/// Ballots of the comparison, as the first issue asks for.
const BALLOTS: &str = "100000";

#[test]
fn what_is_served_equals_the_expectation_to_the_unit() {
    let directory = tempfile::tempdir().unwrap();
    let proposals = directory.path().join("proposals");
    fs::create_dir(&proposals).unwrap();
    let now = Timestamp::now().round(jiff::Unit::Second).unwrap();
    for entry in fs::read_dir(repository().join("examples")).unwrap() {
        let example = entry.unwrap().path();
        if example.extension().is_some_and(|extension| extension == "yaml") {
            copy(&example, &proposals, "", now - 1.minute(), now + 20.minutes());
        }
    }
    // One that opens much later, so that ballots outside a window are sent too.
    copy(&repository().join("examples/grants-round.yaml"), &proposals, "-next", now + 20.hours(), now + 40.hours());
    let proposals = proposals.display().to_string();
    let dev = Dev::start(&directory.path().join("data"), None, &[&proposals]);
    let mut load = pnyx();
    load.args(["load", "--url", &dev.url, "--ballots", BALLOTS, "--seed", "7"]);
    let output = succeed(&mut load);
    assert!(output.contains("expected  = served, to the last unit, in all 7 proposals"), "{output}");
    // The test's own words in the log: the figures of this run.
    println!("{output}");
}

/// Copies a resource with another window and its name lengthened.
fn copy(resource: &Path, to: &Path, suffix: &str, opens_at: Timestamp, closes_at: Timestamp) {
    let text = fs::read_to_string(resource).unwrap();
    let name = format!("{}{suffix}", resource.file_stem().unwrap().to_str().unwrap());
    let lines = text.lines().map(|line| match line.trim_start().split_once(':').map(|(key, _)| key) {
        Some("opensAt") => format!("    opensAt: \"{opens_at}\""),
        Some("closesAt") => format!("    closesAt: \"{closes_at}\""),
        Some("name") if line.starts_with("  name:") => format!("  name: {name}"),
        _ => line.to_owned(),
    });
    fs::write(to.join(format!("{name}.yaml")), lines.collect::<Vec<_>>().join("\n")).unwrap();
}

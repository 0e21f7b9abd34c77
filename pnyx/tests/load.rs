//! 100,000 ballots over all seven systems, faults included: what is served equals the load generator's own expectation
//! to the unit.

mod common;

use std::fs;

use common::{
    Dev, pnyx,
    proposals::{Window, copy_example, examples},
    succeed,
};

/// Ballots of the comparison, as the first issue asks for.
const BALLOTS: &str = "100000";

#[test]
fn what_is_served_equals_the_expectation_to_the_unit() {
    let directory = tempfile::tempdir().unwrap();
    let proposals = directory.path().join("proposals");
    fs::create_dir(&proposals).unwrap();
    for example in examples() {
        copy_example(&example, "", Window::around_now(60, 1_200), &proposals);
    }
    // One that opens much later, so that ballots outside a window are sent too.
    copy_example("grants-round", "-next", Window::around_now(-72_000, 144_000), &proposals);
    let proposals = proposals.display().to_string();
    let dev = Dev::start(&directory.path().join("data"), None, &[&proposals]);
    let mut load = pnyx();
    load.args(["load", "--url", &dev.url, "--ballots", BALLOTS, "--seed", "7"]);
    let output = succeed(&mut load);
    assert!(output.contains("expected  = served, to the last unit, in all 7 proposals"), "{output}");
    // The test's own words in the log: the figures of this run.
    println!("{output}");
}

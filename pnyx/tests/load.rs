//! 100,000 ballots over all seven systems, faults included: what is served equals the load generator's own expectation
//! to the unit, and after the close the audit agrees.

mod common;

use common::{Dev, pnyx, repository, succeed};

/// Ballots of the comparison, as the first issue asks for.
const BALLOTS: &str = "100000";

#[test]
fn what_is_served_equals_the_expectation_to_the_unit() {
    let directory = tempfile::tempdir().unwrap();
    let examples = repository().join("examples").display().to_string();
    let dev = Dev::start(&directory.path().join("data"), None, &[&examples, "--open-for", "20m"]);
    let mut load = pnyx();
    load.args(["load", "--url", &dev.url, "--ballots", BALLOTS, "--seed", "7"]);
    let output = succeed(&mut load);
    assert!(output.contains("expected  = served, to the last unit, in all 7 proposals"), "{output}");
    // The test's own words in the log: the figures of this run.
    println!("{output}");
}

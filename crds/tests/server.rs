//! A real API server takes the definitions, and its refusals are those of the golden file, letter by letter.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up stops there")]

mod bounds;
mod cases;

use std::{collections::BTreeMap, fmt::Write as _};

use cases::{Case, When, accepted_status, good};
use expect_test::expect_file;
use pnyx_crds::Kind;
use pnyx_testbed::{
    TestbedError,
    kubernetes::{ControlPlane, ControlPlaneOptions},
};
use serde_json::{Value, json};

/// How often kubectl asks before a definition is established, and how long in all.
const ESTABLISHED_LIMIT: &str = "--timeout=30s";

/// Tries to make what is read; nothing is kept.
const DRY_RUN: &[&str] = &["create", "--dry-run=server", "--validate=false", "-f", "-"];

#[test]
fn the_api_server_refuses_what_the_rules_refuse() {
    let server = ControlPlane::start(ControlPlaneOptions::new()).unwrap();
    Kind::ALL.into_iter().for_each(|kind| establish(&server, kind));
    let mut table = String::new();
    for kind in Kind::ALL {
        let stored = good(kind);
        server.apply(&stored.to_string()).unwrap();
        let of_kind = |when| cases::all().into_iter().filter(move |case| case.kind == kind && case.when == when);
        of_kind(When::Created).for_each(|case| refuse(&server, &case, &mut table));
        if kind == Kind::Proposal {
            // Nothing binds before the proposal is accepted.
            of_kind(When::Accepted).for_each(|case| drop(patch(&server, &case).unwrap()));
        }
        let status = json!({"status": accepted_status()}).to_string();
        let name = stored["metadata"]["name"].as_str().unwrap();
        let plural = kind.plural();
        server.kubectl(&["patch", &plural, name, "--subresource=status", "--type=merge", "-p", &status]).unwrap();
        of_kind(When::Accepted).for_each(|case| refuse(&server, &case, &mut table));
        let allowed = cases::allowed().into_iter().filter(|case| case.kind == kind);
        allowed.for_each(|case| drop(patch(&server, &case).unwrap()));
    }
    expect_file!["rules.txt"].assert_eq(&table);
}

#[test]
fn the_api_server_refuses_what_is_out_of_bounds() {
    let server = ControlPlane::start(ControlPlaneOptions::new()).unwrap();
    let mut table = String::new();
    for kind in Kind::ALL {
        establish(&server, kind);
        let mut said = BTreeMap::new();
        for group in bounds::groups(kind) {
            let refusal = server.kubectl_with(DRY_RUN, &bounds::resource(&group).to_string()).unwrap_err().to_string();
            for case in group {
                let lines: Vec<_> = refusal.lines().filter_map(|line| at_place(line, &case.place())).collect();
                assert!(lines.iter().any(|line| line.contains(case.words)), "{}: {refusal}", case.title());
                said.insert(case.title(), lines);
            }
        }
        for case in bounds::all(kind) {
            writeln!(table, "{}", case.title()).unwrap();
            said[&case.title()].iter().for_each(|line| writeln!(table, "  {line}").unwrap());
        }
    }
    expect_file!["bounds.txt"].assert_eq(&table);
}

/// What a line says of a place or of what it lacks, without the value, which may be long.
fn at_place(line: &str, place: &str) -> Option<String> {
    let line = line.trim_start_matches("* ");
    let line = line.split_once(" is invalid: ").map_or(line, |(_, problem)| problem);
    let (path, problem) = line.split_once(": ")?;
    let is_lack = path.strip_prefix(place).is_some_and(|rest| rest.starts_with('.')) && problem == "Required value";
    let is_double = path.strip_prefix(place) == Some("[1]") && problem.starts_with("Duplicate value");
    if path != place && !is_lack && !is_double {
        return None;
    }
    let message = problem.rsplit_once(&format!("{place} in body ")).map_or(problem, |(_, message)| message);
    Some(format!("{path}: {message}"))
}

#[test]
fn shards_are_chosen_through_the_scale_subresource_and_fields_select() {
    let server = ControlPlane::start(ControlPlaneOptions::new()).unwrap();
    establish(&server, Kind::Proposal);
    server.apply(&good(Kind::Proposal).to_string()).unwrap();
    server.kubectl(&["scale", "gprop/good", "--replicas=5"]).unwrap();
    let shards = server.kubectl(&["get", "gprop/good", "-o", "jsonpath={.spec.scaling.shards}"]).unwrap();
    assert_eq!(shards, "5");
    let too_many = server.kubectl(&["scale", "gprop/good", "--replicas=9"]).unwrap_err().to_string();
    assert!(too_many.contains("shards must be at most maxShards"), "{too_many}");
    for (selector, names) in [("spec.platformRef.name=main", "good"), ("spec.space=other.eth", "")] {
        let found =
            server.kubectl(&["get", "gprop", "--field-selector", selector, "-o", "jsonpath={.items[*].metadata.name}"]);
        assert_eq!(found.unwrap(), names, "{selector}");
    }
}

fn establish(server: &ControlPlane, kind: Kind) {
    server.apply(&kind.yaml()).unwrap();
    let definition = format!("crd/{}.pnyx.dev", kind.plural());
    server.kubectl(&["wait", "--for=condition=Established", ESTABLISHED_LIMIT, &definition]).unwrap();
}

/// Notes what the server says to a case, in the form of the golden file.
fn refuse(server: &ControlPlane, case: &Case, table: &mut String) {
    let answer = match case.when {
        When::Created => {
            let mut resource = case.changed();
            resource["metadata"]["name"] = Value::from("refused");
            server.apply(&resource.to_string())
        }
        When::Accepted => patch(server, case),
    };
    let refusal = answer.expect_err(&case.title()).to_string();
    writeln!(table, "{}", case.title()).unwrap();
    for line in refusal.lines() {
        for kind in [": Invalid value: ", ": Forbidden: "] {
            let Some((path, problem)) = line.split_once(kind) else { continue };
            let path = path.rsplit([' ', '*']).next().unwrap();
            // Where the value is a text it is repeated before the message.
            let message = problem.split_once("\": ").map_or(problem, |(_, message)| message);
            writeln!(table, "  {path}: {message}").unwrap();
        }
    }
    table.push('\n');
}

/// Tries a change of what is stored; nothing is kept.
fn patch(server: &ControlPlane, case: &Case) -> Result<String, TestbedError> {
    let stored = good(case.kind);
    let (plural, name) = (case.kind.plural(), stored["metadata"]["name"].as_str().unwrap());
    let change = cases::yaml(case.patch).to_string();
    server.kubectl(&["patch", &plural, name, "--type=merge", "--dry-run=server", "-p", &change])
}

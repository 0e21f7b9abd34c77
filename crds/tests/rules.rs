//! The rules of the schemas refuse what they should, each with a message for people; no rule is without a case.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up stops there")]

mod cases;

use std::{collections::BTreeSet, fmt::Write as _};

use cases::{Case, When, accepted_status, good};
use expect_test::expect_file;
use kube_cel::{ErrorKind, ValidationError, Validator};
use pnyx_crds::Kind;
use serde_json::Value;

/// Where rules stand in a schema: paths without the numbers of items.
type Rules = BTreeSet<(String, String)>;

#[test]
fn each_refusal_says_what_to_do() {
    let mut table = String::new();
    for case in cases::all() {
        let refusals = refusals(&case);
        assert!(!refusals.is_empty(), "{} is not refused", case.title());
        writeln!(table, "{}", case.title()).unwrap();
        for refusal in &refusals {
            assert_eq!(refusal.kind, ErrorKind::ValidationFailure, "{}: {refusal}", case.title());
            writeln!(table, "  {}: {}", refusal.field_path.trim_start_matches('.'), refusal.message).unwrap();
        }
        table.push('\n');
    }
    expect_file!["rules.txt"].assert_eq(&table);
}

#[test]
fn each_rule_has_a_case() {
    for kind in Kind::ALL {
        let stated = stated(kind);
        let of_kind = cases::all().into_iter().filter(|case| case.kind == kind);
        let refused: Rules = of_kind.flat_map(|case| refusals(&case)).map(|refusal| place(&refusal)).collect();
        let without: Vec<_> = stated.iter().filter(|rule| !refused.contains(*rule)).collect();
        assert!(without.is_empty(), "{} has rules without a case: {without:#?}", kind.name());
        let unknown: Vec<_> = refused.iter().filter(|rule| !stated.contains(*rule)).collect();
        assert!(unknown.is_empty(), "{} refuses what no rule says: {unknown:#?}", kind.name());
    }
}

#[test]
fn good_resources_pass_and_so_does_what_binds_nobody() {
    for kind in Kind::ALL {
        assert_eq!(validate(kind, &good(kind), None), []);
        let accepted = accepted(kind);
        assert_eq!(validate(kind, &accepted, Some(&accepted)), []);
    }
    for case in cases::allowed() {
        assert_eq!(refusals(&case), [], "{}", case.title());
    }
}

#[test]
fn nothing_binds_before_a_proposal_is_accepted() {
    let stored = good(Kind::Proposal);
    for case in cases::all().into_iter().filter(|case| case.kind == Kind::Proposal && case.when == When::Accepted) {
        assert_eq!(validate(case.kind, &case.changed(), Some(&stored)), [], "{}", case.title());
        let mut refused = stored.clone();
        refused["status"] = accepted_status();
        refused["status"]["conditions"][0]["status"] = "False".into();
        let mut changed = case.changed();
        changed["status"] = refused["status"].clone();
        assert_eq!(validate(case.kind, &changed, Some(&refused)), [], "{}", case.title());
    }
}

#[test]
fn what_is_being_recorded_binds_already() {
    for case in cases::all().into_iter().filter(|case| case.kind == Kind::Proposal && case.when == When::Accepted) {
        let mut stored = accepted(case.kind);
        let condition = &mut stored["status"]["conditions"][0];
        (condition["status"], condition["reason"]) = ("Unknown".into(), "Recording".into());
        let mut changed = case.changed();
        changed["status"] = stored["status"].clone();
        assert_ne!(validate(case.kind, &changed, Some(&stored)), [], "{}", case.title());
    }
}

#[test]
fn every_message_is_for_people() {
    for kind in Kind::ALL {
        walk(&kind.schema(), String::new(), &mut |path, rule| {
            let message = rule["message"].as_str().unwrap_or_default();
            assert!(message.len() > 20, "{path}: {rule} needs a message");
            assert!(!message.contains("  ") && !message.contains('\n'), "{path}: {message}");
        });
    }
}

/// What the rules say to a case.
fn refusals(case: &Case) -> Vec<ValidationError> {
    match case.when {
        When::Created => validate(case.kind, &case.changed(), None),
        When::Accepted => {
            let stored = accepted(case.kind);
            let mut changed = case.changed();
            changed["status"] = stored["status"].clone();
            validate(case.kind, &changed, Some(&stored))
        }
    }
}

fn accepted(kind: Kind) -> Value {
    let mut resource = good(kind);
    resource["status"] = accepted_status();
    resource
}

fn validate(kind: Kind, resource: &Value, stored: Option<&Value>) -> Vec<ValidationError> {
    let result = Validator::new().validate(&kind.schema(), resource, stored);
    result.err().map(kube_cel::ValidationErrors::into_vec).unwrap_or_default()
}

/// Every rule of a schema by where its refusals point.
fn stated(kind: Kind) -> Rules {
    let mut rules = Rules::new();
    walk(&kind.schema(), String::new(), &mut |path, rule| {
        let field = rule["fieldPath"].as_str().unwrap_or_default();
        let path = format!("{path}{field}").trim_start_matches('.').to_owned();
        rules.insert((path, rule["rule"].as_str().unwrap().to_owned()));
    });
    assert!(rules.len() > 15, "the schema of {} is walked", kind.name());
    rules
}

fn walk(schema: &Value, path: String, visit: &mut impl FnMut(&str, &Value)) {
    for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
        visit(&path, rule);
    }
    for (field, property) in schema["properties"].as_object().into_iter().flatten() {
        walk(property, format!("{path}.{field}"), visit);
    }
    if schema["items"].is_object() {
        walk(&schema["items"], format!("{path}[]"), visit);
    }
    assert!(schema["additionalProperties"]["x-kubernetes-validations"].is_null(), "{path}: no rules below keys");
}

fn place(refusal: &ValidationError) -> (String, String) {
    let mut path = String::new();
    for part in refusal.field_path.trim_start_matches('.').split('[') {
        match part.split_once(']') {
            Some((_, rest)) => path.extend(["[]", rest]),
            None => path.push_str(part),
        }
    }
    (path, refusal.rule.clone())
}

//! The committed definitions are those that the types give, and they keep to what Kubernetes asks of them.

use expect_test::{ExpectFile, expect_file};
use pnyx_crds::{Kind, conditions};
use serde_json::Value;

fn committed(kind: Kind) -> ExpectFile {
    match kind {
        Kind::Proposal => expect_file!["../yaml/governanceproposals.yaml"],
        Kind::Platform => expect_file!["../yaml/governanceplatforms.yaml"],
    }
}

/// What a client-side apply may store of an object, in bytes; definitions stay well below half of it.
const APPLY_BYTES_MAX: usize = 256 * 1024;

#[test]
fn the_committed_definitions_are_as_generated() {
    for kind in Kind::ALL {
        committed(kind).assert_eq(&kind.yaml());
        assert!(kind.yaml().len() < APPLY_BYTES_MAX / 2, "{} is too large", kind.plural());
    }
}

#[test]
fn the_definitions_have_no_unsigned_and_no_floating_numbers() {
    for format in ["format: uint", "format: double", "format: float", "type: number"] {
        assert!(!pnyx_crds::crd_yaml().contains(format), "{format}");
    }
}

#[test]
fn every_text_that_people_write_is_explained() {
    for kind in Kind::ALL {
        check_described(&kind.schema()["properties"]["spec"], "spec");
        check_described(&kind.schema()["properties"]["status"], "status");
    }
}

fn check_described(schema: &Value, path: &str) {
    assert!(schema["description"].as_str().is_some_and(|text| !text.is_empty()), "{path} says nothing of itself");
    for (field, property) in schema["properties"].as_object().into_iter().flatten() {
        check_described(property, &format!("{path}.{field}"));
    }
}

#[test]
fn conditions_are_a_map_by_type_with_room_for_each() {
    for (kind, all) in [(Kind::Proposal, conditions::proposal::ALL), (Kind::Platform, conditions::platform::ALL)] {
        let schema = kind.schema();
        let conditions = &schema["properties"]["status"]["properties"]["conditions"];
        assert_eq!(conditions["x-kubernetes-list-type"], "map");
        assert_eq!(conditions["x-kubernetes-list-map-keys"], serde_json::json!(["type"]));
        assert!(conditions["maxItems"].as_u64().is_some_and(|most| most > all.len() as u64));
    }
}

#[test]
fn condition_types_and_reasons_are_these() {
    let words = |all: &[&str]| all.join("\n");
    expect_file!["conditions.txt"].assert_eq(&format!(
        "GovernanceProposal\n{}\n\nGovernancePlatform\n{}\n\nReasons\n{}\n",
        words(conditions::proposal::ALL),
        words(conditions::platform::ALL),
        words(conditions::reasons::ALL)
    ));
}

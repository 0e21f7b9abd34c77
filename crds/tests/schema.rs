//! The committed definition is the one that the types give, and what it says holds for the examples.

use std::fs;

use expect_test::expect_file;

#[test]
fn the_committed_definition_is_as_generated() {
    expect_file!["../yaml/governanceproposals.yaml"].assert_eq(&pnyx_crds::crd_yaml());
}

#[test]
fn the_definition_has_no_unsigned_and_no_floating_numbers() {
    let yaml = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/yaml/governanceproposals.yaml")).unwrap();
    for format in ["format: uint", "format: double", "format: float", "type: number"] {
        assert!(!yaml.contains(format), "{format}");
    }
}

//! What is rendered: with no values, with each value, and what is refused.

use expect_test::expect_file;
use pnyx_testbed::kubernetes::Tool;

use crate::{
    NAMESPACE, RELEASE,
    cases::{CASES, REFUSED},
    path, rendered,
};

#[test]
fn helm_finds_nothing_to_say_against_it() {
    Tool::Helm.run(&path("charts"), &["lint", "--strict", "pnyx"]).unwrap();
}

#[test]
fn with_no_values_it_is_what_is_written_down() {
    expect_file!["golden/defaults.yaml"].assert_eq(&rendered("{}").unwrap());
}

#[test]
fn each_value_does_what_it_says() {
    let defaults = rendered("{}").unwrap();
    for case in CASES {
        let made = rendered(case.values).unwrap();
        assert_ne!(made, defaults, "{} changes nothing", case.values);
        for text in case.brings {
            assert!(made.contains(text), "{} does not bring {text}:\n{made}", case.values);
            assert!(!defaults.contains(text), "{text} is there without {}", case.values);
        }
        for text in case.takes {
            assert!(!made.contains(text), "{} does not take {text}:\n{made}", case.values);
            assert!(defaults.contains(text), "{text} is not there without {}", case.values);
        }
    }
}

#[test]
fn definitions_are_kept_unless_told_otherwise() {
    let kept = rendered("crds: {install: true}").unwrap();
    assert_eq!(kept.matches("helm.sh/resource-policy: keep").count(), 2);
    let not_kept = rendered("crds: {install: true, keep: false}").unwrap();
    assert!(!not_kept.contains("helm.sh/resource-policy"));
    assert_eq!(not_kept.matches("kind: CustomResourceDefinition").count(), 2);
}

#[test]
fn what_cannot_be_is_refused_with_its_name() {
    for (values, words) in REFUSED {
        let refused = rendered(values).expect_err(values).to_string();
        for word in *words {
            assert!(refused.contains(word), "{values} is refused without {word}: {refused}");
        }
    }
}

#[test]
fn with_the_demos_servers_it_says_that_they_are_no_place_for_votes() {
    let values = path("examples/kind/values.yaml").display().to_string();
    let line = ["install", RELEASE, "pnyx", "--dry-run=client", "--namespace", NAMESPACE, "--values", &values];
    let said = Tool::Helm.run(&path("charts"), &line).unwrap();
    expect_file!["golden/notes-demo.txt"].assert_eq(said.split_once("NOTES:\n").expect("it has notes").1);
}

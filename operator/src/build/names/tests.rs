//! No name is too long, none meets another.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const SUFFIXES: [&str; 6] = ["config", "ingest", "tally", "verifier", "recount", "pin"];

#[test]
fn short_names_stay_as_they_are() {
    assert_eq!(child_name("grants-round", "verifier"), "grants-round-verifier");
    assert_eq!(label_value("grants-round"), "grants-round");
    // What cannot stay is replaced, and what could be mistaken for a hash gets one.
    assert_eq!(child_name("2026.grants", "pin"), "grants-aad11dbb94181e1d-pin");
    assert_eq!(child_name("42", "pin"), "x-73475cb40a568e8d-pin");
    let hashed = child_name("grants-aad11dbb94181e1d", "pin");
    assert_ne!(hashed, "grants-aad11dbb94181e1d-pin");
}

/// Names that the API server takes, many of them close to each other.
fn owner() -> impl Strategy<Value = String> {
    let part = prop_oneof!["[a-c]", "[0-9a-f]{16}", "[a-z0-9]([-a-z0-9]{0,60}[a-z0-9])?"];
    let parts = proptest::collection::vec((part, prop_oneof![Just('-'), Just('.')]), 1..6);
    parts.prop_map(|parts| {
        let name: String =
            parts.into_iter().flat_map(|(part, dot)| part.chars().chain([dot]).collect::<Vec<_>>()).collect();
        name.trim_end_matches(['-', '.']).chars().take(253).collect::<String>().trim_end_matches(['-', '.']).to_owned()
    })
}

proptest! {
    #[test]
    fn names_are_labels_within_bounds(owner in owner()) {
        for suffix in SUFFIXES {
            let name = child_name(&owner, suffix);
            prop_assert!(is_label(&name) && name.len() <= NAME_BYTES_MAX, "{name}");
        }
        let label = label_value(&owner);
        prop_assert!(is_label(&label) && label.len() <= NAME_BYTES_MAX, "{label}");
    }

    #[test]
    fn no_two_children_of_different_owners_meet(owners in proptest::collection::vec(owner(), 1..40)) {
        let mut seen = BTreeMap::new();
        for owner in owners {
            // One that is named like the child of another, too.
            let shadow = child_name(&owner, "pin").trim_end_matches("-pin").to_owned();
            for owner in [owner, shadow] {
                for suffix in SUFFIXES {
                    let before = seen.insert(child_name(&owner, suffix), (owner.clone(), suffix));
                    prop_assert!(before.is_none_or(|before| before == (owner.clone(), suffix)));
                }
            }
        }
    }
}

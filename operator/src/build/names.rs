//! Names of children: `<owner>-<suffix>`, always DNS labels, never longer than one may be, and never the same for two owners.
//!
//! An owner's name may be 253 bytes long, have dots and begin with a digit; a child's may not, because Services and labels
//! are named like it. Such a name is shortened to what can stay of it, and a hash of all of it follows. A name that only
//! looks as if it ended in such a hash gets one as well, so that nobody can choose a name that meets another's.

use sha2::{Digest as _, Sha256};

/// Longest name of a Service, and longest value of a label, in bytes (RFC 1035).
pub const NAME_BYTES_MAX: usize = 63;

/// Digits of a hash in a name: 64 bits. Two names of one namespace that meet by chance would need billions of owners.
const HASH_DIGITS: usize = 16;

/// The name of a child. A suffix is one word without a dash, so the last word of a name says which it is.
pub(super) fn child_name(owner: &str, suffix: &'static str) -> String {
    let room = NAME_BYTES_MAX.saturating_sub(suffix.len() + 1);
    format!("{}-{suffix}", label(owner, room))
}

/// The owner's name as the value of a label.
pub(super) fn label_value(owner: &str) -> String {
    label(owner, NAME_BYTES_MAX)
}

/// The name itself where it is a label of at most `room` bytes, else what can stay of it and a hash.
fn label(name: &str, room: usize) -> String {
    if is_label(name) && name.len() <= room && !ends_in_hash(name) {
        return name.to_owned();
    }
    let plain: String = name.chars().map(|char| if is_plain(char) { char } else { '-' }).collect();
    let plain = plain.trim_start_matches(|char: char| !char.is_ascii_lowercase());
    let kept: String = plain.chars().take(room.saturating_sub(HASH_DIGITS + 1)).collect();
    let kept = kept.trim_end_matches('-');
    let kept = if kept.is_empty() { "x" } else { kept };
    format!("{kept}-{}", hash(name))
}

/// A label of RFC 1035: letters, digits and dashes, a letter first, no dash last.
fn is_label(name: &str) -> bool {
    name.starts_with(|char: char| char.is_ascii_lowercase()) && !name.ends_with('-') && name.chars().all(is_plain)
}

fn is_plain(char: char) -> bool {
    char.is_ascii_lowercase() || char.is_ascii_digit() || char == '-'
}

/// Whether the last word could be a hash.
fn ends_in_hash(name: &str) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    name.rsplit_once('-').is_some_and(|(_, last)| last.len() == HASH_DIGITS && last.bytes().all(is_digit))
}

fn hash(name: &str) -> String {
    super::hex(&Sha256::digest(name), HASH_DIGITS)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    const SUFFIXES: [&str; 6] = ["config", "ingest", "tally", "verifier", "recount", "pin"];

    #[test]
    fn short_names_stay_as_they_are() {
        assert_eq!(child_name("grants-round", "verifier"), "grants-round-verifier");
        assert_eq!(label_value("grants-round"), "grants-round");
        // What cannot stay is replaced, and what could be mistaken for a hash gets one.
        assert_eq!(child_name("2026.grants", "pin"), "grants-b6ffbb19c9e6da4f-pin");
        assert_eq!(child_name("42", "pin"), "x-73475cb40a568e8d-pin");
        let hashed = child_name("grants-b6ffbb19c9e6da4f", "pin");
        assert_ne!(hashed, "grants-b6ffbb19c9e6da4f-pin");
    }

    /// Names that the API server takes, many of them close to each other.
    fn owner() -> impl Strategy<Value = String> {
        let part = prop_oneof!["[a-c]", "[0-9a-f]{16}", "[a-z0-9]([-a-z0-9]{0,60}[a-z0-9])?"];
        let parts = proptest::collection::vec((part, prop_oneof![Just('-'), Just('.')]), 1..6);
        parts.prop_map(|parts| {
            let name: String =
                parts.into_iter().flat_map(|(part, dot)| part.chars().chain([dot]).collect::<Vec<_>>()).collect();
            name.trim_end_matches(['-', '.'])
                .chars()
                .take(253)
                .collect::<String>()
                .trim_end_matches(['-', '.'])
                .to_owned()
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
}

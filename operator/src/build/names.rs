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
mod tests;

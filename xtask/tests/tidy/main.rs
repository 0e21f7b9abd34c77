//! Rules of this repository that compilers do not know. Each failure says what to do.

mod dependencies;
mod documents;
mod licences;
mod sources;

use std::fs;

/// The text of a file, by its path from the root.
fn read(path: &str) -> String {
    fs::read_to_string(xtask::root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Fails with all problems, one a line.
fn assert_none(problems: &[String]) {
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}

//! Resources of the tests: the examples with another window, and a plain one where every wallet has one vote.

use std::{
    fs,
    path::{Path, PathBuf},
};

use jiff::Timestamp;

use super::repository;

/// When a proposal takes ballots.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window {
    pub(crate) opens_at: Timestamp,
    pub(crate) closes_at: Timestamp,
}

impl Window {
    /// Open since `opened_s` seconds ago, for `open_for_s` seconds from now.
    pub(crate) fn around_now(opened_s: i64, open_for_s: i64) -> Self {
        let now = Timestamp::now().round(jiff::Unit::Second).unwrap();
        let shifted = |seconds: i64| now + jiff::SignedDuration::from_secs(seconds);
        Self { opens_at: shifted(-opened_s), closes_at: shifted(open_for_s) }
    }
}

/// The file names of all examples without `.yaml`, in order.
pub(crate) fn examples() -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(repository().join("examples"))
        .unwrap()
        .filter_map(|entry| Some(entry.unwrap().file_name().to_str()?.strip_suffix(".yaml")?.to_owned()))
        .collect();
    names.sort();
    names
}

/// Writes an example into a folder with another window and its name lengthened by `suffix`.
pub(crate) fn copy_example(example: &str, suffix: &str, window: Window, to: &Path) -> PathBuf {
    let text = fs::read_to_string(repository().join(format!("examples/{example}.yaml"))).unwrap();
    let lines = text.lines().map(|line| match line.trim_start().split_once(':').map(|(key, _)| key) {
        Some("opensAt") => format!("    opensAt: \"{}\"", window.opens_at),
        Some("closesAt") => format!("    closesAt: \"{}\"", window.closes_at),
        Some("name") if line.starts_with("  name:") => format!("  name: {example}{suffix}"),
        _ => line.to_owned(),
    });
    let file = to.join(format!("{example}{suffix}.yaml"));
    fs::write(&file, lines.collect::<Vec<_>>().join("\n")).unwrap();
    file
}

/// Writes a single-choice proposal in which every wallet has one vote.
pub(crate) fn write_plain(name: &str, window: Window, to: &Path) -> PathBuf {
    let Window { opens_at, closes_at } = window;
    let file = to.join(format!("{name}.yaml"));
    let text = format!(
        "apiVersion: pnyx.dev/v1alpha1
kind: GovernanceProposal
metadata:
  name: {name}
  namespace: default
spec:
  space: test.eth
  title: \"{name}\"
  author: \"Tests\"
  body: \"\"
  choices: [\"One\", \"Two\", \"Three\"]
  voting:
    system: SingleChoice
  window:
    opensAt: \"{opens_at}\"
    closesAt: \"{closes_at}\"
  power:
    strategies:
      - ticket:
          value: \"1\"
"
    );
    fs::write(&file, text).unwrap();
    file
}

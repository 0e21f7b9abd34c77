//! The page for operators names every metric that any component registers, and shows what commands really print.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// What tests compare with what was printed, and the page shows to the letter.
const SHOWN: [&str; 3] =
    ["pnyx/tests/explain/grants-round.txt", "core/tests/scaling/words.txt", "testbed/tests/chart/golden/notes.txt"];

const COMPONENTS: [&str; 7] = ["backbone", "chains", "ingest", "verifier", "tally", "recount", "operator"];

/// The names that are registered in a source, with their units.
fn names(source: &str) -> Vec<String> {
    let mut names = Vec::new();
    let prefix = source.split_once("sub_registry_with_prefix(\"").and_then(|(_, rest)| rest.split_once('"'));
    let prefix = prefix.map_or_else(String::new, |(prefix, _)| format!("{prefix}_"));
    // The last is a gauge that several components register, each under a name of its own.
    let calls = [
        ("registry.register(", false),
        ("registry.register_with_unit(", true),
        ("disabled.register(registry, ", false),
    ];
    for (call, has_unit) in calls {
        for rest in source.split(call).skip(1) {
            let name = rest.trim_start().strip_prefix('"').and_then(|rest| rest.split_once('"'));
            let suffix = if has_unit { unit_suffix(rest) } else { String::new() };
            names.extend(name.map(|(name, _)| format!("pnyx_{prefix}{name}{suffix}")));
        }
    }
    names
}

/// What the next unit in a source is at the end of a name: `_seconds`, `_bytes`.
fn unit_suffix(source: &str) -> String {
    let unit = source.split_once("Unit::").map_or("", |(_, rest)| rest);
    let word: String = unit.chars().take_while(char::is_ascii_alphabetic).collect();
    format!("_{}", word.to_lowercase())
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] }).collect()
}

#[test]
fn every_metric_is_explained() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let page = fs::read_to_string(root.join("docs/operations.md")).unwrap();
    let files = COMPONENTS.iter().flat_map(|component| sources(&root.join(component).join("src")));
    let names: Vec<String> = files.flat_map(|file| names(&fs::read_to_string(file).unwrap())).collect();
    assert!(names.len() > 40, "the sources are searched: {names:?}");
    let missing: Vec<_> = names.iter().filter(|name| !page.contains(&format!("`{name}`"))).collect();
    assert!(missing.is_empty(), "docs/operations.md says nothing of {missing:?}");
    let explained = page.split('`').filter(|word| word.starts_with("pnyx_"));
    let gone: Vec<_> = explained.filter(|word| !names.iter().any(|name| name == word)).collect();
    assert!(gone.is_empty(), "docs/operations.md explains {gone:?}, which nobody registers");
}

#[test]
fn what_the_page_shows_is_what_commands_print() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let page = fs::read_to_string(root.join("docs/operations.md")).unwrap();
    for file in SHOWN {
        let printed = fs::read_to_string(root.join(file)).unwrap();
        assert!(printed.lines().count() > 5 && page.contains(&printed), "docs/operations.md does not show {file}");
    }
}

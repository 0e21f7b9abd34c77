//! What every Rust source looks like.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use crate::{assert_none, dependencies::METADATA, read};

/// Most lines of a file without its tests: what a person still reads in one sitting.
const LINES_MAX: usize = 500;

/// Files that are longer, with the length they may not exceed; when one shrinks, its number here shrinks with it.
const LONGER: &[(&str, usize)] = &[];

/// What no source may contain, and what to do instead. Split, so that this file does not contain it.
const BANNED: &[(&str, &str)] = &[
    (concat!("#[", "allow("), "use #[expect(…, reason = \"…\")], which says when it is no longer needed"),
    (concat!("#![", "allow("), "use #![expect(…, reason = \"…\")], which says when it is no longer needed"),
    (concat!("todo", "!("), "finish it"),
    (concat!("unimplemented", "!("), "finish it"),
    (concat!("#[", "ignore"), "a test that does not run tests nothing"),
];

#[test]
fn every_file_opens_with_its_purpose() {
    let without = sources().into_iter().filter(|path| !read(path).starts_with("//! "));
    assert_none(&without.map(|path| format!("{path}: must open with `//! ` and its purpose")).collect::<Vec<_>>());
}

#[test]
fn files_are_short() {
    let mut problems = Vec::new();
    for path in sources().iter().filter(|path| !is_test(path)) {
        let length = read(path).lines().take_while(|line| *line != "#[cfg(test)]").count();
        match LONGER.iter().find(|(longer, _)| longer == path) {
            None if length > LINES_MAX => problems.push(format!("{path}: has {length} lines without tests, split it")),
            Some((_, most)) if length != *most => {
                problems.push(format!("{path}: has {length} lines, LONGER says {most}"))
            }
            Some((_, most)) if *most <= LINES_MAX => problems.push(format!("{path}: need not stand in LONGER")),
            None | Some(_) => {}
        }
    }
    assert_none(&problems);
}

#[test]
fn no_file_is_dead() {
    let mut reached = BTreeSet::new();
    for package in METADATA.workspace_packages() {
        for target in &package.targets {
            let root = target.src_path.as_std_path();
            follow(root, root.parent().expect("a source lies in a folder"), &mut reached);
        }
    }
    let dead = sources().into_iter().filter(|path| !reached.contains(&xtask::root().join(path)));
    assert_none(&dead.map(|path| format!("{path}: no `mod` line leads to it")).collect::<Vec<_>>());
}

#[test]
fn nothing_is_hidden_or_left_for_later() {
    let mut problems = Vec::new();
    for path in sources() {
        for (index, line) in read(&path).lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//")) {
            let found = BANNED.iter().filter(|(banned, _)| line.contains(banned));
            problems.extend(found.map(|(banned, advice)| format!("{path}:{}: {banned} … {advice}", index + 1)));
        }
    }
    assert_none(&problems);
}

/// All Rust sources of the workspace by their paths from the root, in order.
fn sources() -> Vec<String> {
    let mut found = Vec::new();
    for package in METADATA.workspace_packages() {
        collect(package.manifest_path.parent().expect("a manifest lies in a folder").as_std_path(), &mut found);
    }
    found.sort();
    found
}

fn collect(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).expect("our folders can be listed") {
        let path = entry.expect("our folders can be listed").path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let path = path.strip_prefix(xtask::root()).expect("our crates lie below the root");
            found.push(path.to_str().expect("names are plain").to_owned());
        }
    }
}

fn is_test(path: &str) -> bool {
    path.contains("/tests/") || path.ends_with("/tests.rs")
}

/// Notes `file` and all files that its `mod` lines lead to; `folder` is where it looks for them.
fn follow(file: &Path, folder: &Path, reached: &mut BTreeSet<PathBuf>) {
    if !reached.insert(file.to_owned()) {
        return;
    }
    let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    for line in text.lines() {
        let Some(name) = module_name(line) else { continue };
        let beside = folder.join(format!("{name}.rs"));
        let inside = folder.join(name);
        if beside.exists() {
            follow(&beside, &inside, reached);
        } else if inside.join("mod.rs").exists() {
            follow(&inside.join("mod.rs"), &inside, reached);
        }
    }
}

fn module_name(line: &str) -> Option<&str> {
    let line = line.trim().strip_suffix(';')?;
    let line = ["pub ", "pub(crate) ", "pub(super) "].iter().find_map(|start| line.strip_prefix(start)).unwrap_or(line);
    line.strip_prefix("mod ")
}

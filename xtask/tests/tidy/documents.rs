//! Documents that must follow the sources.

use std::{collections::BTreeSet, fs};

use crate::{assert_none, read};

#[test]
fn the_formats_page_was_compared_with_the_wire_formats() {
    let (page, new_page) = xtask::generated::formats_page().expect("docs/formats.md carries the hash of core/src/wire");
    assert!(
        page == new_page,
        "core/src/wire changed: make docs/formats.md say what it does now, then run `cargo xtask gen`"
    );
}

#[test]
fn the_chart_installs_the_resource_definitions_as_they_are() {
    let stale = xtask::generated::chart_templates().expect("crds/yaml has the definitions").into_iter();
    let stale = stale.filter(|(path, template)| read(path) != *template);
    let problems = stale.map(|(path, _)| format!("{path}: not as crds/yaml says; run `cargo xtask gen`"));
    assert_none(&problems.collect::<Vec<_>>());
}

#[test]
fn decisions_have_one_form() {
    let mut problems = Vec::new();
    let mut numbers = BTreeSet::new();
    for entry in fs::read_dir(xtask::root().join("docs/decisions")).expect("decisions are written down") {
        let name = entry.expect("the folder can be listed").file_name().into_string().expect("names are plain");
        let Some((number, _)) = name.split_once('-').filter(|(number, _)| number.len() == 4) else {
            problems.push(format!("docs/decisions/{name}: must be called NNNN-title.md"));
            continue;
        };
        if !numbers.insert(number.to_owned()) {
            problems.push(format!("docs/decisions/{name}: the number is taken"));
        }
        let text = read(&format!("docs/decisions/{name}"));
        let sections = ["# ", "## Context\n", "## Decision\n", "## Consequences\n"];
        let missing = sections.iter().filter(|section| !text.contains(*section));
        problems.extend(missing.map(|section| format!("docs/decisions/{name}: has no `{}`", section.trim_end())));
    }
    assert_none(&problems);
}

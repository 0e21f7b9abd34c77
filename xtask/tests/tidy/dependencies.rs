//! What crates may depend on.

use std::{collections::BTreeSet, sync::LazyLock};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};

use crate::{assert_none, read};

/// The only libraries of the core: numbers, hashes, signatures, text formats. None does I/O.
const CORE: &[&str] = &["alloy-primitives", "base64", "secp256k1", "serde", "serde_json", "sha2", "thiserror"];

/// Which of our crates each of our crates may use: one direction, and components never each other.
const DIRECTIONS: &[(&str, &[&str])] = &[
    ("pnyx-core", &[]),
    ("pnyx-crds", &["pnyx-core"]),
    ("pnyx-backbone", &["pnyx-core"]),
    ("pnyx-chains", &["pnyx-core"]),
    ("pnyx-verification", &["pnyx-core", "pnyx-backbone", "pnyx-crds", "pnyx-chains"]),
    ("pnyx-ingest", COMPONENT),
    ("pnyx-verifier", COMPONENT),
    ("pnyx-tally", COMPONENT),
    ("pnyx-recount", COMPONENT),
    ("pnyx-operator", COMPONENT),
    (
        "pnyx",
        &[
            "pnyx-core",
            "pnyx-crds",
            "pnyx-backbone",
            "pnyx-chains",
            "pnyx-verification",
            "pnyx-ingest",
            "pnyx-verifier",
            "pnyx-tally",
            "pnyx-recount",
            "pnyx-operator",
        ],
    ),
    ("pnyx-testbed", &[]),
    ("pnyx-bench-support", &["pnyx-core"]),
    ("xtask", &["pnyx-testbed"]),
];

const COMPONENT: &[&str] = &["pnyx-core", "pnyx-crds", "pnyx-backbone", "pnyx-chains", "pnyx-verification"];

const LIBRARIES_PAGE: &str = "docs/decisions/0002-libraries.md";

/// All packages that this machine's builds use.
pub(crate) static METADATA: LazyLock<Metadata> = LazyLock::new(|| {
    let host = format!("--filter-platform={}-unknown-{}", std::env::consts::ARCH, host_system());
    MetadataCommand::new()
        .manifest_path(xtask::root().join("Cargo.toml"))
        .other_options(["--locked".to_owned(), host])
        .exec()
        .expect("cargo describes its own workspace")
});

#[test]
fn the_core_depends_on_no_more_than_it_says() {
    let core = package("pnyx-core");
    let used: BTreeSet<&str> = normal_dependencies(core).collect();
    assert_eq!(used, CORE.iter().copied().collect(), "the core's libraries changed; each one is a decision");
}

#[test]
fn our_crates_use_each_other_in_one_direction() {
    let ours: BTreeSet<&str> = METADATA.workspace_packages().iter().map(|package| package.name.as_str()).collect();
    assert_eq!(ours, DIRECTIONS.iter().map(|(name, _)| *name).collect(), "a crate is missing from the table");
    let mut problems = Vec::new();
    for (name, allowed) in DIRECTIONS {
        let wrong = normal_dependencies(package(name)).filter(|used| ours.contains(used) && !allowed.contains(used));
        problems.extend(wrong.map(|used| format!("{name} must not depend on {used}")));
    }
    assert_none(&problems);
}

#[test]
fn each_library_has_its_line_of_reasons() {
    let manifest = read("Cargo.toml");
    let (_, section) = manifest.split_once("[workspace.dependencies]\n").expect("the root names the libraries");
    let (section, _) = section.split_once("\n[").expect("other sections follow");
    let libraries: BTreeSet<&str> = section
        .lines()
        .filter(|line| !line.starts_with('#') && !line.contains("path = "))
        .filter_map(|line| line.split_once(" = ").map(|(name, _)| name))
        .collect();
    let page = read(LIBRARIES_PAGE);
    let explained: BTreeSet<&str> =
        page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`').map(|(name, _)| name)).collect();
    let missing = libraries.difference(&explained).map(|name| format!("{name} has no line in {LIBRARIES_PAGE}"));
    let gone =
        explained.difference(&libraries).map(|name| format!("{name} is explained in {LIBRARIES_PAGE} but not used"));
    assert_none(&missing.chain(gone).collect::<Vec<_>>());
}

#[test]
fn libraries_are_chosen_in_the_root_alone() {
    let mut problems = Vec::new();
    for package in METADATA.workspace_packages() {
        let manifest = std::fs::read_to_string(&package.manifest_path).expect("cargo has just read it");
        let section = manifest.split("\n[").filter(|section| section.contains("dependencies]\n"));
        let lines = section.flat_map(str::lines).skip(1).filter(|line| !line.trim().is_empty());
        let wrong = lines.filter(|line| {
            !line.contains("workspace") && !line.starts_with(['#', '[']) && !line.ends_with("dependencies]")
        });
        problems.extend(wrong.map(|line| format!("{}: `{line}` must inherit from the root Cargo.toml", package.name)));
    }
    assert_none(&problems);
}

fn package(name: &str) -> &'static Package {
    METADATA.workspace_packages().into_iter().find(|package| package.name == name).expect("the table names our crates")
}

fn normal_dependencies(package: &Package) -> impl Iterator<Item = &str> {
    let normal = package.dependencies.iter().filter(|dependency| dependency.kind == DependencyKind::Normal);
    normal.map(|dependency| dependency.name.as_str())
}

fn host_system() -> &'static str {
    if cfg!(target_env = "musl") { "linux-musl" } else { "linux-gnu" }
}

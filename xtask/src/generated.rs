//! Committed files that are made from others: the table of them, writing them and checking them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, ensure};
use cargo_metadata::MetadataCommand;
use sha2::{Digest as _, Sha256};

use crate::process;

/// A committed file and the arguments of `pnyx` with which its standard output is that file.
struct Generated {
    path: &'static str,
    arguments: &'static [&'static str],
}

/// All files that `pnyx` writes.
const GENERATED: &[Generated] = &[
    Generated { path: "crds/yaml/governanceproposals.yaml", arguments: &["crds", "governanceproposals"] },
    Generated { path: "crds/yaml/governanceplatforms.yaml", arguments: &["crds", "governanceplatforms"] },
    Generated { path: "docs/openapi.json", arguments: &["openapi"] },
];

/// Resource definitions, and the chart's templates that install them.
const CHART_DEFINITIONS: [(&str, &str); 2] = [
    ("crds/yaml/governanceproposals.yaml", "charts/pnyx/templates/crds/governanceproposals.yaml"),
    ("crds/yaml/governanceplatforms.yaml", "charts/pnyx/templates/crds/governanceplatforms.yaml"),
];

/// All targets, so that the same build serves as for the tests: fewer have other features and compile libraries again.
const BUILD: [&str; 6] = ["cargo", "build", "--locked", "--quiet", "--workspace", "--all-targets"];

/// How a template of a resource definition begins.
const CHART_HEAD: &str = "\
{{- /* Generated from crds/src by `cargo xtask gen`; changes made here are lost. */ -}}
{{- if .Values.crds.install }}
";

/// What follows its name.
const CHART_METADATA: &str = r#"
  labels: {{- include "pnyx.labels" . | replace "component: operator" "component: definitions" | nindent 4 }}
  {{- if .Values.crds.keep }}
  annotations: {helm.sh/resource-policy: keep}
  {{- end }}
"#;

/// The page that describes the wire formats, and the sources it describes.
const FORMATS_PAGE: &str = "docs/formats.md";
const FORMATS_SOURCES: &str = "core/src/wire";
/// The line of that page that carries the hash of the sources it was last compared with.
const HASH_LINE_START: &str = "wire-hash: ";

/// Writes all generated files.
pub(crate) fn write() -> anyhow::Result<()> {
    for (path, new) in all()? {
        let file = crate::root().join(path);
        if fs::read(&file).ok().as_deref() != Some(&*new) {
            fs::write(&file, new).with_context(|| format!("failed to write {path}"))?;
            process::say(&format!("wrote {path}"))?;
        }
    }
    Ok(())
}

/// Fails if a generated file is not as it would be written.
pub(crate) fn check() -> anyhow::Result<()> {
    let mut stale = Vec::new();
    for (path, new) in all()? {
        if fs::read(crate::root().join(path)).ok().as_deref() != Some(&*new) {
            stale.push(path);
        }
    }
    ensure!(stale.is_empty(), "not as generated: {}; run `cargo xtask gen`", stale.join(", "));
    Ok(())
}

/// The formats page as it is, and as it would be with the hash of the sources as they are.
///
/// # Errors
/// If the page or the sources are missing.
pub fn formats_page() -> anyhow::Result<(String, String)> {
    let page = fs::read_to_string(crate::root().join(FORMATS_PAGE)).with_context(|| format!("no {FORMATS_PAGE}"))?;
    let new_line = format!("{HASH_LINE_START}{}", folder_hash(&crate::root().join(FORMATS_SOURCES))?);
    let new_page = match page.lines().find(|line| line.starts_with(HASH_LINE_START)) {
        Some(old_line) => page.replacen(old_line, &new_line, 1),
        None => format!("{}\n\n{new_line}\n", page.trim_end()),
    };
    Ok((page, new_page))
}

/// The chart's templates that install resource definitions: where each is, and what it should be.
///
/// # Errors
/// If a definition is missing or cannot be a template.
pub fn chart_templates() -> anyhow::Result<Vec<(&'static str, String)>> {
    let template = |(definition, template): (&str, &'static str)| {
        let text = fs::read_to_string(crate::root().join(definition)).with_context(|| format!("no {definition}"))?;
        Ok((template, chart_template(&text).with_context(|| format!("{definition} cannot be a template"))?))
    };
    CHART_DEFINITIONS.into_iter().map(template).collect()
}

/// A resource definition as a template: installed unless told otherwise, and kept when the chart goes.
fn chart_template(definition: &str) -> anyhow::Result<String> {
    ensure!(!definition.contains("{{"), "Helm would take {{{{ for its own");
    let (head, body) = definition.split_once("\nspec:\n").context("it has no spec")?;
    let (_, head) = head.split_once('\n').context("its first line is a comment")?;
    ensure!(head.ends_with(".pnyx.dev"), "its metadata ends with its name");
    Ok(format!("{CHART_HEAD}{head}{CHART_METADATA}spec:\n{body}{{{{- end }}}}\n"))
}

fn all() -> anyhow::Result<Vec<(&'static str, Vec<u8>)>> {
    process::run(&BUILD)?;
    let metadata = MetadataCommand::new().manifest_path(crate::root().join("Cargo.toml")).no_deps().exec()?;
    let pnyx = metadata.target_directory.join("debug/pnyx");
    let mut files = Vec::new();
    for generated in GENERATED {
        let command = [&[pnyx.as_str()][..], generated.arguments].concat();
        files.push((generated.path, process::output(&command)?));
    }
    for (definition, template) in CHART_DEFINITIONS {
        let made = files.iter().find(|(path, _)| *path == definition).context("definitions are generated")?;
        let text = std::str::from_utf8(&made.1).with_context(|| format!("{definition} is no text"))?;
        files.push((template, chart_template(text)?.into_bytes()));
    }
    files.push((FORMATS_PAGE, formats_page()?.1.into_bytes()));
    Ok(files)
}

/// SHA-256 over the names and contents of all Rust files below `folder`, in order of name.
fn folder_hash(folder: &Path) -> anyhow::Result<String> {
    let mut files = Vec::new();
    collect(folder, &mut files)?;
    files.sort();
    let mut hash = Sha256::new();
    for file in files {
        let content = fs::read(&file)?;
        let name = file.strip_prefix(folder)?.to_string_lossy().replace('\\', "/");
        hash.update(format!("{name}\0{}\0", content.len()));
        hash.update(content);
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("no folder {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

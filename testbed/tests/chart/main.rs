//! The chart that installs the operator: rendered with each of its values, checked, and installed for real.

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

mod agreement;
mod alerts;
mod cases;
mod install;
mod rendering;
mod rights;
mod schemas;
mod server;
mod values;

use std::{
    fs,
    path::{Path, PathBuf},
};

use pnyx_testbed::{TestbedError, kubernetes::Tool};
use serde_json::Value;

/// The release's name, and the namespace it is installed into.
const RELEASE: &str = "pnyx";
const NAMESPACE: &str = "pnyx-system";

/// Something of this repository, by its path from the root.
fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)
}

/// A text of this repository.
fn text(name: &str) -> String {
    fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Something of this repository in JSON.
fn json(name: &str) -> Value {
    serde_json::from_str(&text(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Documents in YAML.
fn documents(yaml: &str) -> Vec<Value> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(yaml).unwrap_or_else(|error| panic!("{error}:\n{yaml}"));
    documents.into_iter().filter(|document| !document.is_null()).collect()
}

/// What Helm makes of the chart with these values, in YAML. Resource definitions are left out unless the values ask for
/// them: they are long, and the same in all cases.
fn rendered(values: &str) -> Result<String, TestbedError> {
    let folder = tempfile::tempdir().expect("temporary folders can be made");
    let file = folder.path().join("values.yaml");
    fs::write(&file, values).expect("temporary files can be written");
    let (file, chart) = (file.display().to_string(), path("charts/pnyx").display().to_string());
    let without = "--set=crds.install=false";
    let line = ["template", RELEASE, &chart, "--namespace", NAMESPACE, without, "--values", &file];
    // Files of values come before what is set.
    let line: Vec<&str> = line.into_iter().filter(|word| *word != without || !values.contains("crds:")).collect();
    Tool::Helm.run(folder.path(), &line)
}

/// As [`rendered`], in JSON.
fn objects(values: &str) -> Vec<Value> {
    documents(&rendered(values).unwrap_or_else(|error| panic!("{values}\n{error}")))
}

/// Those of one kind.
fn of_kind<'a>(objects: &'a [Value], kind: &str) -> Vec<&'a Value> {
    objects.iter().filter(|object| object["kind"] == kind).collect()
}

//! Values: each is known to the schema, has a default, is explained and tried; nothing else is taken.

use std::{collections::BTreeSet, fmt::Write as _};

use expect_test::expect_file;
use serde_json::Value;

use crate::{cases::CASES, documents, json, text};

const SCHEMA: &str = "charts/pnyx/values.schema.json";

/// What a parent chart hands down: the one object that may hold anything.
const HANDED_DOWN: &str = "global";

/// Where the table in the page begins and ends.
const TABLE_START: &str = "<!-- values: made from values.yaml and values.schema.json by the chart's tests -->\n";
const TABLE_END: &str = "<!-- end of values -->\n";

/// A value as the schema has it.
struct Known {
    path: String,
    description: String,
}

/// All values below an object, in order; an object with named fields is no value itself.
fn known(schema: &Value, path: &str, found: &mut Vec<Known>) {
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        if has_fields(field) && !field["properties"].as_object().expect("it has").is_empty() && !is_taken_whole(&path) {
            known(field, &path, found);
        } else {
            found.push(Known { path, description: field["description"].as_str().unwrap_or_default().to_owned() });
        }
    }
}

fn has_fields(schema: &Value) -> bool {
    schema["properties"].is_object()
}

/// What is handed to Kubernetes as it is, and so has one line in the page.
fn is_taken_whole(path: &str) -> bool {
    ["operator.resources", "operator.affinity"].contains(&path)
}

fn all_known() -> Vec<Known> {
    let mut found = Vec::new();
    known(&json(SCHEMA), "", &mut found);
    found.retain(|value| value.path != HANDED_DOWN);
    found
}

fn at<'a>(values: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(values, |value, name| value.get(name))
}

/// The paths of all that somebody wrote, as deep as the schema has named fields.
fn written(values: &Value, schema: &Value, path: &str, found: &mut BTreeSet<String>) {
    for (name, value) in values.as_object().into_iter().flatten() {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        let field = &schema["properties"][name];
        if has_fields(field) && !is_taken_whole(&path) {
            written(value, field, &path, found);
        } else {
            found.insert(path);
        }
    }
}

fn defaults() -> Value {
    documents(&text("charts/pnyx/values.yaml")).remove(0)
}

#[test]
fn the_schema_takes_nothing_that_it_does_not_name() {
    fn check(schema: &Value, path: &str) {
        if path == format!("/properties/{HANDED_DOWN}") {
            return;
        }
        if schema["type"] == "object" {
            let others = &schema["additionalProperties"];
            assert!(others == false || others.is_object(), "{path} is open to unknown keys");
        }
        match schema {
            Value::Object(fields) => fields.iter().for_each(|(name, inner)| check(inner, &format!("{path}/{name}"))),
            Value::Array(items) => items.iter().for_each(|inner| check(inner, path)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    check(&json(SCHEMA), "");
}

#[test]
fn each_value_has_its_default() {
    let mut written_paths = BTreeSet::new();
    written(&defaults(), &json(SCHEMA), "", &mut written_paths);
    let known: BTreeSet<String> = all_known().into_iter().map(|value| value.path).collect();
    assert_eq!(written_paths, known, "values.yaml and values.schema.json differ");
}

#[test]
fn each_value_is_tried() {
    let (mut tried, schema) = (BTreeSet::new(), json(SCHEMA));
    for case in CASES {
        written(&documents(case.values)[0], &schema, "", &mut tried);
    }
    let untried: Vec<_> =
        all_known().into_iter().map(|value| value.path).filter(|path| !tried.contains(path)).collect();
    assert_eq!(untried, [""; 0], "these values have no case");
}

#[test]
fn each_value_is_explained_in_the_page() {
    let (defaults, mut table) = (defaults(), String::from("| value | default | what it does |\n|---|---|---|\n"));
    for value in all_known() {
        let Known { path, description } = value;
        assert!(description.ends_with('.'), "{path} has no sentence in the schema");
        let default = at(&defaults, &path).expect("each value has its default");
        writeln!(table, "| `{path}` | `{default}` | {description} |").expect("texts take all");
    }
    let page = text("charts/pnyx/README.md");
    let (before, rest) = page.split_once(TABLE_START).expect("the page has a place for the table");
    let (_, after) = rest.split_once(TABLE_END).expect("the table has an end");
    let page = format!("{before}{TABLE_START}{table}{TABLE_END}{after}");
    expect_file!["../../../charts/pnyx/README.md"].assert_eq(&page);
}

#[test]
fn the_chart_is_of_the_same_version_as_the_program() {
    let chart = &documents(&text("charts/pnyx/Chart.yaml"))[0];
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!((chart["version"].as_str(), chart["appVersion"].as_str()), (Some(version), Some(version)));
}

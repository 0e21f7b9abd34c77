//! The schemas of a real server, in the form that kubeconform reads: a file a kind, with all that it refers to.

use std::{collections::BTreeMap, fs, path::Path};

use pnyx_testbed::kubernetes::ControlPlane;
use serde_json::{Map, Value, json};

/// How definitions name each other.
const REFERENCE: &str = "#/definitions/";

/// What resources are counted in.
const QUANTITY: &str = "io.k8s.apimachinery.pkg.api.resource.Quantity";

/// Where kubeconform finds them.
pub(crate) fn location(folder: &Path) -> String {
    format!("{}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json", folder.display())
}

/// Writes the schemas of all kinds that the server knows.
pub(crate) fn write(control_plane: &ControlPlane, folder: &Path) {
    let api = control_plane.kubectl(&["get", "--raw=/openapi/v2"]).unwrap();
    let mut api: Value = serde_json::from_str(&api).unwrap();
    let definitions = api["definitions"].as_object_mut().expect("the server describes its kinds");
    definitions.values_mut().for_each(close);
    // The server describes what it answers; it takes `cpu: 1` as well.
    definitions[QUANTITY]["type"] = json!(["number", "string"]);
    for (name, definition) in definitions.iter() {
        let kinds = definition["x-kubernetes-group-version-kind"].as_array().into_iter().flatten();
        for kind in kinds {
            let field = |field: &str| kind[field].as_str().unwrap_or_default().to_lowercase();
            let (group, version, kind) = (field("group"), field("version"), field("kind"));
            let group = group.split('.').next().filter(|group| !group.is_empty());
            let suffix = group.map_or_else(|| format!("-{version}"), |group| format!("-{group}-{version}"));
            let mut needed = BTreeMap::new();
            collect(name, definitions, &mut needed);
            let schema = json!({"$ref": format!("{REFERENCE}{name}"), "definitions": needed});
            fs::write(folder.join(format!("{kind}{suffix}.json")), schema.to_string()).unwrap();
        }
    }
}

/// A definition and all that it refers to.
fn collect<'a>(name: &'a str, definitions: &'a Map<String, Value>, needed: &mut BTreeMap<&'a str, &'a Value>) {
    let Some(definition) = definitions.get(name).filter(|_| !needed.contains_key(name)) else { return };
    needed.insert(name, definition);
    fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        match value {
            Value::Object(fields) => {
                found.extend(fields.get("$ref").and_then(Value::as_str).and_then(|it| it.strip_prefix(REFERENCE)));
                fields.values().for_each(|inner| references(inner, found));
            }
            Value::Array(items) => items.iter().for_each(|inner| references(inner, found)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let mut found = Vec::new();
    references(definition, &mut found);
    found.into_iter().for_each(|name| collect(name, definitions, needed));
}

/// Closes an object to fields that it does not name, as the server does, and says in words of JSON Schema what the
/// server says in its own: that something is a text or a number.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            let is_either = fields.get("format").is_some_and(|format| format == "int-or-string")
                || fields.get("x-kubernetes-int-or-string").is_some_and(|it| *it == true);
            if is_either {
                fields.remove("format");
                fields.insert("type".to_owned(), json!(["integer", "string"]));
            }
            let is_open = fields.get("x-kubernetes-preserve-unknown-fields").is_some_and(|it| *it == true);
            let is_closed = fields.get("properties").is_some_and(Value::is_object) && !is_open;
            if is_closed && !fields.contains_key("additionalProperties") {
                fields.insert("additionalProperties".to_owned(), json!(false));
            }
            fields.values_mut().for_each(close);
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

//! Which Secrets a platform names, and which of them are missing. Only their names and keys are looked at.

use std::collections::{BTreeMap, BTreeSet};

use pnyx_crds::GovernancePlatformSpec;
use serde_json::Value;

/// How fields end that name a key of a Secret.
const REFERENCE: &str = "SecretRef";

/// What is missing, in words; empty if all is there.
pub type MissingSecrets = Vec<String>;

/// The Secrets that a platform names, and the keys it needs of each.
pub fn secret_references(spec: &GovernancePlatformSpec) -> BTreeMap<String, BTreeSet<String>> {
    let mut found = BTreeMap::new();
    // By the names of fields, so that a field that is added later is not forgotten here.
    collect(&serde_json::to_value(spec).unwrap_or(Value::Null), &mut found);
    found
}

/// The same, of those alone that its log is opened with.
pub fn log_secret_references(spec: &GovernancePlatformSpec) -> BTreeMap<String, BTreeSet<String>> {
    let mut found = BTreeMap::new();
    collect(&serde_json::to_value(&spec.kafka).unwrap_or(Value::Null), &mut found);
    found
}

fn collect(value: &Value, found: &mut BTreeMap<String, BTreeSet<String>>) {
    match value {
        Value::Object(map) => {
            for (field, value) in map {
                match (value["name"].as_str(), value["key"].as_str()) {
                    (Some(name), Some(key)) if field.ends_with(REFERENCE) => {
                        found.entry(name.to_owned()).or_default().insert(key.to_owned());
                    }
                    (_, _) => collect(value, found),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| collect(value, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// What is missing: `there` has the keys of each Secret that exists.
pub(crate) fn missing(
    wanted: &BTreeMap<String, BTreeSet<String>>,
    there: &BTreeMap<String, BTreeSet<String>>,
) -> MissingSecrets {
    let mut missing = Vec::new();
    for (name, keys) in wanted {
        match there.get(name) {
            None => missing.push(format!("Secret {name} does not exist")),
            Some(has) => missing.extend(keys.difference(has).map(|key| format!("Secret {name} has no key {key}"))),
        }
    }
    missing
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        let of = |entries: &[(&str, &[&str])]| -> BTreeMap<String, BTreeSet<String>> {
            entries
                .iter()
                .map(|(name, keys)| ((*name).to_owned(), keys.iter().map(|key| (*key).to_owned()).collect()))
                .collect()
        };
        let wanted = of(&[("kafka", &["user", "password"]), ("key", &["key"]), ("redis", &["password"])]);
        let there = of(&[("kafka", &["user", "other"]), ("key", &["key"])]);
        assert_eq!(missing(&wanted, &there), ["Secret kafka has no key password", "Secret redis does not exist"]);
        assert!(missing(&wanted, &wanted).is_empty());
    }
}

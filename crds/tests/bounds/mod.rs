//! One value beyond each bound of a schema, made from the schema itself, so that no bound can be without a case.

use pnyx_crds::Kind;
use serde_json::{Value, json};

use crate::cases::good;

/// What schemas bound values with, and words of the server's message. `required` is of an object, which is then empty.
const BOUNDS: [(&str, &str); 12] = [
    ("required", "Required value"),
    ("minimum", "should be greater than or equal to"),
    ("maximum", "should be less than or equal to"),
    ("minLength", "chars long"),
    ("maxLength", "Too long"),
    ("pattern", "should match"),
    ("format", "must be of type date-time"),
    ("enum", "Unsupported value"),
    ("minItems", "should have at least"),
    ("maxItems", "Too many"),
    ("maxProperties", "Too many"),
    (LIST_TYPE, "Duplicate value"),
];

/// Whether items of a list, or their keys, may come twice.
const LIST_TYPE: &str = "x-kubernetes-list-type";

/// Keywords that say nothing about what a value may be, only what it is and what is said of it.
const UNBOUNDED: [&str; 11] = [
    "type",
    "description",
    "default",
    "nullable",
    "properties",
    "items",
    "additionalProperties",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-int-or-string",
    "x-kubernetes-preserve-unknown-fields",
    // Rules have cases of their own.
    "x-kubernetes-validations",
];

/// No pattern of ours lets it pass.
const STRANGE: &str = "?!";

/// A value that one bound refuses.
pub(crate) struct Beyond {
    kind: Kind,
    /// Where the value stands, without the numbers of items and with `*` for a key.
    pub(crate) path: Vec<String>,
    /// The bound, as the schema has it.
    pub(crate) bound: &'static str,
    /// What the server says of it.
    pub(crate) words: &'static str,
    value: Value,
}

/// A case for each bound of what people write.
pub(crate) fn all(kind: Kind) -> Vec<Beyond> {
    let mut found = Vec::new();
    walk(kind, &kind.schema()["properties"]["spec"], &mut vec!["spec".to_owned()], &mut found);
    found
}

/// Values in one resource: of what a command says, only the end is kept.
const GROUP_MAX: usize = 10;

/// All cases in groups that fit into one resource each: no value stands below another.
pub(crate) fn groups(kind: Kind) -> Vec<Vec<Beyond>> {
    let mut groups: Vec<Vec<Beyond>> = Vec::new();
    for case in all(kind) {
        let alone = |other: &Beyond| case.is_long() || other.is_long() || case.overlaps(other);
        let fits = |group: &&mut Vec<Beyond>| group.len() < GROUP_MAX && !group.iter().any(alone);
        match groups.iter_mut().find(fits) {
            Some(group) => group.push(case),
            None => groups.push(vec![case]),
        }
    }
    groups
}

/// A good resource but for the values of a group. What else there is in lists stays.
pub(crate) fn resource(group: &[Beyond]) -> Value {
    let mut resource = good(group[0].kind);
    for case in group {
        *case.place_in(&mut resource) = case.value.clone();
    }
    resource
}

fn walk(kind: Kind, schema: &Value, path: &mut Vec<String>, found: &mut Vec<Beyond>) {
    for keyword in schema.as_object().expect("a schema is an object").keys() {
        let is_bound = BOUNDS.iter().any(|(bound, _)| bound == keyword);
        assert!(is_bound || UNBOUNDED.contains(&keyword.as_str()), "{path:?}: no case is made for {keyword}");
    }
    for (bound, words) in BOUNDS.into_iter().filter(|(bound, _)| binds(bound, &schema[bound])) {
        let value = beyond(bound, &schema[bound], schema);
        found.push(Beyond { kind, path: path.clone(), bound, words, value });
    }
    let below = schema["properties"].as_object().into_iter().flatten();
    let below = below.map(|(field, schema)| (field.as_str(), schema));
    let items = [("[]", &schema["items"]), ("*", &schema["additionalProperties"])];
    for (step, schema) in below.chain(items.into_iter().filter(|(_, schema)| schema.is_object())) {
        path.push(step.to_owned());
        walk(kind, schema, path, found);
        path.pop();
    }
}

/// Whether a keyword with this value refuses anything.
fn binds(bound: &str, limit: &Value) -> bool {
    match (bound, limit.as_str()) {
        // That of an integer is its type's.
        ("format", Some("int64")) | (LIST_TYPE, Some("atomic")) => false,
        _ => !limit.is_null(),
    }
}

/// The nearest value that the bound refuses.
fn beyond(bound: &str, limit: &Value, schema: &Value) -> Value {
    // Schemas write bounds of integers as 1.0.
    let integer = || limit.to_string().trim_end_matches(".0").parse::<i64>().expect("bounds are integers");
    let count = || usize::try_from(integer()).expect("a count");
    let item = |schema: &Value| match schema["type"].as_str() {
        Some("object") => json!({}),
        Some("integer") => json!(0),
        _ => json!(""),
    };
    match bound {
        "required" => json!({}),
        "minimum" => (integer() - 1).into(),
        "maximum" => (integer() + 1).into(),
        "minLength" => "x".repeat(count() - 1).into(),
        "maxLength" => "x".repeat(count() + 1).into(),
        "minItems" => vec![item(&schema["items"]); count() - 1].into(),
        "maxItems" => vec![item(&schema["items"]); count() + 1].into(),
        "maxProperties" => {
            let entry = |number: usize| (number.to_string(), item(&schema["additionalProperties"]));
            Value::Object((0..=count()).map(entry).collect())
        }
        LIST_TYPE => {
            let keys = schema["x-kubernetes-list-map-keys"].as_array();
            let keyed =
                |keys: &Vec<Value>| -> Value { keys.iter().map(|key| (key.as_str().expect("a name"), "a")).collect() };
            vec![keys.map_or_else(|| json!("a"), keyed); 2].into()
        }
        _ => {
            let shortest = schema["minLength"].as_u64().unwrap_or_default();
            STRANGE.repeat(usize::try_from(shortest).expect("a count").div_ceil(STRANGE.len()).max(1)).into()
        }
    }
}

impl Beyond {
    /// Each of its items is refused as well.
    fn is_long(&self) -> bool {
        ["maxItems", "maxProperties"].contains(&self.bound)
    }

    fn overlaps(&self, other: &Self) -> bool {
        self.path.starts_with(&other.path) || other.path.starts_with(&self.path)
    }

    /// Where its value goes: in lists the first item, and everything on the way is made.
    fn place_in<'a>(&self, resource: &'a mut Value) -> &'a mut Value {
        self.path.iter().fold(resource, |target, step| {
            if step == "[]" {
                if target.as_array().is_none_or(Vec::is_empty) {
                    *target = json!([null]);
                }
                return &mut target[0];
            }
            if !target.is_object() {
                *target = json!({});
            }
            &mut target[step]
        })
    }

    /// Its line in a golden file.
    pub(crate) fn title(&self) -> String {
        format!("{} {} {}", self.kind.name(), self.path.join(".").replace(".[]", "[]"), self.bound)
    }

    /// Where the server says that it is: with the number of the item.
    pub(crate) fn place(&self) -> String {
        self.path.join(".").replace(".[]", "[0]")
    }
}

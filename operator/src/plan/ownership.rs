//! Who owns which field of an object, as the API server notes it with each write.
//!
//! Whoever changes a field's value owns it from there on, and who had it before loses it (unless both say the same). So an
//! object is still as it was applied if the hash on it is the one of what is wanted and all fields that were applied still
//! belong to us. That needs no comparison of values, which the API server completes and writes in its own way.

use kube::core::DynamicObject;
use serde_json::{Map, Value};

use super::field_manager::{CHILDREN, SCALING};

/// How the API server notes the field.
const REPLICAS: &str = "/f:spec/f:replicas";

/// How the API server notes a field manager that applies.
const APPLY: &str = "Apply";

/// Whether all fields of `wanted` belong to the field manager of children.
pub(super) fn owns_all(object: &DynamicObject, wanted: &Value) -> bool {
    let entries = object.metadata.managed_fields.iter().flatten();
    let mut ours = entries.filter(|entry| {
        entry.manager.as_deref() == Some(CHILDREN)
            && entry.operation.as_deref() == Some(APPLY)
            && entry.subresource.as_deref().unwrap_or_default().is_empty()
    });
    let fields = ours.find_map(|entry| entry.fields_v1.as_ref());
    fields.is_some_and(|fields| covers(&fields.0, wanted, Depth::Top))
}

/// Whose matter the number of replicas is, other than ours.
pub(super) fn foreign_replicas_owner(object: &DynamicObject) -> Option<String> {
    let entries = object.metadata.managed_fields.iter().flatten();
    let mut owners =
        entries.filter(|entry| entry.fields_v1.as_ref().is_some_and(|fields| fields.0.pointer(REPLICAS).is_some()));
    let foreign = owners.find(|entry| !matches!(entry.manager.as_deref(), Some(CHILDREN | SCALING)));
    foreign.map(|entry| entry.manager.clone().unwrap_or_default())
}

/// Whether the number of replicas was chosen by our own scaling.
pub(super) fn scaling_owns_replicas(object: &DynamicObject) -> bool {
    let mut entries = object.metadata.managed_fields.iter().flatten();
    entries.any(|entry| {
        entry.manager.as_deref() == Some(SCALING)
            && entry.fields_v1.as_ref().is_some_and(|fields| fields.0.pointer(REPLICAS).is_some())
    })
}

/// Where in an object one is: some fields of its top belong to nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Depth {
    Top,
    Metadata,
    Below,
}

/// Whether a set of fields has all of `wanted` in it.
fn covers(fields: &Value, wanted: &Value, depth: Depth) -> bool {
    let Some(fields) = fields.as_object() else { return false };
    match wanted {
        // Owned as a whole.
        Value::Object(_) | Value::Array(_) if !has_parts(fields) => true,
        Value::Object(wanted) => wanted.iter().all(|(name, value)| match (depth, name.as_str()) {
            (Depth::Top, "apiVersion" | "kind") | (Depth::Metadata, "name" | "namespace") => true,
            // Nothing is said by them, so nothing is noted of them.
            (_, _) if is_nothing(value) => true,
            (_, name) => {
                let depth = if depth == Depth::Top && name == "metadata" { Depth::Metadata } else { Depth::Below };
                fields.get(&format!("f:{name}")).is_some_and(|fields| covers(fields, value, depth))
            }
        }),
        Value::Array(wanted) => wanted.iter().all(|item| covers_item(fields, item)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
    }
}

/// Items of a list are found by their keys, or are a set of values.
fn covers_item(fields: &Map<String, Value>, item: &Value) -> bool {
    fields.iter().any(|(path, fields)| match path.split_once(':') {
        Some(("v", value)) => serde_json::from_str::<Value>(value).is_ok_and(|value| value == *item),
        Some(("k", keys)) => {
            let Ok(Value::Object(keys)) = serde_json::from_str(keys) else { return false };
            // A key that the item leaves out has its default.
            let is_it = keys.iter().all(|(key, value)| item.get(key).is_none_or(|wanted| wanted == value));
            is_it && covers(fields, item, Depth::Below)
        }
        Some(_) | None => false,
    })
}

/// Whether a set of fields goes into parts; the mark of an item itself is none.
fn has_parts(fields: &Map<String, Value>) -> bool {
    fields.keys().any(|path| path != ".")
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(map) => map.is_empty(),
        Value::Array(values) => values.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kinds::ChildKind;

    /// A Deployment with what the API server would note.
    fn noted(entries: Value) -> DynamicObject {
        let mut object = DynamicObject::new("shards", &ChildKind::Deployment.resource());
        object.metadata.managed_fields =
            serde_json::from_value(entries).expect("entries as the API server writes them");
        object
    }

    fn wanted() -> Value {
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "shards", "namespace": "n", "labels": {"a": "b"}, "annotations": {}},
            "spec": {"template": {"spec": {
                "nodeSelector": {"zone": "x"},
                "containers": [{
                    "name": "verifier", "args": ["verifier", "--quiet"], "env": null,
                    "ports": [{"containerPort": 8082}],
                }],
                "volumes": [{"name": "tmp", "emptyDir": {}}],
            }}},
        })
    }

    fn ours() -> Value {
        json!({
            "f:metadata": {"f:labels": {"f:a": {}}},
            "f:spec": {"f:template": {"f:spec": {
                "f:nodeSelector": {},
                "f:containers": {"k:{\"name\":\"verifier\"}": {
                    ".": {}, "f:name": {}, "f:args": {},
                    "f:ports": {"k:{\"containerPort\":8082,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}}},
                }},
                "f:volumes": {"k:{\"name\":\"tmp\"}": {".": {}, "f:name": {}, "f:emptyDir": {}}},
            }}},
        })
    }

    fn entry(manager: &str, operation: &str, fields: Value) -> Value {
        json!({"manager": manager, "operation": operation, "apiVersion": "apps/v1", "fieldsType": "FieldsV1", "fieldsV1": fields})
    }

    #[test]
    fn what_was_applied_and_left_alone_is_ours() {
        assert!(owns_all(&noted(json!([entry(CHILDREN, "Apply", ours())])), &wanted()));
        assert!(!owns_all(&noted(json!([entry(CHILDREN, "Update", ours())])), &wanted()));
        assert!(!owns_all(&noted(json!([entry("kubectl", "Apply", ours())])), &wanted()));
        assert!(!owns_all(&noted(json!([])), &wanted()));
    }

    #[test]
    fn what_somebody_changed_is_not() {
        for path in [
            "/f:metadata/f:labels/f:a",
            "/f:spec/f:template/f:spec/f:nodeSelector",
            "/f:spec/f:template/f:spec/f:containers/k:{\"name\":\"verifier\"}/f:args",
            "/f:spec/f:template/f:spec/f:containers/k:{\"name\":\"verifier\"}/f:ports",
            "/f:spec/f:template/f:spec/f:volumes",
        ] {
            let mut fields = ours();
            let (parent, last) = path.rsplit_once('/').expect("a path");
            let parent = fields.pointer_mut(parent).and_then(Value::as_object_mut);
            assert!(parent.expect("a path that is there").remove(last).is_some(), "{path}");
            if path.ends_with("f:a") {
                // The labels of others.
                fields["f:metadata"]["f:labels"]["f:z"] = json!({});
            }
            assert!(!owns_all(&noted(json!([entry(CHILDREN, "Apply", fields)])), &wanted()), "{path}");
        }
    }

    #[test]
    fn replicas_belong_to_whoever_set_them() {
        let replicas = || json!({"f:spec": {"f:replicas": {}}});
        let of = |entries| foreign_replicas_owner(&noted(entries));
        assert_eq!(of(json!([entry(CHILDREN, "Apply", replicas()), entry(SCALING, "Apply", replicas())])), None);
        let mut scaled = entry("horizontal", "Update", replicas());
        scaled["subresource"] = "scale".into();
        assert_eq!(of(json!([entry(CHILDREN, "Apply", ours()), scaled])), Some("horizontal".to_owned()));
    }
}

//! What is said of a resource in its status: whole, from the first sight on, and written only when it says something new.

mod conditions;

pub use conditions::{Conditions, Said, State};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::core::DynamicObject;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

/// What has to be written so that a resource's status says `wanted`; nothing if it does. Conditions that others added are
/// theirs: they are neither compared nor removed.
pub fn difference<S: Serialize + DeserializeOwned + PartialEq>(live: &DynamicObject, wanted: &S) -> Option<Value> {
    let written = serde_json::to_value(wanted).unwrap_or(Value::Null);
    let mut known = live.data.get("status").cloned().unwrap_or(Value::Null);
    let is_ours = |condition: &Value| {
        let ours = written["conditions"].as_array().into_iter().flatten();
        ours.map(|condition| &condition["type"]).any(|ours| *ours == condition["type"])
    };
    if let Some(conditions) = known.get_mut("conditions").and_then(Value::as_array_mut) {
        conditions.retain(is_ours);
    }
    let is_equal = serde_json::from_value::<S>(known).is_ok_and(|known| known == *wanted);
    (!is_equal).then_some(written)
}

/// What a resource's status says now; nothing where it says nothing that can be read.
pub fn read<S: DeserializeOwned>(live: &DynamicObject) -> Option<S> {
    S::deserialize(live.data.get("status")?).ok()
}

/// The conditions that a resource's status has now.
pub fn conditions_of(live: &DynamicObject) -> Vec<Condition> {
    let conditions = live.data.pointer("/status/conditions").and_then(Value::as_array);
    let read = |condition: &Value| serde_json::from_value(condition.clone()).ok();
    conditions.into_iter().flatten().filter_map(read).collect()
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;
    use crate::kinds::Primary;

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
    #[serde(rename_all = "camelCase")]
    struct Status {
        observed_generation: Option<i64>,
        #[serde(default)]
        conditions: Vec<Condition>,
    }

    fn live(status: Value) -> DynamicObject {
        DynamicObject::new("p", &Primary::Proposal.resource()).data(json!({"spec": {}, "status": status}))
    }

    fn condition(kind: &str, status: &str) -> Value {
        json!({
            "type": kind, "status": status, "reason": "AsExpected", "message": "",
            "lastTransitionTime": "2026-11-22T10:00:00Z", "observedGeneration": 1,
        })
    }

    #[test]
    fn an_equal_status_is_not_written() {
        let status = json!({"observedGeneration": 1, "conditions": [condition("Ready", "True")]});
        let wanted: Status = serde_json::from_value(status.clone()).expect("a status");
        assert_eq!(difference(&live(status.clone()), &wanted), None);
        let mut with_foreign = status.clone();
        with_foreign["conditions"].as_array_mut().expect("a list").push(condition("Backup", "False"));
        assert_eq!(difference(&live(with_foreign), &wanted), None);
        for other in [json!(null), json!({"observedGeneration": 2}), json!({"conditions": "broken"})] {
            assert!(difference(&live(other), &wanted).is_some());
        }
        assert_eq!(conditions_of(&live(status)), wanted.conditions);
    }
}

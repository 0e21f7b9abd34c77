//! Which changes of a resource are worth a look: what people say, not what the operator itself wrote about it.

use kube::core::DynamicObject;
use serde_json::Value;

/// Whether two states of one of our own resources ask for the same: spec, labels, annotations, finalizers and whether it
/// is being deleted. Status is the operator's own; without this each of its writes would bring the next look.
pub(super) fn is_same_intent(before: &DynamicObject, now: &DynamicObject) -> bool {
    let (before, now) = (&before.metadata, &now.metadata);
    before.uid == now.uid
        && before.generation == now.generation
        && before.labels == now.labels
        && before.annotations == now.annotations
        && before.finalizers == now.finalizers
        && before.deletion_timestamp == now.deletion_timestamp
}

/// Whether the conditions of two states of a resource are so or not so alike: what others may wait for.
pub(super) fn is_same_standing(before: &DynamicObject, now: &DynamicObject) -> bool {
    let standing = |object: &DynamicObject| {
        let conditions = object.data.pointer("/status/conditions").and_then(Value::as_array);
        let each = conditions.into_iter().flatten();
        each.map(|condition| (condition["type"].clone(), condition["status"].clone())).collect::<Vec<_>>()
    };
    standing(before) == standing(now)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kinds::Primary;

    #[test]
    fn what_people_say_is_told_from_what_the_operator_wrote() {
        let before = DynamicObject::new("p", &Primary::Platform.resource());
        let status =
            |status: &str| json!({"status": {"conditions": [{"type": "Ready", "status": status, "message": status}]}});
        let mut ready = before.clone().data(status("True"));
        ready.metadata.resource_version = Some("7".to_owned());
        assert!(is_same_intent(&before, &ready) && !is_same_standing(&before, &ready));
        let mut finalized = ready.clone();
        finalized.metadata.finalizers = Some(vec!["pnyx.dev/topics".to_owned()]);
        assert!(!is_same_intent(&ready, &finalized) && is_same_standing(&ready, &finalized));
        let mut annotated = ready.clone();
        annotated.metadata.annotations = Some([("pnyx.dev/rollout".to_owned(), "now".to_owned())].into());
        assert!(!is_same_intent(&ready, &annotated));
    }
}

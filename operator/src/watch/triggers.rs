//! From what changed to which resources are worth a look.

use kube::core::DynamicObject;
use pnyx_crds::PLATFORM_NAME_DEFAULT;
use serde_json::Value;

use super::{
    Change,
    intent::{is_same_intent, is_same_standing},
};
use crate::{
    kinds::{Key, ObjectKey, Primary},
    observe::Caches,
};

/// Which resources to look at after a change of a resource of ours.
pub fn of_primary(primary: Primary, change: &Change) -> Vec<Key> {
    let (object, is_about_it, is_about_others) = match change {
        Change::Deleted(object) => (object, true, true),
        Change::Applied { before: None, now } => (now, true, true),
        Change::Applied { before: Some(before), now } => {
            let is_new = !is_same_intent(before, now);
            (now, is_new, is_new || !is_same_standing(before, now))
        }
    };
    let Some(key) = key_of(object) else { return Vec::new() };
    let mut keys = Vec::new();
    if primary == Primary::Proposal && is_about_others {
        // A platform is sized for its proposals.
        let name = object.data.pointer("/spec/platformRef/name").and_then(Value::as_str);
        let platform = ObjectKey::new(&key.namespace, name.unwrap_or(PLATFORM_NAME_DEFAULT));
        keys.push(Key { primary: Primary::Platform, object: platform });
    }
    if is_about_it {
        keys.push(Key { primary, object: key });
    }
    keys
}

/// Whether the proposals of a platform have to be looked at after a change of it.
pub fn concerns_its_proposals(change: &Change) -> bool {
    match change {
        Change::Deleted(_) | Change::Applied { before: None, .. } => true,
        Change::Applied { before: Some(before), now } => !is_same_intent(before, now) || !is_same_standing(before, now),
    }
}

/// The proposals of a platform.
pub fn proposals_of(platform: &DynamicObject, caches: &Caches) -> Vec<Key> {
    let Some(key) = key_of(platform) else { return Vec::new() };
    let proposals = caches.proposals_of(&key).into_iter();
    proposals.map(|brief| Key { primary: Primary::Proposal, object: brief.key }).collect()
}

/// Which resource to look at after a change of a child: the one that controls it.
pub fn of_child(change: &Change) -> Option<Key> {
    let object = match change {
        Change::Deleted(object) => object,
        Change::Applied { before: _, now } => now,
    };
    let mut owners = object.metadata.owner_references.iter().flatten();
    let owner = owners.find(|owner| owner.controller == Some(true))?;
    let primary = Primary::ALL.into_iter().find(|primary| primary.kind() == owner.kind)?;
    let namespace = object.metadata.namespace.clone()?;
    Some(Key { primary, object: ObjectKey::new(namespace, &owner.name) })
}

fn key_of(object: &DynamicObject) -> Option<ObjectKey> {
    Some(ObjectKey::new(object.metadata.namespace.clone()?, object.metadata.name.clone()?))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::kinds::ChildKind;

    fn words(keys: impl IntoIterator<Item = Key>) -> String {
        keys.into_iter().map(|key| key.to_string()).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn looks_go_where_something_changed() {
        let proposal = |generation, status: &str| {
            let mut object = DynamicObject::new("p", &Primary::Proposal.resource()).within("n");
            object.metadata.generation = Some(generation);
            Arc::new(object.data(json!({"status": {"conditions": [{"type": "Accepted", "status": status}]}})))
        };
        let check = |before, now| words(of_primary(Primary::Proposal, &Change::Applied { before, now }));
        assert_eq!(check(None, proposal(1, "Unknown")), "platform n/default, proposal n/p");
        assert_eq!(check(Some(proposal(1, "True")), proposal(2, "True")), "platform n/default, proposal n/p");
        assert_eq!(check(Some(proposal(1, "Unknown")), proposal(1, "True")), "platform n/default");
        assert_eq!(check(Some(proposal(1, "True")), proposal(1, "True")), "");
    }

    #[test]
    fn a_child_leads_to_who_controls_it() {
        let child = |kind: &str, controller: bool| {
            let mut object = DynamicObject::new("shards", &ChildKind::Deployment.resource()).within("n");
            let owner = json!([{"apiVersion": "pnyx.dev/v1alpha1", "kind": kind, "name": "p", "uid": "1", "controller": controller}]);
            object.metadata.owner_references = serde_json::from_value(owner).expect("owners");
            words(of_child(&Change::Deleted(Arc::new(object))))
        };
        assert_eq!(child("GovernanceProposal", true), "proposal n/p");
        assert_eq!((child("GovernanceProposal", false), child("ReplicaSet", true)), (String::new(), String::new()));
    }
}

//! From what changed to which resources are worth a look.

use kube::core::DynamicObject;
use pnyx_crds::PLATFORM_NAME_DEFAULT;
use serde_json::Value;

use super::{
    Change, WorkQueue,
    intent::{is_same_intent, is_same_standing},
};
use crate::{
    kinds::{ChildKind, Key, ObjectKey, Primary},
    observe::Caches,
};

/// Passes changes on to whoever has to look, whether a watch was the first to tell of them or the answer to a write of ours:
/// what one has told, the other does not tell again. Clones share everything.
#[derive(Debug, Clone)]
pub struct Triggers {
    caches: Caches,
    queue: WorkQueue<Key>,
}

impl Triggers {
    /// From what these know to who waits in this queue.
    pub fn new(caches: Caches, queue: WorkQueue<Key>) -> Self {
        Self { caches, queue }
    }

    /// A resource of ours changed.
    pub fn primary(&self, primary: Primary, change: &Change) {
        of_primary(primary, change).into_iter().for_each(|key| self.queue.add(key));
        if primary == Primary::Platform && concerns_its_proposals(change) {
            let (Change::Deleted(object) | Change::Applied { before: _, now: object }) = change;
            proposals_of(object, &self.caches).into_iter().for_each(|key| self.queue.add(key));
        }
    }

    /// A child changed.
    pub fn child(&self, change: &Change) {
        of_child(change).into_iter().for_each(|key| self.queue.add(key));
    }

    /// The API server answered a write with this resource. The next look sees it even before the watch says so.
    pub fn primary_written(&self, primary: Primary, object: DynamicObject) {
        let change = self.caches.primaries.get(&primary).and_then(|cache| cache.apply(object));
        change.iter().for_each(|change| self.primary(primary, change));
    }

    /// The same of a child. What others wrote at the same time, such as how many of its pods are ready, is in it, too.
    pub fn child_written(&self, kind: ChildKind, object: DynamicObject) {
        let change = self.caches.children.get(&kind).and_then(|cache| cache.apply(object));
        change.iter().for_each(|change| self.child(change));
    }
}

/// Which resources to look at after a change of a resource of ours.
fn of_primary(primary: Primary, change: &Change) -> Vec<Key> {
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
fn concerns_its_proposals(change: &Change) -> bool {
    match change {
        Change::Deleted(_) | Change::Applied { before: None, .. } => true,
        Change::Applied { before: Some(before), now } => !is_same_intent(before, now) || !is_same_standing(before, now),
    }
}

/// The proposals of a platform.
fn proposals_of(platform: &DynamicObject, caches: &Caches) -> Vec<Key> {
    let Some(key) = key_of(platform) else { return Vec::new() };
    let proposals = caches.proposals_of(&key).into_iter();
    proposals.map(|brief| Key { primary: Primary::Proposal, object: brief.key }).collect()
}

/// Which resource to look at after a change of a child: the one that controls it.
fn of_child(change: &Change) -> Option<Key> {
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

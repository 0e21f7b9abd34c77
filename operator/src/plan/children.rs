//! From the children that are wanted and those that are there to what has to be done.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use kube::core::DynamicObject;

use super::{Child, Effect, child::applied_hash, ownership};
use crate::kinds::{ChildKind, ObjectKey};

/// A number of replicas that is not ours to choose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplicasOwner {
    /// Whose replicas.
    pub key: ObjectKey,
    /// Who chose them last, as the API server notes it.
    pub manager: String,
}

/// What brings the children that are there to those that are wanted, in an order in which each finds what it needs; and
/// whose replicas are somebody else's matter. Of equal children nothing comes, so applying all of it and asking again
/// gives nothing.
pub fn children_effects(
    wanted: Vec<Child>,
    live: &[(ChildKind, Arc<DynamicObject>)],
) -> (Vec<Effect>, Vec<ReplicasOwner>) {
    let mut there = BTreeMap::new();
    for (kind, object) in live {
        if let Some(key) = key_of(object) {
            there.insert((*kind, key), object);
        }
    }
    let kept: BTreeSet<_> = wanted.iter().map(|child| (child.kind(), child.key().clone())).collect();
    let mut wanted = wanted;
    wanted.sort_by_key(|child| (child.kind(), child.key().clone()));
    let (mut effects, mut foreign) = (Vec::new(), Vec::new());
    for child in wanted {
        let Some(object) = there.get(&(child.kind(), child.key().clone())) else {
            effects.push(Effect::Create(Box::new(child)));
            continue;
        };
        // One that is being deleted takes no changes; it is made anew once it is gone.
        if object.metadata.deletion_timestamp.is_some() {
            continue;
        }
        // The pods of a Job cannot be changed once it is made: it runs to its end as it is.
        if child.kind() == ChildKind::Job {
            continue;
        }
        let is_updated = applied_hash(object) != Some(child.hash()) || !ownership::owns_all(object, child.object());
        effects.extend(scale(&child, object, is_updated, &mut foreign));
        if is_updated {
            effects.push(Effect::Update(Box::new(child)));
        }
    }
    // What depends on others goes before them.
    let orphans =
        there.iter().rev().filter(|(at, object)| !kept.contains(*at) && object.metadata.deletion_timestamp.is_none());
    effects.extend(orphans.map(|((kind, key), object)| {
        let uid = object.metadata.uid.clone().unwrap_or_default();
        Effect::Delete { kind: *kind, key: key.clone(), uid }
    }));
    (effects, foreign)
}

/// How its replicas have to change, if they are ours to choose. Who made it said how many there are as well, and an update
/// no longer does: unless scaling has said so by then, nobody does, and the API server would make it one.
fn scale(child: &Child, object: &DynamicObject, is_updated: bool, foreign: &mut Vec<ReplicasOwner>) -> Option<Effect> {
    let to = child.replicas()?;
    if let Some(manager) = ownership::foreign_replicas_owner(object) {
        foreign.push(ReplicasOwner { key: child.key().clone(), manager });
        return None;
    }
    let from = object.data.pointer("/spec/replicas").and_then(serde_json::Value::as_i64);
    let is_unsaid = is_updated && !ownership::scaling_owns_replicas(object);
    (from != Some(to) || is_unsaid).then(|| Effect::Scale { kind: child.kind(), key: child.key().clone(), from, to })
}

fn key_of(object: &DynamicObject) -> Option<ObjectKey> {
    let metadata = &object.metadata;
    Some(ObjectKey::new(metadata.namespace.clone()?, metadata.name.clone()?))
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        kinds::{Key, Primary},
        plan::{ChildError, Owner, field_manager},
    };

    fn owner() -> Owner {
        Owner::new(Key { primary: Primary::Proposal, object: ObjectKey::new("n", "p") }, "uid-1")
    }

    fn child(object: Value) -> Child {
        Child::of(&owner(), &object).expect("a child")
    }

    fn deployment(replicas: i64) -> Child {
        let spec = json!({"replicas": replicas, "paused": false});
        child(json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "shards"}, "spec": spec}))
    }

    fn service(name: &str) -> Child {
        child(json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {"type": "ClusterIP"}}))
    }

    /// As the API server would have it after it was created.
    fn live(child: &Child) -> (ChildKind, Arc<DynamicObject>) {
        let mut object = child.first_object();
        let fields = fields_of(&object);
        object["metadata"]["uid"] = "uid-2".into();
        object["metadata"]["managedFields"] = json!([{
            "manager": field_manager::CHILDREN, "operation": "Apply", "fieldsType": "FieldsV1", "fieldsV1": fields,
        }]);
        (child.kind(), Arc::new(serde_json::from_value(object).expect("an object")))
    }

    /// Every list as a whole.
    fn fields_of(value: &Value) -> Value {
        let Value::Object(map) = value else { return json!({}) };
        map.iter().map(|(key, value)| (format!("f:{key}"), fields_of(value))).collect()
    }

    /// The effects, a line each.
    fn check(wanted: Vec<Child>, live: &[(ChildKind, Arc<DynamicObject>)], expected: expect_test::Expect) {
        let (effects, _) = children_effects(wanted, live);
        expected.assert_eq(&effects.iter().map(|effect| format!("{effect}\n")).collect::<String>());
    }

    #[test]
    fn what_is_missing_is_made_and_what_is_equal_is_left_alone() {
        let wanted = vec![deployment(2), service("edge")];
        check(
            wanted.clone(),
            &[],
            expect![[r#"
            create Service n/edge
            create Deployment n/shards
        "#]],
        );
        let there: Vec<_> = wanted.iter().map(live).collect();
        check(wanted, &there, expect![""]);
    }

    #[test]
    fn what_differs_is_updated_and_what_nothing_wants_is_deleted() {
        let there = [live(&deployment(2)), live(&service("edge")), live(&service("old"))];
        let mut changed = service("edge").object().clone();
        changed["spec"]["type"] = "NodePort".into();
        changed["metadata"]["annotations"] = json!({});
        check(
            vec![deployment(2), child(changed)],
            &there,
            expect![[r#"
            update Service n/edge
            delete Service n/old
        "#]],
        );
        check(
            Vec::new(),
            &there,
            expect![[r#"
            delete Deployment n/shards
            delete Service n/old
            delete Service n/edge
        "#]],
        );
    }

    #[test]
    fn replicas_are_changed_unless_somebody_else_chose_them() {
        let there = live(&deployment(2));
        check(
            vec![deployment(5)],
            std::slice::from_ref(&there),
            expect![[r#"
            scale Deployment n/shards from 2 to 5
        "#]],
        );
        let mut chosen = (*there.1).clone();
        let entries = chosen.metadata.managed_fields.as_mut().expect("entries");
        let scaled = json!({"manager": "keda", "operation": "Update", "fieldsV1": {"f:spec": {"f:replicas": {}}}});
        entries.push(serde_json::from_value(scaled).expect("an entry"));
        let chosen = [(there.0, Arc::new(chosen))];
        let (effects, foreign) = children_effects(vec![deployment(5)], &chosen);
        assert!(effects.is_empty());
        assert_eq!(foreign, [ReplicasOwner { key: ObjectKey::new("n", "shards"), manager: "keda".to_owned() }]);
    }

    #[test]
    fn an_update_keeps_the_replicas_that_the_making_chose() {
        let there = [live(&deployment(3))];
        let mut changed = deployment(3).first_object();
        changed["spec"]["paused"] = true.into();
        changed["metadata"]["annotations"] = json!({});
        check(
            vec![child(changed)],
            &there,
            expect![[r#"
                hold Deployment n/shards at 3
                update Deployment n/shards
            "#]],
        );
    }

    #[test]
    fn what_is_being_deleted_is_waited_for() {
        let (kind, object) = live(&service("edge"));
        let mut object = (*object).clone();
        object.metadata.deletion_timestamp =
            Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(jiff::Timestamp::UNIX_EPOCH));
        let there = [(kind, Arc::new(object))];
        check(vec![service("edge")], &there, expect![""]);
        check(Vec::new(), &there, expect![""]);
    }

    #[test]
    fn children_are_marked_as_ours() {
        let child = deployment(3);
        assert_eq!(child.object().pointer("/spec/replicas"), None);
        assert_eq!(child.first_object().pointer("/spec/replicas"), Some(&json!(3)));
        assert_eq!(child.object()["metadata"]["ownerReferences"][0]["uid"], "uid-1");
        assert_eq!(deployment(4).hash(), child.hash(), "replicas are a matter of their own");
        assert_ne!(service("a").hash(), service("b").hash());
        let secret = json!({"kind": "Secret", "metadata": {"name": "s"}});
        assert_eq!(Child::of(&owner(), &secret), Err(ChildError::Kind("Secret".to_owned())));
        let nameless = json!({"kind": "Service", "metadata": {}});
        assert_eq!(Child::of(&owner(), &nameless), Err(ChildError::Nameless("Service")));
    }
}

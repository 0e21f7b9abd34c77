//! The last known state of all objects of a kind.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use kube::core::DynamicObject;

use crate::kinds::ObjectKey;

/// What happened to an object.
#[derive(Debug, Clone)]
pub enum Change {
    /// It is new or different.
    Applied {
        /// As it was known before.
        before: Option<Arc<DynamicObject>>,
        /// As it is now.
        now: Arc<DynamicObject>,
    },
    /// It is gone.
    Deleted(Arc<DynamicObject>),
}

/// The last known state of all objects of a kind, found by name or by what a label says. Clones share it.
#[derive(Debug, Clone)]
pub struct Cache {
    inner: Arc<RwLock<Objects>>,
    /// By which label objects are indexed.
    index_label: &'static str,
}

#[derive(Debug, Default)]
struct Objects {
    by_key: BTreeMap<ObjectKey, Arc<DynamicObject>>,
    by_label: BTreeMap<String, BTreeSet<ObjectKey>>,
}

impl Cache {
    /// An empty cache, indexed by a label.
    pub fn new(index_label: &'static str) -> Self {
        Self { inner: Arc::default(), index_label }
    }

    /// One object.
    pub fn get(&self, key: &ObjectKey) -> Option<Arc<DynamicObject>> {
        self.read().by_key.get(key).cloned()
    }

    /// All objects, in order.
    pub fn all(&self) -> Vec<Arc<DynamicObject>> {
        self.read().by_key.values().cloned().collect()
    }

    /// All objects whose index label has this value, in order.
    pub fn labelled(&self, value: &str) -> Vec<Arc<DynamicObject>> {
        let objects = self.read();
        let keys = objects.by_label.get(value).into_iter().flatten();
        keys.filter_map(|key| objects.by_key.get(key).cloned()).collect()
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.read().by_key.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.read().by_key.is_empty()
    }

    /// Notes an object, as a watch or the answer to a write says it. One that is known to be newer stays, so that an answer
    /// that overtook the watch is not undone by it.
    pub fn apply(&self, object: DynamicObject) -> Option<Change> {
        let key = key_of(&object)?;
        let mut objects = self.write();
        let before = objects.by_key.get(&key).cloned();
        if before.as_ref().is_some_and(|before| is_same_or_newer(before, &object)) {
            return None;
        }
        let now = Arc::new(object);
        self.unindex(&mut objects, &key, before.as_deref());
        self.index(&mut objects, &key, &now);
        objects.by_key.insert(key, Arc::clone(&now));
        Some(Change::Applied { before, now })
    }

    /// Forgets an object.
    pub fn delete(&self, object: &DynamicObject) -> Option<Change> {
        let key = key_of(object)?;
        let mut objects = self.write();
        // One of the same name that was made since is another object.
        let is_this = objects.by_key.get(&key).is_some_and(|known| known.metadata.uid == object.metadata.uid);
        let known = if is_this { objects.by_key.remove(&key) } else { None }?;
        self.unindex(&mut objects, &key, Some(&known));
        Some(Change::Deleted(known))
    }

    /// Puts a complete list in place of what was known of a namespace, or of all of them.
    pub fn replace(&self, namespace: Option<&str>, listed: Vec<DynamicObject>) -> Vec<Change> {
        let kept: BTreeSet<_> =
            listed.iter().filter_map(|object| Some((key_of(object)?, object.metadata.uid.clone()))).collect();
        let known: Vec<_> = {
            let objects = self.read();
            let here = |key: &ObjectKey| namespace.is_none_or(|namespace| key.namespace == namespace);
            objects.by_key.iter().filter(|(key, _)| here(key)).map(|(_, object)| Arc::clone(object)).collect()
        };
        let is_gone = |object: &DynamicObject| {
            key_of(object).is_some_and(|key| !kept.contains(&(key, object.metadata.uid.clone())))
        };
        let gone: Vec<_> =
            known.iter().filter(|object| is_gone(object)).filter_map(|object| self.delete(object)).collect();
        gone.into_iter().chain(listed.into_iter().filter_map(|object| self.apply(object))).collect()
    }

    fn index(&self, objects: &mut Objects, key: &ObjectKey, object: &DynamicObject) {
        if let Some(value) = self.label_of(object) {
            objects.by_label.entry(value.to_owned()).or_default().insert(key.clone());
        }
    }

    fn unindex(&self, objects: &mut Objects, key: &ObjectKey, object: Option<&DynamicObject>) {
        let Some(value) = object.and_then(|object| self.label_of(object)) else { return };
        if let Some(keys) = objects.by_label.get_mut(value) {
            keys.remove(key);
            if keys.is_empty() {
                objects.by_label.remove(value);
            }
        }
    }

    fn label_of<'a>(&self, object: &'a DynamicObject) -> Option<&'a str> {
        object.metadata.labels.as_ref()?.get(self.index_label).map(String::as_str)
    }

    fn read(&self) -> RwLockReadGuard<'_, Objects> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Objects> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether what is known is the same version or a later one of the same object. Versions are numbers in all known servers;
/// where one is not, the newcomer counts.
fn is_same_or_newer(known: &DynamicObject, object: &DynamicObject) -> bool {
    let version = |object: &DynamicObject| object.metadata.resource_version.as_ref()?.parse::<u64>().ok();
    known.metadata.uid == object.metadata.uid
        && version(known).zip(version(object)).is_some_and(|(known, version)| known >= version)
}

fn key_of(object: &DynamicObject) -> Option<ObjectKey> {
    let metadata = &object.metadata;
    Some(ObjectKey::new(metadata.namespace.clone()?, metadata.name.clone()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::ChildKind;

    const LABEL: &str = "owner";

    fn object(namespace: &str, name: &str, uid: &str, version: u64, owner: &str) -> DynamicObject {
        let mut object = DynamicObject::new(name, &ChildKind::Service.resource()).within(namespace);
        object.metadata.uid = Some(uid.to_owned());
        object.metadata.resource_version = Some(version.to_string());
        object.metadata.labels = Some([(LABEL.to_owned(), owner.to_owned())].into());
        object
    }

    fn names(objects: &[Arc<DynamicObject>]) -> Vec<&str> {
        objects.iter().filter_map(|object| object.metadata.name.as_deref()).collect()
    }

    #[test]
    fn objects_are_found_by_their_owner_as_it_changes() {
        let cache = Cache::new(LABEL);
        assert!(matches!(cache.apply(object("n", "a", "1", 5, "x")), Some(Change::Applied { before: None, .. })));
        assert!(cache.apply(object("n", "b", "2", 6, "x")).is_some());
        assert_eq!(names(&cache.labelled("x")), ["a", "b"]);
        assert!(matches!(cache.apply(object("n", "a", "1", 7, "y")), Some(Change::Applied { before: Some(_), .. })));
        assert_eq!((names(&cache.labelled("x")), names(&cache.labelled("y"))), (vec!["b"], vec!["a"]));
        assert!(cache.delete(&object("n", "b", "2", 9, "x")).is_some());
        assert!(cache.labelled("x").is_empty() && cache.len() == 1);
    }

    #[test]
    fn what_is_older_or_another_changes_nothing() {
        let cache = Cache::new(LABEL);
        cache.apply(object("n", "a", "1", 7, "x"));
        assert!(cache.apply(object("n", "a", "1", 7, "x")).is_none(), "the same again");
        assert!(cache.apply(object("n", "a", "1", 6, "y")).is_none(), "late news");
        assert!(cache.delete(&object("n", "a", "0", 9, "x")).is_none(), "an object that was there before");
        assert!(cache.apply(object("n", "a", "2", 3, "y")).is_some(), "made anew");
    }

    #[test]
    fn a_list_replaces_what_was_known_where_it_was_made() {
        let cache = Cache::new(LABEL);
        for (namespace, name) in [("n", "a"), ("n", "b"), ("m", "c")] {
            cache.apply(object(namespace, name, name, 5, "x"));
        }
        let listed = vec![object("n", "b", "b", 5, "x"), object("n", "d", "d", 8, "x")];
        let changes = cache.replace(Some("n"), listed);
        assert!(
            matches!(&changes[..], [Change::Deleted(gone), Change::Applied { .. }] if gone.metadata.name.as_deref() == Some("a"))
        );
        assert_eq!(names(&cache.all()), ["c", "b", "d"]);
        assert_eq!(cache.replace(None, Vec::new()).len(), 3);
        assert!(cache.is_empty());
    }
}

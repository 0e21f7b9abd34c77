//! An object that the operator wants, with all that marks it as ours.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::core::DynamicObject;
use serde::Serialize;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::kinds::{ChildKind, Key, ObjectKey};

/// The label by which the operator finds its own objects.
pub const MANAGED_BY_LABEL: &str = "app.kubernetes.io/managed-by";

/// What that label says.
pub const MANAGED_BY: &str = "pnyx-operator";

/// The label that says whose child an object is, by the owner's uid: a resource that is deleted and made anew under the
/// same name has other children.
pub const OWNER_LABEL: &str = "pnyx.dev/owner-uid";

/// The annotation with the hash of what was applied.
pub const APPLIED_ANNOTATION: &str = "pnyx.dev/applied";

/// Bytes of that hash: enough that no two states of one object meet.
const HASH_BYTES: usize = 16;

/// Whose child an object is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    key: Key,
    uid: String,
}

/// Why something is nobody's child.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ChildError {
    /// The object cannot be written as JSON.
    #[error("the object cannot be written: {0}")]
    Unwritable(String),
    /// Orphans are not looked for among such objects.
    #[error("the operator makes no {0:?}")]
    Kind(String),
    /// It has no name.
    #[error("a {0} without a name")]
    Nameless(&'static str),
}

impl Owner {
    /// A resource, as the API server has it.
    pub fn new(key: Key, uid: impl Into<String>) -> Self {
        Self { key, uid: uid.into() }
    }

    /// Which resource it is.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// Its uid.
    pub fn uid(&self) -> &str {
        &self.uid
    }

    fn reference(&self) -> OwnerReference {
        let resource = self.key.primary.resource();
        OwnerReference {
            api_version: resource.api_version,
            kind: resource.kind,
            name: self.key.object.name.clone(),
            uid: self.uid.clone(),
            controller: Some(true),
            block_owner_deletion: Some(true),
        }
    }
}

/// An object that the operator wants: in its owner's namespace, labelled, owned, and hashed. How many replicas it has is
/// kept apart, because that may be somebody else's matter.
#[derive(Debug, Clone, PartialEq)]
pub struct Child {
    kind: ChildKind,
    key: ObjectKey,
    object: Value,
    hash: String,
    replicas: Option<i64>,
}

impl Child {
    /// From an object as a builder made it. Its namespace is its owner's, whatever it says.
    ///
    /// # Errors
    /// If the object is of a kind that the operator does not watch, or has no name.
    pub fn of(owner: &Owner, object: &impl Serialize) -> Result<Self, ChildError> {
        let mut object = serde_json::to_value(object).map_err(|error| ChildError::Unwritable(error.to_string()))?;
        let named = object["kind"].as_str().unwrap_or_default();
        let kind = ChildKind::ALL.into_iter().find(|kind| kind.kind() == named);
        let kind = kind.ok_or_else(|| ChildError::Kind(named.to_owned()))?;
        let name = object["metadata"]["name"].as_str().filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| ChildError::Nameless(kind.kind()))?.to_owned();
        let replicas = match object.get_mut("spec").and_then(Value::as_object_mut) {
            Some(spec) if kind == ChildKind::Deployment => spec.remove("replicas").and_then(|value| value.as_i64()),
            Some(_) | None => None,
        };
        let key = ObjectKey::new(&owner.key.object.namespace, name);
        let metadata = &mut object["metadata"];
        metadata["namespace"] = key.namespace.clone().into();
        metadata["labels"][MANAGED_BY_LABEL] = MANAGED_BY.into();
        metadata["labels"][OWNER_LABEL] = owner.uid.clone().into();
        metadata["ownerReferences"] = json!([owner.reference()]);
        let hash = hash(&object);
        object["metadata"]["annotations"][APPLIED_ANNOTATION] = hash.clone().into();
        Ok(Self { kind, key, object, hash, replicas })
    }

    /// What it is.
    pub fn kind(&self) -> ChildKind {
        self.kind
    }

    /// Where it is.
    pub fn key(&self) -> &ObjectKey {
        &self.key
    }

    /// Stands for the whole of it, without its replicas.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// How many replicas it should have, if it has any.
    pub fn replicas(&self) -> Option<i64> {
        self.replicas
    }

    /// What is applied to an object that exists: its replicas are left to whom they belong.
    pub fn object(&self) -> &Value {
        &self.object
    }

    /// What is applied to make it: with its replicas, or it would start with a number that nobody chose.
    pub fn first_object(&self) -> Value {
        let mut object = self.object.clone();
        if let Some(replicas) = self.replicas {
            object["spec"]["replicas"] = replicas.into();
        }
        object
    }
}

/// What an object was made from when it was applied last.
pub(super) fn applied_hash(object: &DynamicObject) -> Option<&str> {
    object.metadata.annotations.as_ref()?.get(APPLIED_ANNOTATION).map(String::as_str)
}

/// Of the object with its keys in order, so that two equal objects have one hash however they were put together.
fn hash(object: &Value) -> String {
    let digest = Sha256::digest(sorted(object).to_string());
    digest.iter().take(HASH_BYTES).map(|byte| format!("{byte:02x}")).collect()
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            Value::Object(entries.into_iter().map(|(key, value)| (key.clone(), sorted(value))).collect::<Map<_, _>>())
        }
        Value::Array(values) => Value::Array(values.iter().map(sorted).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

//! What others have to know of a proposal, read without reading all of it: there may be hundreds.

use jiff::Timestamp;
use kube::core::DynamicObject;
use pnyx_crds::{PLATFORM_NAME_DEFAULT, conditions};
use serde_json::Value;

use crate::{kinds::ObjectKey, plan};

/// Whether a proposal is of a platform. Asked of hundreds at once, so that nothing is copied for it.
pub(super) fn is_of(object: &DynamicObject, platform: &ObjectKey) -> bool {
    let named = object.data.get("spec").and_then(|spec| spec.get("platformRef")?.get("name")?.as_str());
    object.metadata.namespace.as_deref() == Some(&*platform.namespace)
        && named.unwrap_or(PLATFORM_NAME_DEFAULT) == platform.name
}

/// What others have to know of a proposal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProposalBrief {
    /// Which one.
    pub key: ObjectKey,
    /// Its platform.
    pub platform: ObjectKey,
    /// Its space.
    pub space: String,
    /// When it was made.
    pub created_at: Option<Timestamp>,
    /// When it opens, if that can be read.
    pub opens_at: Option<Timestamp>,
    /// When it closes, if that can be read.
    pub closes_at: Option<Timestamp>,
    /// Whether it was accepted.
    pub is_accepted: bool,
    /// Whether its result is published.
    pub has_result: bool,
    /// Whether its deletion was asked for and waits for the operator.
    pub is_leaving: bool,
}

impl ProposalBrief {
    /// Of an object as it came.
    pub fn of(object: &DynamicObject) -> Option<Self> {
        let metadata = &object.metadata;
        let namespace = metadata.namespace.clone()?;
        let text = |pointer: &str| object.data.pointer(pointer).and_then(Value::as_str);
        let time = |pointer: &str| text(pointer).and_then(|time| time.parse().ok());
        let platform = text("/spec/platformRef/name").unwrap_or(PLATFORM_NAME_DEFAULT);
        let is_accepted =
            |condition: &Value| condition["type"] == conditions::proposal::ACCEPTED && condition["status"] == "True";
        let conditions = object.data.pointer("/status/conditions").and_then(Value::as_array);
        Some(Self {
            key: ObjectKey::new(&namespace, metadata.name.clone()?),
            platform: ObjectKey::new(namespace, platform),
            space: text("/spec/space").unwrap_or_default().to_owned(),
            created_at: metadata.creation_timestamp.as_ref().map(|time| time.0),
            opens_at: time("/spec/window/opensAt"),
            closes_at: time("/spec/window/closesAt"),
            is_accepted: conditions.into_iter().flatten().any(is_accepted),
            is_leaving: metadata.deletion_timestamp.is_some() && plan::is_held(metadata),
            has_result: object.data.pointer("/status/result").is_some(),
        })
    }

    /// Whether its window is open.
    pub fn is_open(&self, now: Timestamp) -> bool {
        self.opens_at.zip(self.closes_at).is_some_and(|(opens_at, closes_at)| opens_at <= now && now < closes_at)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kinds::Primary;

    #[test]
    fn little_is_needed_and_broken_parts_are_left_out() {
        let object = DynamicObject::new("p", &Primary::Proposal.resource()).within("n").data(json!({
            "spec": {"space": "dao.eth", "window": {"opensAt": "2026-11-22T10:00:00Z", "closesAt": "later"}},
            "status": {"conditions": [{"type": "Accepted", "status": "True"}]},
        }));
        let brief = ProposalBrief::of(&object).expect("it has a name");
        assert_eq!((brief.platform, &*brief.space), (ObjectKey::new("n", "default"), "dao.eth"));
        assert!(brief.is_accepted && !brief.has_result && brief.opens_at.is_some() && brief.closes_at.is_none());
        let nothing = DynamicObject::new("p", &Primary::Proposal.resource()).within("n");
        assert!(!ProposalBrief::of(&nothing).expect("it has a name").is_open(Timestamp::UNIX_EPOCH));
    }
}

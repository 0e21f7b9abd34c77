//! Resources that the rules of the schemas refuse, one for each rule at least: used with an evaluator of our own and with
//! a real API server.

use pnyx_crds::Kind;
use serde_json::{Value, json};

mod platform;
mod proposal;

/// A change that a rule refuses.
pub(crate) struct Case {
    /// What is changed.
    pub(crate) kind: Kind,
    /// Whether the resource is new with that change, or stored without it.
    pub(crate) when: When,
    /// A JSON merge patch in YAML, as it is shown.
    pub(crate) patch: &'static str,
}

/// When a change is made.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// The resource is made with it.
    Created,
    /// The resource is there, and a proposal is accepted.
    Accepted,
}

/// Every case, in the order of the golden files.
pub(crate) fn all() -> Vec<Case> {
    let made =
        |kind, when, patches: &'static [&'static str]| patches.iter().map(move |patch| Case { kind, when, patch });
    made(Kind::Proposal, When::Created, proposal::CREATED)
        .chain(made(Kind::Proposal, When::Accepted, proposal::ACCEPTED))
        .chain(made(Kind::Platform, When::Created, platform::CREATED))
        .chain(made(Kind::Platform, When::Accepted, platform::ACCEPTED))
        .collect()
}

/// Changes of accepted resources that every rule lets pass.
pub(crate) fn allowed() -> Vec<Case> {
    let made = |kind, patches: &'static [&'static str]| {
        patches.iter().map(move |patch| Case { kind, when: When::Accepted, patch })
    };
    made(Kind::Proposal, proposal::ALLOWED).chain(made(Kind::Platform, platform::ALLOWED)).collect()
}

impl Case {
    /// The resource with the change.
    pub(crate) fn changed(&self) -> Value {
        let mut resource = good(self.kind);
        merge(&mut resource, &yaml(self.patch));
        resource
    }

    /// Its line in a golden file.
    pub(crate) fn title(&self) -> String {
        let when = match self.when {
            When::Created => "created with",
            When::Accepted => "changed to",
        };
        format!("{} {when} {}", self.kind.name(), self.patch)
    }
}

/// A resource that everything is right with.
pub(crate) fn good(kind: Kind) -> Value {
    yaml(match kind {
        Kind::Proposal => proposal::GOOD,
        Kind::Platform => platform::GOOD,
    })
}

/// The status of a resource that is accepted.
pub(crate) fn accepted_status() -> Value {
    json!({"observedGeneration": 1, "conditions": [{
        "type": "Accepted", "status": "True", "reason": "AsExpected", "message": "",
        "lastTransitionTime": "2026-12-01T00:00:00Z",
    }]})
}

pub(crate) fn yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// RFC 7386: members that are null are removed, objects are merged, everything else is replaced.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    let fields = target.as_object_mut().expect("it is an object now");
    for (field, value) in patch {
        if value.is_null() {
            fields.remove(field);
        } else {
            merge(fields.entry(field.clone()).or_insert(Value::Null), value);
        }
    }
}

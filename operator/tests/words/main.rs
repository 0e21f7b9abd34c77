//! Everything that conditions say, with the words that people see: a case for each reason. A reason without a case fails,
//! and so does a case whose words changed.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up stops there")]

mod platforms;
mod proposals;

use std::{collections::BTreeSet, fmt::Write as _};

use expect_test::expect_file;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::core::DynamicObject;
use pnyx_crds::conditions::{platform, proposal, reasons};
use pnyx_operator::{
    ChildKind, Key, ObjectKey, Primary,
    observe::{LiveChildren, Seen},
    plan::{COMPONENT_LABEL, Owner},
    status::Conditions,
};
use serde_json::{Value, json};

/// Reasons whose words come from servers, and the tests that have them.
const OF_SERVERS: [&str; 3] = [
    // operator/tests/kubernetes/apply.rs
    reasons::API_ERROR,
    // operator/tests/kubernetes/log.rs
    reasons::KAFKA_UNREACHABLE,
    // operator/src/log/follow.rs
    reasons::KAFKA_UNSUITABLE,
];

/// What is said in a situation, and which of it matters there.
struct Case {
    about: &'static str,
    kinds: &'static [&'static str],
    said: Conditions,
}

#[test]
fn every_reason_has_a_case_with_the_words_that_people_see() {
    let (proposals, platforms) = (proposals::cases(), platforms::cases());
    let mut table = String::new();
    let mut seen: BTreeSet<&str> = OF_SERVERS.into();
    for (title, cases, all) in
        [("GovernanceProposal", &proposals, proposal::ALL), ("GovernancePlatform", &platforms, platform::ALL)]
    {
        writeln!(table, "# {title}").unwrap();
        for Case { about, kinds, said } in cases {
            writeln!(table, "\n{about}").unwrap();
            for kind in *kinds {
                let said = said.get(kind).unwrap();
                seen.insert(said.reason);
                let colon = if said.message.is_empty() { "" } else { ": " };
                writeln!(table, "  {kind} {} {}{colon}{}", said.state.word(), said.reason, said.message).unwrap();
            }
        }
        let kinds: BTreeSet<&str> = cases.iter().flat_map(|case| case.kinds.iter().copied()).collect();
        let without: Vec<_> = all.iter().filter(|kind| !kinds.contains(*kind)).collect();
        assert!(without.is_empty(), "no case of {title} has {without:?}");
        table.push('\n');
    }
    expect_file!["words.txt"].assert_eq(&table);
    let without: Vec<_> = reasons::ALL.iter().filter(|reason| !seen.contains(*reason)).collect();
    assert!(without.is_empty(), "no case has {without:?}");
}

/// `patch` over `base`, as in RFC 7396.
fn patched(base: &Value, patch: &Value) -> Value {
    let Some(changes) = patch.as_object() else { return patch.clone() };
    let mut merged = base.as_object().cloned().unwrap_or_default();
    for (field, change) in changes {
        match change {
            Value::Null => drop(merged.remove(field)),
            change => {
                let before = merged.get(field).cloned().unwrap_or_default();
                merged.insert(field.clone(), patched(&before, change));
            }
        }
    }
    merged.into()
}

fn seen<K>(primary: Primary, name: &str, resource: K, conditions: Vec<Condition>) -> Seen<K> {
    let owner = Owner::new(Key { primary, object: ObjectKey::new("n", name) }, "uid-1");
    Seen { owner, resource, generation: Some(1), conditions, is_deleted: false }
}

/// A condition as it stands in status.
fn condition(kind: &str, reason: &str) -> Condition {
    Condition {
        type_: kind.to_owned(),
        status: "True".to_owned(),
        reason: reason.to_owned(),
        message: String::new(),
        observed_generation: Some(1),
        last_transition_time: Time(Timestamp::UNIX_EPOCH),
    }
}

/// What a resource has: an object of this component.
fn child(kind: ChildKind, component: &str, data: Value) -> LiveChildren {
    let mut object = DynamicObject::new(component, &kind.resource()).within("n").data(data);
    object.metadata.labels = Some([(COMPONENT_LABEL.to_owned(), component.to_owned())].into());
    object.metadata.uid = Some("uid-2".to_owned());
    vec![(kind, std::sync::Arc::new(object))]
}

/// Pods of which so many were asked for and so many are ready.
fn pods(component: &str, desired: u32, ready: u32) -> LiveChildren {
    let data = json!({"spec": {"replicas": desired}, "status": {"readyReplicas": ready}});
    child(ChildKind::Deployment, component, data)
}

//! Events: what people are told where they look first, `kubectl describe`. The same is said once in a while, not each time.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::{
    api::{core::v1::ObjectReference, events::v1::Event},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};

use crate::plan::{Note, NoteKind, Owner};

/// Who says so, as Events have it.
const CONTROLLER: &str = "pnyx.dev/operator";

/// The same is not said again for this long. Events are kept for an hour by default.
const REPEAT_AFTER: SignedDuration = SignedDuration::from_mins(30);

/// Longest text that an Event may carry.
const NOTE_BYTES_MAX: usize = 1024;

/// Longest name of a reporter.
const INSTANCE_BYTES_MAX: usize = 128;

/// What is remembered of what was said: a few notes of each of some thousand resources. Beyond that the oldest goes.
const REMEMBERED_MAX: usize = 20_000;

/// What an Event is about.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Regarding {
    uid: String,
    reference: ObjectReference,
}

impl Regarding {
    /// About a resource of ours.
    pub(crate) fn new(owner: &Owner) -> Self {
        let key = owner.key();
        let resource = key.primary.resource();
        let reference = ObjectReference {
            api_version: Some(resource.api_version),
            kind: Some(resource.kind),
            name: Some(key.object.name.clone()),
            namespace: Some(key.object.namespace.clone()),
            uid: Some(owner.uid().to_owned()),
            ..ObjectReference::default()
        };
        Self { uid: owner.uid().to_owned(), reference }
    }
}

/// Remembers what was said, so that it is not said again and again.
#[derive(Debug)]
pub(crate) struct EventLog {
    instance: String,
    said: Mutex<BTreeMap<(String, u64), Timestamp>>,
}

impl EventLog {
    /// Of the process that is called `identity`.
    pub(crate) fn new(identity: &str) -> Self {
        Self { instance: cut(identity, INSTANCE_BYTES_MAX), said: Mutex::default() }
    }

    /// The Event that says so, unless the same was said a short while ago.
    pub(crate) fn event(&self, regarding: &Regarding, note: &Note, now: Timestamp) -> Option<Event> {
        let key = key(regarding, note);
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.get(&key).is_some_and(|at| now.duration_since(*at) < REPEAT_AFTER) {
            return None;
        }
        if said.len() >= REMEMBERED_MAX {
            said.retain(|_, at| now.duration_since(*at) < REPEAT_AFTER);
        }
        if said.len() >= REMEMBERED_MAX
            && let Some(oldest) = said.iter().min_by_key(|(_, at)| **at).map(|(key, _)| key.clone())
        {
            said.remove(&oldest);
        }
        let number = key.1;
        said.insert(key, now);
        let ObjectReference { name, namespace, .. } = regarding.reference.clone();
        let nanoseconds = now.as_nanosecond();
        let name = format!("{}.{nanoseconds:x}.{:04x}", name.unwrap_or_default(), number & 0xffff);
        Some(Event {
            action: Some(note.action.to_owned()),
            event_time: Some(MicroTime(now)),
            metadata: ObjectMeta { name: Some(name), namespace, ..ObjectMeta::default() },
            note: Some(cut(&note.message, NOTE_BYTES_MAX)),
            reason: Some(note.reason.to_owned()),
            regarding: Some(regarding.reference.clone()),
            reporting_controller: Some(CONTROLLER.to_owned()),
            reporting_instance: Some(self.instance.clone()),
            type_: Some(match note.kind {
                NoteKind::Normal => "Normal".to_owned(),
                NoteKind::Warning => "Warning".to_owned(),
            }),
            ..Event::default()
        })
    }

    /// It was not said after all.
    pub(crate) fn forget(&self, regarding: &Regarding, note: &Note) {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).remove(&key(regarding, note));
    }
}

fn key(regarding: &Regarding, note: &Note) -> (String, u64) {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};

    let mut hasher = DefaultHasher::new();
    note.hash(&mut hasher);
    (regarding.uid.clone(), hasher.finish())
}

/// No longer than `bytes_max`, in whole characters, with a sign that something is missing.
fn cut(text: &str, bytes_max: usize) -> String {
    const SIGN: &str = "…";
    if text.len() <= bytes_max {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(bytes_max - SIGN.len());
    format!("{}{SIGN}", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::{Key, ObjectKey, Primary};

    fn note(message: &str) -> Note {
        Note { kind: NoteKind::Warning, reason: "Refused", action: "Validate", message: message.to_owned() }
    }

    #[test]
    fn the_same_is_said_once_in_a_while() {
        let log = EventLog::new("pod-1");
        let regarding = |uid: &str| {
            Regarding::new(&Owner::new(Key { primary: Primary::Proposal, object: ObjectKey::new("n", "p") }, uid))
        };
        let (one, start) = (regarding("1"), Timestamp::UNIX_EPOCH);
        assert!(log.event(&one, &note("a"), start).is_some());
        assert!(log.event(&one, &note("a"), start + SignedDuration::from_mins(29)).is_none());
        assert!(log.event(&one, &note("b"), start).is_some(), "news");
        assert!(log.event(&regarding("2"), &note("a"), start).is_some(), "of another");
        assert!(log.event(&one, &note("a"), start + REPEAT_AFTER).is_some());
        log.forget(&one, &note("a"));
        assert!(log.event(&one, &note("a"), start + REPEAT_AFTER).is_some());
    }

    #[test]
    fn events_are_within_the_limits_of_the_api() {
        let log = EventLog::new(&"x".repeat(500));
        let owner = Owner::new(Key { primary: Primary::Proposal, object: ObjectKey::new("n", "p") }, "1");
        let event =
            log.event(&Regarding::new(&owner), &note(&"ä".repeat(4_000)), Timestamp::UNIX_EPOCH).expect("first");
        assert!(event.note.is_some_and(|note| note.len() <= 1024 && note.ends_with("ä…")));
        assert_eq!(event.reporting_instance.map(|instance| instance.len()), Some(128));
    }

    #[test]
    fn memory_is_bounded() {
        let log = EventLog::new("pod-1");
        let owner = Owner::new(Key { primary: Primary::Platform, object: ObjectKey::new("n", "p") }, "1");
        for number in 0..REMEMBERED_MAX + 3 {
            log.event(&Regarding::new(&owner), &note(&number.to_string()), Timestamp::UNIX_EPOCH);
        }
        assert_eq!(log.said.lock().expect("not poisoned").len(), REMEMBERED_MAX);
    }
}

//! Conditions: one of each type, there from the first sight on.

use std::collections::BTreeMap;

use jiff::{Timestamp, Unit};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use pnyx_crds::conditions::reasons;

/// Longest message that the API takes.
const MESSAGE_BYTES_MAX: usize = 32_768;

/// Whether a condition is so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It is so.
    True,
    /// It is not so.
    False,
    /// Nobody knows yet, or any more.
    Unknown,
}

impl State {
    /// As the API writes it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

impl From<bool> for State {
    fn from(is_so: bool) -> Self {
        if is_so { Self::True } else { Self::False }
    }
}

/// What a condition says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// Whether it is so.
    pub state: State,
    /// Why, one word for programs.
    pub reason: &'static str,
    /// Why, for people. No times or counts that change by themselves: each change is a write.
    pub message: String,
}

impl Said {
    /// What a condition said; nothing where its words are none of ours.
    fn of(condition: &Condition) -> Option<Self> {
        let reason = reasons::ALL.iter().find(|reason| **reason == condition.reason)?;
        let states = [State::True, State::False, State::Unknown];
        let state = states.into_iter().find(|state| state.word() == condition.status)?;
        Some(Self::new(state, reason, &condition.message))
    }

    /// All three.
    pub fn new(state: impl Into<State>, reason: &'static str, message: impl Into<String>) -> Self {
        Self { state: state.into(), reason, message: message.into() }
    }
}

/// The conditions of a resource, in the order of its types.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conditions {
    types: &'static [&'static str],
    said: BTreeMap<&'static str, Said>,
}

impl Conditions {
    /// All of them unknown, for the same reason.
    pub fn unknown(types: &'static [&'static str], reason: &'static str) -> Self {
        let said = types.iter().map(|kind| (*kind, Said::new(State::Unknown, reason, "")));
        Self { types, said: said.collect() }
    }

    /// What was said before of these types stays until something else is known of them.
    pub fn keep(&mut self, before: &[Condition], kinds: &[&'static str]) {
        for kind in kinds {
            let said = before.iter().find(|condition| condition.type_ == *kind).and_then(Said::of);
            if let Some(said) = said {
                self.set(kind, said);
            }
        }
    }

    /// What one of them says.
    pub fn set(&mut self, kind: &'static str, said: Said) {
        debug_assert!(self.types.contains(&kind), "{kind} is a type of this resource");
        self.said.insert(kind, said);
    }

    /// What one of them says now.
    pub fn get(&self, kind: &str) -> Option<&Said> {
        self.said.get(kind)
    }

    /// Whether one of them is so.
    pub fn is_true(&self, kind: &str) -> bool {
        self.get(kind).is_some_and(|said| said.state == State::True)
    }

    /// As status has them, after those that it had `before`. A transition is a change of being so, and of nothing else.
    pub fn into_list(self, before: &[Condition], generation: Option<i64>, now: Timestamp) -> Vec<Condition> {
        let Self { types, mut said } = self;
        // The API keeps whole seconds; anything finer would differ from what comes back.
        let now = now.round(Unit::Second).unwrap_or(now);
        let listed = types.iter().filter_map(|kind| Some((*kind, said.remove(kind)?)));
        let made = listed.map(|(kind, said)| {
            let Said { state, reason, message } = said;
            let same = before.iter().find(|condition| condition.type_ == kind && condition.status == state.word());
            Condition {
                type_: kind.to_owned(),
                status: state.word().to_owned(),
                reason: reason.to_owned(),
                message: message[..message.floor_char_boundary(MESSAGE_BYTES_MAX)].to_owned(),
                observed_generation: generation,
                last_transition_time: same.map_or(Time(now), |condition| condition.last_transition_time.clone()),
            }
        });
        made.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TYPES: &[&str] = &["Accepted", "Ready"];

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a small number")
    }

    fn times(conditions: &[Condition]) -> Vec<(&str, &str, i64)> {
        conditions.iter().map(|c| (&*c.type_, &*c.status, c.last_transition_time.0.as_second())).collect()
    }

    #[test]
    fn all_types_are_there_from_the_first_sight() {
        let first = Conditions::unknown(TYPES, "NotObserved").into_list(&[], Some(1), at(5));
        assert_eq!(times(&first), [("Accepted", "Unknown", 5), ("Ready", "Unknown", 5)]);
        assert!(first.iter().all(|condition| condition.reason == "NotObserved"));
    }

    #[test]
    fn a_time_changes_only_with_what_is_so() {
        let first = Conditions::unknown(TYPES, "NotObserved").into_list(&[], Some(1), at(5));
        let mut next = Conditions::unknown(TYPES, "NotObserved");
        next.set("Accepted", Said::new(true, "AsExpected", ""));
        assert!(next.is_true("Accepted") && !next.is_true("Ready"));
        let second = next.clone().into_list(&first, Some(1), at(8));
        assert_eq!(times(&second), [("Accepted", "True", 8), ("Ready", "Unknown", 5)]);
        next.set("Accepted", Said::new(true, "AsExpected", "said otherwise"));
        let third = next.into_list(&second, Some(2), at(9));
        assert_eq!(times(&third), times(&second));
        let mut kept = Conditions::unknown(TYPES, "NotObserved");
        kept.keep(&third, &["Accepted", "Ready"]);
        assert_eq!(kept.get("Accepted"), Some(&Said::new(true, "AsExpected", "said otherwise")));
        assert_eq!((third[0].observed_generation, &*third[0].message), (Some(2), "said otherwise"));
    }
}

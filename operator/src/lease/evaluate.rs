//! What a candidate does next, as a pure function of what it saw.

use std::time::Duration;

use super::{LEASE_DURATION, LeaseRecord};

/// What a candidate remembers of what it saw, on its own clock.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observation {
    /// The lease as last seen, and since when it has been seen so. Nothing before the first look.
    last: Option<(Option<LeaseRecord>, Duration)>,
    /// Whether there ever was a lease.
    has_seen_lease: bool,
}

impl Observation {
    /// Notes what was just seen. `now` is read after the answer came, never before: a change counts from when it is known.
    pub fn note(&mut self, lease: Option<&LeaseRecord>, now: Duration) {
        self.has_seen_lease |= lease.is_some();
        if self.last.as_ref().is_none_or(|(last, _)| last.as_ref() != lease) {
            self.last = Some((lease.cloned(), now));
        }
    }

    /// Since when the lease has been as it is.
    fn unchanged_since(&self) -> Option<Duration> {
        self.last.as_ref().map(|(_, since)| *since)
    }
}

/// What a candidate does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// There is no lease: make one.
    Create,
    /// Nobody holds it, or its holder has been silent for too long: take it.
    Acquire,
    /// It is ours: keep it.
    Renew,
    /// Somebody else may lead until then.
    Wait {
        /// On the own clock.
        until: Duration,
    },
}

/// What `identity` does about `lease`, which `observation` has noted, at `now` on its own clock.
pub fn evaluate(lease: Option<&LeaseRecord>, identity: &str, observation: &Observation, now: Duration) -> Action {
    let since = observation.unchanged_since().unwrap_or(now);
    let (until, then) = match lease {
        // Whoever held it may not know yet that it is gone.
        None if observation.has_seen_lease => (since.saturating_add(LEASE_DURATION), Action::Create),
        None => return Action::Create,
        Some(LeaseRecord { holder: None, .. }) => return Action::Acquire,
        Some(LeaseRecord { holder: Some(holder), .. }) if holder == identity => return Action::Renew,
        Some(lease) => (since.saturating_add(lease.duration), Action::Acquire),
    };
    if now >= until { then } else { Action::Wait { until } }
}

//! How long a client has done nothing but fail. The library comes back by itself from nearly everything; a client that
//! stayed without a connection for minutes, while others of the same process had theirs, was seen on a starved machine.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// A client that fails for so long, while a new one reaches the brokers at once, is exchanged: three times what one of the
/// library's own attempts at a connection may take.
const STUCK_AFTER: Duration = Duration::from_secs(15);

/// The failures since the last success.
#[derive(Debug)]
pub(super) struct Failing {
    failures: Mutex<Option<Failures>>,
}

#[derive(Debug, Clone, Copy)]
struct Failures {
    first: Instant,
    latest: Instant,
}

impl Failing {
    pub(super) const fn new() -> Self {
        Self { failures: Mutex::new(None) }
    }

    /// Notes what came of an attempt.
    pub(super) fn note(&self, has_failed: bool) {
        self.note_at(has_failed, Instant::now());
    }

    /// Forgets what was: it succeeds, or another client begins.
    pub(super) fn forget(&self) {
        *self.failures.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Whether attempts have failed for [`STUCK_AFTER`]. A client that is asked nothing does not get stuck.
    pub(super) fn is_stuck(&self) -> bool {
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.is_some_and(|failures| failures.latest.saturating_duration_since(failures.first) >= STUCK_AFTER)
    }

    fn note_at(&self, has_failed: bool, now: Instant) {
        if !has_failed {
            self.forget();
            return;
        }
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let first = failures.map_or(now, |failures| failures.first);
        *failures = Some(Failures { first, latest: now });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_failures_in_a_row_make_a_client_stuck() {
        let (failing, start) = (Failing::new(), Instant::now());
        let note = |has_failed, seconds| {
            failing.note_at(has_failed, start + Duration::from_secs(seconds));
            failing.is_stuck()
        };
        assert!(!failing.is_stuck(), "nobody has asked anything");
        assert!(!note(true, 0));
        assert!(!note(true, 14));
        assert!(note(true, 15), "the first failure counts");
        assert!(!note(false, 16));
        assert!(!note(true, 17));
        assert!(!note(true, 31));
        assert!(note(true, 32));
    }
}

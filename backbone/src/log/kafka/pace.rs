//! Small batches go out together: a request has its price on both sides, however little is in it.
//!
//! The library's own linger makes every record wait, a lone one too, where nobody gains anything by it. Here a batch goes
//! at once if none went shortly before, and only what follows it closely waits, for one common instant.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, sleep_until};

/// Between two departures of small batches. Whoever sends batches has nobody waiting for each record: at 2,000 records a
/// second 40 share what each would cost alone, and ballots 50 ms apart, as at 20 a second, never wait.
const INTERVAL: Duration = Duration::from_millis(20);

/// A batch of so many records is worth a request of its own: it comes from a backlog, which must not be held up.
const LARGE_RECORDS_MIN: usize = 128;

/// When a producer's batches go out.
#[derive(Debug)]
pub(super) struct Pace {
    /// The next departure, or a time that has passed if the next batch need not wait.
    next: Mutex<Instant>,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self { next: Mutex::new(Instant::now()) }
    }

    /// Returns when a batch of so many records may go.
    pub(super) async fn departure(&self, records: usize) {
        if let Some(departure) = self.plan(records, Instant::now()) {
            sleep_until(departure).await;
            self.departed(departure);
        }
    }

    /// When a batch that comes now is to go; `None` is at once.
    fn plan(&self, records: usize, now: Instant) -> Option<Instant> {
        if records >= LARGE_RECORDS_MIN {
            return None;
        }
        let mut next = self.lock();
        if now < *next {
            return Some(*next);
        }
        *next = now + INTERVAL;
        None
    }

    /// The first one to go says when those go that come too late for this departure.
    fn departed(&self, departure: Instant) {
        let mut next = self.lock();
        if *next == departure {
            *next = departure + INTERVAL;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Instant> {
        self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When batches go that come at these times, in milliseconds; those that wait go before whatever comes after them.
    fn departures(arrivals: &[u64], records: usize) -> Vec<u64> {
        let started = Instant::now();
        let pace = Pace { next: Mutex::new(started) };
        let at = |milliseconds: u64| started + Duration::from_millis(milliseconds);
        let mut waiting = Vec::new();
        let mut departures = Vec::new();
        for arrival in arrivals {
            let now = at(*arrival);
            waiting.retain(|departure| {
                let waits = *departure > now;
                if !waits {
                    pace.departed(*departure);
                }
                waits
            });
            let planned = pace.plan(records, now);
            waiting.extend(planned);
            departures.push(planned.unwrap_or(now));
        }
        departures
            .iter()
            .map(|departure| u64::try_from((*departure - started).as_millis()).expect("a test is short"))
            .collect()
    }

    #[test]
    fn a_lone_batch_never_waits() {
        assert_eq!(departures(&[0, 50, 100, 120], 1), [0, 50, 100, 120]);
    }

    #[test]
    fn batches_that_follow_closely_go_together() {
        assert_eq!(departures(&[0, 5, 19, 21, 39, 41, 90], 1), [0, 20, 20, 40, 40, 60, 90]);
    }

    #[test]
    fn large_batches_are_not_held_up() {
        assert_eq!(departures(&[0, 5, 19], LARGE_RECORDS_MIN), [0, 5, 19]);
    }
}

//! Append times: they never decrease, and it is noticed when one wrong reading of the clock has carried them ahead.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use pnyx_core::time::TimestampMs;
use prometheus_client::metrics::gauge::Gauge;
use tracing::error;

/// How far the newest append time may be ahead of the clock before that is a fault: far more than the corrections of a
/// clock that is kept by NTP, and soon enough to be seen before many ballots are dated wrongly.
const CLOCK_AHEAD_MAX: Duration = Duration::from_secs(10);

/// The newest append time of the log, against the clock.
#[derive(Debug)]
pub(super) struct AppendTimes {
    newest_ms: AtomicU64,
    /// Whether the present episode was logged.
    logged: AtomicBool,
    /// How far the newest append time is ahead, in whole seconds.
    pub(super) ahead_seconds: Gauge,
}

impl AppendTimes {
    /// Continues after `newest`, which may be ahead already.
    pub(super) fn continuing(newest: TimestampMs, now: TimestampMs) -> Self {
        let times = Self {
            newest_ms: AtomicU64::new(newest.0),
            logged: AtomicBool::new(false),
            ahead_seconds: Gauge::default(),
        };
        times.ahead(now);
        times
    }

    /// The time of what is appended now.
    pub(super) fn next(&self, now: TimestampMs) -> TimestampMs {
        let newest = TimestampMs(self.newest_ms.fetch_max(now.0, Ordering::Relaxed).max(now.0));
        self.ahead(now);
        newest
    }

    /// How far the newest append time is ahead of the clock, if it is more than [`CLOCK_AHEAD_MAX`].
    pub(super) fn ahead(&self, now: TimestampMs) -> Option<Duration> {
        let newest = TimestampMs(self.newest_ms.load(Ordering::Relaxed));
        let ahead = Duration::from_millis(newest.saturating_since_ms(now));
        self.ahead_seconds.set(i64::try_from(ahead.as_secs()).unwrap_or(i64::MAX));
        let is_fault = ahead > CLOCK_AHEAD_MAX;
        if is_fault && !self.logged.swap(true, Ordering::Relaxed) {
            error!(
                ahead_s = ahead.as_secs(),
                "the log's newest append time is ahead of the clock: ballots are dated as late as it is until the clock \
                 has caught up, so that windows close early"
            );
        } else if !is_fault {
            self.logged.store(false, Ordering::Relaxed);
        }
        is_fault.then_some(ahead)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_never_decrease_and_a_leap_is_noticed_until_the_clock_has_caught_up() {
        let at = |seconds: u64| TimestampMs(seconds * 1_000);
        let times = AppendTimes::continuing(at(100), at(90));
        assert_eq!(times.ahead(at(90)), None, "a small correction is no fault");
        assert_eq!(times.ahead_seconds.get(), 10);
        assert_eq!(times.next(at(101)), at(101));
        assert_eq!((times.ahead(at(101)), times.ahead_seconds.get()), (None, 0));

        assert_eq!(times.next(at(5_000)), at(5_000), "one wrong reading");
        assert_eq!(times.next(at(102)), at(5_000));
        assert_eq!(times.ahead(at(102)), Some(Duration::from_secs(4_898)));
        assert_eq!(times.ahead_seconds.get(), 4_898);
        assert!(times.logged.load(Ordering::Relaxed));

        assert_eq!(times.ahead(at(4_995)), None);
        assert!(!times.logged.load(Ordering::Relaxed), "the next episode is logged again");
        assert_eq!(times.next(at(5_001)), at(5_001));
    }
}

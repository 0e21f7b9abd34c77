//! An endpoint's rate limit, and how long it usually takes. Pure: times come in as arguments.

use std::{
    num::NonZeroU32,
    time::{Duration, Instant},
};

/// How much of a second's requests may go out at once.
const BURST: Duration = Duration::from_millis(250);

/// Latencies that are remembered: enough for a 90th percentile, few enough to follow a change.
const SAMPLES: usize = 32;

/// Before this many latencies are known, [`HEDGE_DEFAULT`] stands for their percentile.
const SAMPLES_MIN: usize = 8;
const HEDGE_DEFAULT: Duration = Duration::from_millis(600);

/// Bounds of the time after which a second endpoint is asked too: below the lower, noise would double the requests;
/// above the upper, a stalled endpoint would hold up ballots.
const HEDGE_MIN: Duration = Duration::from_millis(40);
const HEDGE_MAX: Duration = Duration::from_secs(3);

/// Spreads requests evenly over a second, with small bursts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    interval: Duration,
    /// When the next request would go if all went evenly.
    next: Option<Instant>,
}

/// The last latencies of one kind of request.
#[derive(Debug, Clone, Default)]
pub(super) struct Latencies {
    samples: Vec<Duration>,
    oldest: usize,
}

impl Pace {
    pub(super) fn new(requests_per_second: NonZeroU32) -> Self {
        Self { interval: Duration::from_secs(1) / requests_per_second.get(), next: None }
    }

    /// How long the next request has to wait.
    pub(super) fn wait(&self, now: Instant) -> Duration {
        self.next.map_or(Duration::ZERO, |next| next.saturating_duration_since(now).saturating_sub(BURST))
    }

    /// Counts a request that goes now.
    pub(super) fn count(&mut self, now: Instant) {
        self.next = Some(self.next.map_or(now, |next| next.max(now)) + self.interval);
    }
}

impl Latencies {
    pub(super) fn add(&mut self, latency: Duration) {
        if self.samples.len() < SAMPLES {
            self.samples.push(latency);
        } else {
            self.samples[self.oldest] = latency;
            self.oldest = (self.oldest + 1) % SAMPLES;
        }
    }

    /// When an answer is late: twice the 90th percentile, within bounds.
    pub(super) fn hedge_after(&self) -> Duration {
        if self.samples.len() < SAMPLES_MIN {
            return HEDGE_DEFAULT;
        }
        let mut sorted = self.samples.clone();
        sorted.sort_unstable();
        (sorted[sorted.len() * 9 / 10] * 2).clamp(HEDGE_MIN, HEDGE_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_spread_over_the_second() {
        let start = Instant::now();
        let mut pace = Pace::new(NonZeroU32::new(100).unwrap());
        let mut waits = Vec::new();
        for _ in 0..101 {
            assert_eq!(pace.wait(start), pace.wait(start), "who only asks takes nobody's place");
            waits.push(pace.wait(start).as_millis());
            pace.count(start);
        }
        assert_eq!(waits[..26], [0; 26]);
        assert_eq!((waits[26], waits[50], waits[100]), (10, 250, 750));
        assert_eq!(pace.wait(start + Duration::from_secs(2)), Duration::ZERO);
    }

    #[test]
    fn an_answer_is_late_after_twice_the_usual_time() {
        let mut latencies = Latencies::default();
        assert_eq!(latencies.hedge_after(), HEDGE_DEFAULT);
        (1..=10).for_each(|number| latencies.add(Duration::from_millis(number * 10)));
        assert_eq!(latencies.hedge_after(), Duration::from_millis(200));
        (0..SAMPLES).for_each(|_| latencies.add(Duration::from_millis(1)));
        assert_eq!(latencies.hedge_after(), HEDGE_MIN);
        (0..SAMPLES).for_each(|_| latencies.add(Duration::from_secs(10)));
        assert_eq!(latencies.hedge_after(), HEDGE_MAX);
    }
}

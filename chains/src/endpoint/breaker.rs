//! The circuit breaker of an endpoint: after some failures it is left alone for a while, then one request tries again.
//! Pure: times come in as arguments.

use std::time::{Duration, Instant};

/// Failures one after another that open the breaker: one may be an accident, and the next endpoint is asked at once
/// anyway.
const FAILURES_MAX: u32 = 3;

/// First pause, doubled with each further failure up to the longest: short enough that a healed endpoint is used within
/// seconds, long enough that a dead one costs nothing.
const PAUSE_MIN: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(8);

/// How long the one request that tries again may take before another may try: as long as most time-outs.
const TRIAL_LIMIT: Duration = Duration::from_secs(20);

/// Whether an endpoint may be asked.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Breaker {
    state: State,
    /// Pauses one after another.
    pauses: u32,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Closed { failures: u32 },
    Open { until: Instant },
    Trying { since: Instant },
}

impl Default for State {
    fn default() -> Self {
        Self::Closed { failures: 0 }
    }
}

impl Breaker {
    /// Lets a request through, or says how long none will be. Where the pause is over it lets one through to try.
    pub(super) fn admit(&mut self, now: Instant) -> Result<(), Duration> {
        let rest = self.rest(now);
        if !rest.is_zero() {
            return Err(rest);
        }
        if let State::Open { .. } | State::Trying { .. } = self.state {
            self.state = State::Trying { since: now };
        }
        Ok(())
    }

    /// How long no request will be let through.
    fn rest(&self, now: Instant) -> Duration {
        match self.state {
            State::Closed { .. } => Duration::ZERO,
            State::Open { until } => until.saturating_duration_since(now),
            State::Trying { since } => (since + TRIAL_LIMIT).saturating_duration_since(now),
        }
    }

    /// How much of a pause is left.
    pub(super) fn pause(&self, now: Instant) -> Duration {
        match self.state {
            State::Open { until } => until.saturating_duration_since(now),
            State::Closed { .. } | State::Trying { .. } => Duration::ZERO,
        }
    }

    /// Whether requests are let through without a trial first.
    pub(super) const fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed { .. })
    }

    /// The request that was let through at this time was given up by who wanted it: if it was the one that tries, another
    /// may.
    pub(super) fn give_up(&mut self, admitted_at: Instant) {
        if matches!(self.state, State::Trying { since } if since == admitted_at) {
            self.state = State::Open { until: admitted_at };
        }
    }

    /// A request was answered.
    pub(super) fn succeed(&mut self) {
        *self = Self::default();
    }

    /// A request failed by the endpoint's fault. Where the endpoint said how long to leave it alone it is left alone at
    /// once and for as long.
    pub(super) fn fail(&mut self, now: Instant, retry_after: Option<Duration>) {
        let failures = match self.state {
            State::Closed { failures } => failures + 1,
            // Requests that were already on their way say nothing new, except that more time is wanted.
            State::Open { until } => {
                if let Some(delay) = retry_after {
                    self.state = State::Open { until: until.max(now + delay) };
                }
                return;
            }
            State::Trying { .. } => FAILURES_MAX,
        };
        if failures < FAILURES_MAX && retry_after.is_none() {
            self.state = State::Closed { failures };
            return;
        }
        let pause = PAUSE_MAX.min(PAUSE_MIN * (1 << self.pauses.min(8)));
        self.pauses = self.pauses.saturating_add(1);
        self.state = State::Open { until: now + pause.max(retry_after.unwrap_or_default()) };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ms(number: u64) -> Duration {
        Duration::from_millis(number)
    }

    /// Fails as often as it takes to open a closed breaker.
    fn opened(now: Instant) -> Breaker {
        let mut breaker = Breaker::default();
        for _ in 0..FAILURES_MAX {
            assert_eq!(breaker.admit(now), Ok(()));
            breaker.fail(now, None);
        }
        breaker
    }

    #[test]
    fn a_try_that_is_given_up_is_anothers() {
        let start = Instant::now();
        let mut breaker = opened(start);
        breaker.give_up(start);
        assert!(breaker.admit(start).is_err(), "it was no try");
        let tried_at = start + PAUSE_MIN;
        assert_eq!(breaker.admit(tried_at), Ok(()));
        assert!(breaker.admit(tried_at + ms(1)).is_err());
        breaker.give_up(tried_at);
        assert_eq!(breaker.admit(tried_at + ms(1)), Ok(()));
        breaker.fail(tried_at + ms(2), None);
        breaker.give_up(tried_at + ms(1));
        assert_eq!(breaker.admit(tried_at + ms(2)), Err(2 * PAUSE_MIN), "it had failed");
    }

    #[test]
    fn it_opens_after_failures_and_lets_one_request_try() {
        let start = Instant::now();
        let mut breaker = opened(start);
        assert_eq!(breaker.admit(start), Err(PAUSE_MIN));
        assert_eq!(breaker.admit(start + ms(499)), Err(ms(1)));
        assert_eq!(breaker.admit(start + PAUSE_MIN), Ok(()));
        assert!(breaker.admit(start + PAUSE_MIN).is_err(), "one request tries");
        breaker.succeed();
        assert!(breaker.is_closed());
        assert_eq!(breaker.admit(start + PAUSE_MIN), Ok(()));
    }

    #[test]
    fn pauses_double_up_to_the_longest() {
        let mut now = Instant::now();
        let mut breaker = opened(now);
        for expected in [500, 1_000, 2_000, 4_000, 8_000, 8_000] {
            assert_eq!(breaker.rest(now), ms(expected));
            now += ms(expected);
            assert_eq!(breaker.admit(now), Ok(()));
            breaker.fail(now, None);
        }
        breaker.succeed();
        assert_eq!(opened(now).rest(now), PAUSE_MIN, "a success forgets the pauses");
    }

    #[test]
    fn a_trial_that_nobody_waits_for_ends() {
        let start = Instant::now();
        let mut breaker = opened(start);
        assert_eq!(breaker.admit(start + PAUSE_MIN), Ok(()));
        assert_eq!(breaker.admit(start + PAUSE_MIN + TRIAL_LIMIT), Ok(()));
    }

    #[test]
    fn retry_after_is_kept() {
        let start = Instant::now();
        let mut breaker = Breaker::default();
        breaker.fail(start, Some(ms(30_000)));
        assert_eq!(breaker.rest(start), ms(30_000));
        breaker.fail(start + ms(1_000), Some(ms(60_000)));
        assert_eq!(breaker.rest(start), ms(61_000));
        breaker.fail(start + ms(2_000), None);
        assert_eq!(breaker.rest(start), ms(61_000));
    }

    proptest! {
        /// Whatever happens, an endpoint is asked again within the longest pause or trial.
        #[test]
        fn it_never_stays_open(steps in prop::collection::vec((0_u64..30_000, 0_u8..3), 0..60)) {
            let mut now = Instant::now();
            let mut breaker = Breaker::default();
            for (wait, step) in steps {
                now += ms(wait);
                let admitted = breaker.admit(now).is_ok();
                match step {
                    0 if admitted => breaker.succeed(),
                    1 if admitted => breaker.fail(now, None),
                    _ => {}
                }
                prop_assert!(breaker.rest(now) <= TRIAL_LIMIT.max(PAUSE_MAX));
            }
        }
    }
}

//! The rate limit: each source address has a share of its own, whatever the ballots claim.
//!
//! A fixed number of buckets, and a source belongs to the one that a keyed hash says: memory never grows, nobody can
//! push anybody out, and who shares a bucket by chance cannot be foreseen. A bucket is one number, the time at which it
//! will be full again (the generic cell rate algorithm), so that requests never wait for each other.

use std::{
    hash::{BuildHasher as _, RandomState},
    num::NonZeroU32,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use crate::source::{Network, Source};

/// Buckets, 8 bytes each: a thousand busy sources leave another one alone in 98 of 100 cases.
const BUCKETS: usize = 65_536;

/// What one source may send at once, as time at its rate: a page that casts several ballots needs no more.
const BURST: Duration = Duration::from_secs(1);

/// A limit on what one source sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateLimit {
    /// Ballots a second and source address; as many may come at once.
    pub requests_per_second: NonZeroU32,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<Network>,
}

/// Keeps a [`RateLimit`].
#[derive(Debug)]
pub(crate) struct Limiter {
    rate: Rate,
    trusted_proxies: Vec<Network>,
    buckets: Box<[AtomicU64]>,
    hasher: RandomState,
    started: Instant,
}

/// Times are nanoseconds since the start.
#[derive(Debug, Clone, Copy)]
struct Rate {
    /// Between two requests at exactly the rate.
    interval_ns: u64,
    /// How far ahead of its rate a source may be.
    ahead_ns_max: u64,
}

impl Limiter {
    pub(crate) fn new(limit: RateLimit) -> Self {
        let RateLimit { requests_per_second, trusted_proxies } = limit;
        let buckets = std::iter::repeat_with(AtomicU64::default).take(BUCKETS).collect();
        let rate = Rate::new(requests_per_second);
        Self { rate, trusted_proxies, buckets, hasher: RandomState::new(), started: Instant::now() }
    }

    pub(crate) fn trusted_proxies(&self) -> &[Network] {
        &self.trusted_proxies
    }

    /// Takes one request of this source, or says after how long it may come again.
    pub(crate) fn admit(&self, source: Source) -> Result<(), Duration> {
        let now = u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let index = usize::try_from(self.hasher.hash_one(source) % BUCKETS as u64).expect("below the buckets' number");
        let bucket = &self.buckets[index];
        let mut free_at = bucket.load(Ordering::Relaxed);
        loop {
            let next = self.rate.admit(free_at, now).map_err(Duration::from_nanos)?;
            match bucket.compare_exchange_weak(free_at, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Ok(()),
                Err(current) => free_at = current,
            }
        }
    }
}

impl Rate {
    fn new(requests_per_second: NonZeroU32) -> Self {
        let second = 1_000_000_000;
        let interval_ns = second / u64::from(requests_per_second.get());
        let burst = u64::try_from(BURST.as_nanos()).expect("a second fits");
        Self { interval_ns, ahead_ns_max: burst.saturating_sub(interval_ns) }
    }

    /// The bucket after one more request at `now`, or how long that has to wait.
    const fn admit(self, free_at: u64, now: u64) -> Result<u64, u64> {
        let from = if free_at > now { free_at } else { now };
        let ahead = from - now;
        if ahead > self.ahead_ns_max {
            Err(ahead - self.ahead_ns_max)
        } else {
            Ok(from.saturating_add(self.interval_ns))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use proptest::prelude::*;

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn rate(requests_per_second: u32) -> Rate {
        Rate::new(NonZeroU32::new(requests_per_second).unwrap())
    }

    /// How many of the requests at these times are admitted.
    fn admitted(rate: Rate, times: impl IntoIterator<Item = u64>) -> usize {
        let mut free_at = 0;
        let admitted = times.into_iter().filter(|now| match rate.admit(free_at, *now) {
            Ok(next) => {
                free_at = next;
                true
            }
            Err(_) => false,
        });
        admitted.count()
    }

    #[test]
    fn a_second_s_worth_may_come_at_once_and_no_more() {
        assert_eq!(admitted(rate(5), [7; 100]), 5);
        assert_eq!(admitted(rate(1), [7; 100]), 1);
    }

    #[test]
    fn sources_do_not_disturb_each_other() {
        let limiter =
            Limiter::new(RateLimit { requests_per_second: NonZeroU32::new(2).unwrap(), trusted_proxies: Vec::new() });
        let source = |number: u8| Source::from(IpAddr::from([192, 0, 2, number]));
        assert_eq!(limiter.admit(source(1)), Ok(()));
        assert_eq!(limiter.admit(source(1)), Ok(()));
        let wait = limiter.admit(source(1)).unwrap_err();
        assert!(wait <= Duration::from_millis(500), "{wait:?}");
        // Two sources share a bucket once in 65,536 times: of several others at least one has its own.
        assert!((2..6).any(|number| limiter.admit(source(number)).is_ok()));
    }

    proptest! {
        #[test]
        fn any_stretch_holds_at_most_the_rate_and_a_burst(
            per_second in 1_u32..2_000,
            gaps in prop::collection::vec(0_u64..SECOND / 50, 1..400),
        ) {
            let times: Vec<u64> = gaps.iter().scan(0, |now, gap| { *now += gap; Some(*now) }).collect();
            let lasts = times.last().unwrap() - times[0];
            let allowed = u128::from(per_second) * u128::from(lasts) / u128::from(SECOND) + u128::from(per_second) + 1;
            prop_assert!(admitted(rate(per_second), times) as u128 <= allowed);
        }

        #[test]
        fn who_keeps_to_the_rate_is_never_refused(per_second in 1_u32..2_000, count in 1_usize..300) {
            let interval = SECOND.div_ceil(per_second.into());
            let times = (0..count as u64).map(|number| number * interval);
            prop_assert_eq!(admitted(rate(per_second), times), count);
        }

        #[test]
        fn who_waits_as_told_is_admitted(per_second in 1_u32..2_000, free_at in 0..SECOND * 3, now in 0..SECOND) {
            if let Err(wait) = rate(per_second).admit(free_at, now) {
                prop_assert!(rate(per_second).admit(free_at, now + wait).is_ok());
                prop_assert!(rate(per_second).admit(free_at, now + wait - 1).is_err());
            }
        }
    }
}

//! Pauses between attempts that double up to a limit.

use std::{
    hash::{DefaultHasher, Hash, Hasher as _},
    time::Duration,
};

/// Doublings after which pauses no longer grow, whatever their limit: no shift can overflow.
const DOUBLINGS_MAX: u32 = 16;

/// Pauses between attempts: each twice as long as the one before, up to a limit, and up to a quarter less, so that many
/// that failed together do not try again together.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    max: Duration,
    /// Tells its jitter from others'.
    seed: u64,
    attempts: u32,
}

impl Backoff {
    /// The first pause is about `first`, none is longer than `max`. Two with different seeds do not move together.
    pub fn new(first: Duration, max: Duration, seed: impl Hash) -> Self {
        Self { first, max, seed: hash(seed), attempts: 0 }
    }

    /// How long to pause now, after one more failure.
    pub fn next_pause(&mut self) -> Duration {
        let whole = self.first.saturating_mul(1 << self.attempts.min(DOUBLINGS_MAX)).min(self.max);
        let less = whole.mul_f64(0.25 * fraction(hash((self.seed, self.attempts))));
        self.attempts = self.attempts.saturating_add(1);
        whole.saturating_sub(less)
    }

    /// After a success the next pause is the first one again.
    pub fn reset(&mut self) {
        self.attempts = 0;
    }
}

fn hash(value: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// Between 0 and 1.
fn fraction(hash: u64) -> f64 {
    f64::from(u32::try_from(hash >> 32).unwrap_or(u32::MAX)) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_their_limit_and_begin_again() {
        let (first, max) = (Duration::from_millis(800), Duration::from_secs(30));
        let mut backoff = Backoff::new(first, max, "a");
        let pauses: Vec<_> = (0..100).map(|_| backoff.next_pause()).collect();
        for (attempt, pause) in pauses.iter().enumerate() {
            let whole = first.saturating_mul(1 << attempt.min(10)).min(max);
            assert!(*pause <= whole && *pause >= whole.mul_f64(0.74), "{attempt}: {pause:?} of {whole:?}");
        }
        backoff.reset();
        assert_eq!(backoff.next_pause(), pauses[0]);
        assert_ne!(Backoff::new(first, max, "b").next_pause(), pauses[0], "others pause for other times");
    }
}

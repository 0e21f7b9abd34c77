//! How many look-ups, or signature checks, go in one call: as many as the endpoints answer. Lowered when a call was too
//! large, raised slowly while full ones are answered.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Full calls that must be answered before the size is raised: a call that fails costs as much as one that is answered,
/// so a limit is tried seldom.
const RAISE_AFTER: usize = 24;

/// By which part of itself the size is raised.
const RAISE_BY: usize = 8;

/// The present size, shared by all that read a chain.
#[derive(Debug)]
pub(crate) struct BatchSize {
    size: AtomicUsize,
    most: usize,
    answered: AtomicUsize,
}

impl BatchSize {
    /// Begins with the most, since a limit shows itself at the first call.
    pub(crate) const fn new(most: usize) -> Self {
        Self { size: AtomicUsize::new(most), most, answered: AtomicUsize::new(0) }
    }

    /// How many look-ups the next call may have.
    pub(crate) fn get(&self) -> usize {
        self.size.load(Ordering::Relaxed)
    }

    /// A call with this many look-ups was answered.
    pub(crate) fn answered(&self, count: usize) {
        let size = self.get();
        if count < size || self.answered.fetch_add(1, Ordering::Relaxed) + 1 < RAISE_AFTER {
            return;
        }
        self.answered.store(0, Ordering::Relaxed);
        self.size.store((size + size / RAISE_BY + 1).min(self.most), Ordering::Relaxed);
    }

    /// Lowers it to this many look-ups: more were too many.
    pub(crate) fn lower(&self, count: usize) {
        self.answered.store(0, Ordering::Relaxed);
        // Never raised by this: calls of the old size may fail after it was lowered.
        self.size.fetch_min(count.max(1), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_settles_below_the_endpoints_limit() {
        for limit in [1, 3, 50, 512, 999, 1_000, 5_000] {
            let size = BatchSize::new(1_000);
            let mut failed = 0;
            for _ in 0..2_000 {
                let count = size.get();
                if count <= limit {
                    size.answered(count);
                } else {
                    failed += 1;
                    size.lower(count / 2);
                }
            }
            assert!((limit.min(1_000) / 2..=limit.min(1_000)).contains(&size.get()), "{limit}: {}", size.get());
            // The first halvings, and from then on one call after so many that were answered.
            assert!(failed <= 10 + 2_000 / RAISE_AFTER, "{limit}: {failed} of 2000 calls were wasted");
        }
    }

    #[test]
    fn small_calls_say_nothing_of_the_limit() {
        let size = BatchSize::new(1_000);
        size.lower(500);
        (0..1_000).for_each(|_| size.answered(10));
        assert_eq!(size.get(), 500);
    }
}

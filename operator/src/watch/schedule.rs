//! Which key is worked on next, as a pure data structure.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// What waits and what is worked on. Each key is in here once, and never worked on twice at the same time.
#[derive(Debug, Clone)]
pub(super) struct Schedule<K> {
    waiting: BTreeMap<K, Duration>,
    by_due: BTreeSet<(Duration, K)>,
    running: BTreeSet<K>,
}

impl<K> Default for Schedule<K> {
    fn default() -> Self {
        Self { waiting: BTreeMap::new(), by_due: BTreeSet::new(), running: BTreeSet::new() }
    }
}

impl<K: Ord + Clone> Schedule<K> {
    /// The key is due then, or earlier if it already is.
    pub(super) fn add(&mut self, key: K, due: Duration) {
        match self.waiting.get(&key) {
            Some(known) if *known <= due => {}
            Some(_) | None => self.put(key, due),
        }
    }

    /// The key that has been due the longest, unless it is worked on.
    pub(super) fn take(&mut self, now: Duration) -> Option<K> {
        let due = self.by_due.iter().take_while(|(due, _)| *due <= now);
        let (_, key) = due.into_iter().find(|(_, key)| !self.running.contains(key))?.clone();
        self.forget(&key);
        self.running.insert(key.clone());
        Some(key)
    }

    /// The key is no longer worked on. What came in meanwhile stands, and it is due `again` at the latest then.
    pub(super) fn done(&mut self, key: K, again: Option<Duration>) {
        self.running.remove(&key);
        if let Some(due) = again {
            self.add(key, due);
        }
    }

    /// When the next key that nobody works on is due.
    pub(super) fn next_due(&self) -> Option<Duration> {
        self.by_due.iter().find(|(_, key)| !self.running.contains(key)).map(|(due, _)| *due)
    }

    /// How many are due and not worked on.
    pub(super) fn overdue(&self, now: Duration) -> usize {
        self.by_due.iter().take_while(|(due, _)| *due <= now).count()
    }

    fn put(&mut self, key: K, due: Duration) {
        self.forget(&key);
        self.by_due.insert((due, key.clone()));
        self.waiting.insert(key, due);
    }

    fn forget(&mut self, key: &K) {
        if let Some(due) = self.waiting.remove(key) {
            self.by_due.remove(&(due, key.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn keys_come_once_and_the_longest_due_first() {
        let mut schedule = Schedule::default();
        schedule.add("b", SECOND * 2);
        schedule.add("a", SECOND * 3);
        schedule.add("b", SECOND * 9);
        assert_eq!((schedule.take(SECOND), schedule.next_due()), (None, Some(SECOND * 2)));
        assert_eq!(schedule.take(SECOND * 5), Some("b"));
        assert_eq!(schedule.take(SECOND * 5), Some("a"));
        assert_eq!((schedule.take(SECOND * 99), schedule.next_due()), (None, None));
        schedule.add("c", SECOND * 8);
        assert_eq!((schedule.overdue(SECOND * 7), schedule.overdue(SECOND * 8)), (0, 1));
    }

    #[test]
    fn what_changes_while_it_is_worked_on_is_worked_on_again() {
        let mut schedule = Schedule::default();
        schedule.add("a", SECOND);
        assert_eq!(schedule.take(SECOND), Some("a"));
        schedule.add("a", SECOND);
        assert_eq!((schedule.take(SECOND), schedule.next_due()), (None, None));
        schedule.done("a", Some(SECOND * 60));
        assert_eq!(schedule.take(SECOND), Some("a"));
        schedule.done("a", None);
        assert_eq!(schedule.next_due(), None);
    }

    proptest! {
        #[test]
        fn no_key_is_lost_or_worked_on_twice(steps in prop::collection::vec((0..4_u8, 0..5_u8, 0..20_u64), 0..200)) {
            let mut schedule = Schedule::default();
            let (mut running, mut wanted) = (BTreeSet::new(), BTreeSet::new());
            for (step, key, seconds) in steps {
                let at = Duration::from_secs(seconds);
                match step {
                    0 => { schedule.add(key, at); wanted.insert(key); }
                    1 => if let Some(taken) = schedule.take(at) {
                        prop_assert!(wanted.remove(&taken), "nobody asked for {taken}");
                        prop_assert!(running.insert(taken), "{taken} twice");
                    },
                    2 => if running.remove(&key) { schedule.done(key, Some(at)); wanted.insert(key); },
                    _ => if running.remove(&key) { schedule.done(key, None); },
                }
            }
            running.iter().for_each(|key| schedule.done(*key, None));
            let mut left = BTreeSet::new();
            while let Some(key) = schedule.take(Duration::from_secs(100)) {
                left.insert(key);
            }
            prop_assert_eq!(left, wanted);
        }
    }
}

//! Power that was looked up, in bounded memory, and look-ups that are under way, so that none is made twice at once.
//!
//! A cache belongs to one set of strategies and pins: what it holds is true for ever, and its key is the voter alone.
//! Failures are no facts and never come in.

mod known;

use std::{
    collections::{HashMap, hash_map::Entry},
    fmt,
    future::Future,
    sync::{Mutex, MutexGuard, PoisonError},
};

use pnyx_core::{id::Voter, power::VoterPower};
use tokio::sync::watch;

use self::known::KnownPowers;
use crate::metrics::{CacheMetrics, as_gauge};

/// Default size of a cache, bytes: more than 100,000 voters, whatever their order. Of those with powers from 2^88 units on,
/// which are 309 million tokens, more than 30,000.
pub const CACHE_BYTES_DEFAULT: usize = 32 * 1024 * 1024;

/// A bounded cache.
pub(crate) struct PowerCache {
    state: Mutex<State>,
    metrics: CacheMetrics,
}

struct State {
    powers: KnownPowers,
    under_way: HashMap<Voter, watch::Receiver<()>>,
    bytes: usize,
}

impl PowerCache {
    /// A cache that takes at most about this many bytes.
    pub(crate) fn new(bytes_max: usize, metrics: CacheMetrics) -> Self {
        let state = State { powers: KnownPowers::new(bytes_max), under_way: HashMap::new(), bytes: 0 };
        Self { state: Mutex::new(state), metrics }
    }

    /// The power of each voter, in the same order; voters may repeat. `look_up` is asked for those that are neither
    /// known nor being looked up by somebody else, each once, and gives their powers in their order.
    pub(crate) async fn powers<E, F>(
        &self,
        voters: &[Voter],
        look_up: impl Fn(Vec<Voter>) -> F,
    ) -> Result<Vec<VoterPower>, E>
    where
        F: Future<Output = Result<Vec<VoterPower>, E>>,
    {
        let mut known = self.known(voters);
        let mut open: Vec<usize> = (0..voters.len()).filter(|index| known[*index].is_none()).collect();
        self.metrics.hits.inc_by((voters.len() - open.len()) as u64);
        while !open.is_empty() {
            let Shares { mine, theirs } = self.share(voters, &open);
            if !mine.voters.is_empty() {
                let found = look_up(mine.voters.clone()).await?;
                self.insert(&mine.voters, &found);
            }
            // Wakes whoever waits for these.
            drop(mine);
            // Whoever looks these up may fail or go away: what is not known then is looked up here.
            for mut theirs in theirs {
                let _ended = theirs.changed().await;
            }
            let mut state = self.state();
            open.retain(|index| {
                known[*index] = state.powers.get(voters[*index]);
                known[*index].is_none()
            });
        }
        Ok(known.into_iter().map(|power| power.expect("no voter is open any more")).collect())
    }

    /// What is known of each voter.
    fn known(&self, voters: &[Voter]) -> Vec<Option<VoterPower>> {
        self.state().powers.get_all(voters)
    }

    /// Sorts open voters into those to look up here and those that others look up. What became known since they were
    /// found to be open is looked up again: that is seldom, and costs little.
    fn share(&self, voters: &[Voter], open: &[usize]) -> Shares<'_> {
        let mut state = self.state();
        let (ended, waits) = watch::channel(());
        let (mut mine, mut theirs) = (Vec::new(), Vec::<watch::Receiver<()>>::new());
        for index in open {
            match state.under_way.entry(voters[*index]) {
                Entry::Occupied(other) if other.get().same_channel(&waits) => {}
                Entry::Occupied(other) => {
                    self.metrics.joined.inc();
                    if !theirs.iter().any(|known| known.same_channel(other.get())) {
                        theirs.push(other.get().clone());
                    }
                }
                Entry::Vacant(vacant) => {
                    vacant.insert(waits.clone());
                    mine.push(voters[*index]);
                }
            }
        }
        drop(state);
        self.metrics.misses.inc_by(mine.len() as u64);
        Shares { mine: UnderWay { cache: self, voters: mine, _ended: ended }, theirs }
    }

    fn insert(&self, voters: &[Voter], powers: &[VoterPower]) {
        let mut state = self.state();
        for (voter, power) in voters.iter().zip(powers) {
            state.powers.insert(*voter, *power);
        }
        let bytes = state.powers.bytes();
        let before = std::mem::replace(&mut state.bytes, bytes);
        drop(state);
        self.metrics.bytes.inc_by(as_gauge(bytes) - as_gauge(before));
    }

    /// Memory that the tables take.
    pub(crate) fn bytes(&self) -> usize {
        self.state().powers.bytes()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for PowerCache {
    fn drop(&mut self) {
        self.metrics.bytes.dec_by(as_gauge(self.state().bytes));
    }
}

impl fmt::Debug for PowerCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PowerCache").field("bytes", &self.bytes()).finish_non_exhaustive()
    }
}

/// Who looks up what is not known.
struct Shares<'a> {
    mine: UnderWay<'a>,
    theirs: Vec<watch::Receiver<()>>,
}

/// Voters that are being looked up; when it is dropped they no longer are, whatever came of it.
struct UnderWay<'a> {
    cache: &'a PowerCache,
    voters: Vec<Voter>,
    _ended: watch::Sender<()>,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let mut state = self.cache.state();
        for voter in &self.voters {
            state.under_way.remove(voter);
        }
        if state.under_way.is_empty() {
            state.under_way.shrink_to(1_024);
        }
    }
}

#[cfg(test)]
mod tests;

//! Which accounts have code at a pin: only those have a contract that could accept a signature.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
};

use pnyx_core::{chain::Pin, id::Voter};

use crate::{
    chain::{Chain, ChainError},
    metrics::{CodeMetrics, as_gauge},
    tables::Tables,
};

/// Default size of a cache of which accounts have code, bytes: more than 10,000 accounts, whatever their order.
pub const CODE_CACHE_BYTES_DEFAULT: usize = 1024 * 1024;

/// Which accounts have code at one pin: true for ever, and of bounded size.
pub(crate) struct CodeCache {
    codes: Mutex<Tables<bool>>,
    metrics: CodeMetrics,
}

impl Chain {
    /// Whether each account has code, in their order; accounts may repeat. What the cache does not know is looked up.
    pub(crate) async fn have_code_by(
        &self,
        pin: &Pin,
        accounts: &[Voter],
        cache: Option<&CodeCache>,
    ) -> Result<Vec<bool>, ChainError> {
        let mut distinct = accounts.to_vec();
        distinct.sort_unstable();
        distinct.dedup();
        let mut known = cache.map_or_else(|| vec![None; distinct.len()], |cache| cache.get(&distinct));
        let is_unknown = |(account, known): (&Voter, &Option<bool>)| known.is_none().then_some(*account);
        let unknown: Vec<Voter> = distinct.iter().zip(&known).filter_map(is_unknown).collect();
        let found = self.have_code(pin, &unknown).await?;
        if let Some(cache) = cache {
            cache.insert(&unknown, &found);
        }
        known.iter_mut().filter(|known| known.is_none()).zip(found).for_each(|(known, found)| *known = Some(found));
        let has_code = |account: &Voter| {
            let index = distinct.binary_search(account).expect("each account is among the distinct ones");
            known[index].expect("what was not known was looked up")
        };
        Ok(accounts.iter().map(has_code).collect())
    }
}

impl CodeCache {
    /// A cache that takes at most about this many bytes.
    pub(crate) fn new(bytes_max: usize, metrics: CodeMetrics) -> Self {
        Self { codes: Mutex::new(Tables::new(bytes_max)), metrics }
    }

    fn get(&self, accounts: &[Voter]) -> Vec<Option<bool>> {
        let mut codes = self.codes.lock().unwrap_or_else(PoisonError::into_inner);
        let found: Vec<Option<bool>> = codes.get_all(accounts);
        drop(codes);
        let hits = found.iter().filter(|found| found.is_some()).count();
        self.metrics.hits.inc_by(hits as u64);
        self.metrics.misses.inc_by((found.len() - hits) as u64);
        found
    }

    fn insert(&self, accounts: &[Voter], have_code: &[bool]) {
        let mut codes = self.codes.lock().unwrap_or_else(PoisonError::into_inner);
        let before = codes.bytes();
        accounts.iter().zip(have_code).for_each(|(account, has_code)| codes.insert(*account, *has_code));
        self.metrics.bytes.inc_by(as_gauge(codes.bytes()) - as_gauge(before));
    }
}

impl Drop for CodeCache {
    fn drop(&mut self) {
        let bytes = self.codes.get_mut().unwrap_or_else(PoisonError::into_inner).bytes();
        self.metrics.bytes.dec_by(as_gauge(bytes));
    }
}

impl fmt::Debug for CodeCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CodeCache").finish_non_exhaustive()
    }
}

//! What is known of accounts, in bounded memory. Two tables take turns: when the young one is full it becomes the old
//! one, and what the old one held is forgotten, except for accounts that were asked for since.

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, RandomState},
};

use foldhash::{SharedSeed, quality::SeedableRandomState};
use pnyx_core::id::Voter;

/// One small value for each account.
#[derive(Debug)]
pub(crate) struct Tables<V> {
    young: HashMap<Voter, V, SeedableRandomState>,
    old: HashMap<Voter, V, SeedableRandomState>,
    accounts_max: usize,
}

impl<V: Copy> Tables<V> {
    /// What an account takes in a table that is as empty as it may be: the key, the value, a control byte, and a load
    /// of at least 7/16, which is what a table has right after it doubled.
    pub(crate) const ACCOUNT_BYTES: usize = (size_of::<(Voter, V)>() + 1) * 16 / 7 + 1;

    /// Tables that take at most about this many bytes.
    pub(crate) fn new(bytes_max: usize) -> Self {
        let accounts_max = (bytes_max / 2 / Self::ACCOUNT_BYTES).max(1);
        // Whoever makes up addresses does not know this number, and so not which of them collide.
        let seed = RandomState::new().hash_one(accounts_max);
        let table = || HashMap::with_hasher(SeedableRandomState::with_seed(seed, SharedSeed::global_random()));
        Self { young: table(), old: table(), accounts_max }
    }

    /// What is known of an account.
    pub(crate) fn get(&mut self, account: Voter) -> Option<V> {
        let young = self.young.get(&account).copied();
        young.or_else(|| self.get_old(account))
    }

    /// What is known of each account, in the same order. A loop that does nothing but look into one table lets the processor
    /// fetch the entries of many accounts at once, which are seldom in its caches: that takes a third of the time.
    pub(crate) fn get_all(&mut self, accounts: &[Voter]) -> Vec<Option<V>> {
        let mut known: Vec<Option<V>> = accounts.iter().map(|account| self.young.get(account).copied()).collect();
        for (account, value) in accounts.iter().zip(&mut known).filter(|(_, value)| value.is_none()) {
            *value = self.get(*account);
        }
        known
    }

    fn get_old(&mut self, account: Voter) -> Option<V> {
        let value = self.old.remove(&account)?;
        self.insert(account, value);
        Some(value)
    }

    /// Notes what is known of an account.
    pub(crate) fn insert(&mut self, account: Voter, value: V) {
        if self.young.len() >= self.accounts_max && !self.young.contains_key(&account) {
            let empty = HashMap::with_hasher(self.young.hasher().clone());
            self.old = std::mem::replace(&mut self.young, empty);
        }
        self.young.insert(account, value);
    }

    /// Memory that the tables take.
    pub(crate) fn bytes(&self) -> usize {
        // A table has buckets for 8/7 of its capacity.
        (self.young.capacity() + self.old.capacity()) * 8 / 7 * (size_of::<(Voter, V)>() + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(number: u32) -> Voter {
        let mut bytes = [0; 20];
        bytes[..4].copy_from_slice(&number.to_be_bytes());
        Voter::new(bytes)
    }

    #[test]
    fn memory_is_bounded_and_what_is_asked_for_stays() {
        let bytes_max = 20_000;
        let mut tables = Tables::new(bytes_max);
        tables.insert(account(0), true);
        for number in 1..10_000 {
            tables.insert(account(number), number % 2 == 0);
            assert_eq!(tables.get(account(number)), Some(number % 2 == 0));
            assert_eq!(tables.get(account(0)), Some(true));
            assert!(tables.bytes() <= bytes_max, "{} bytes", tables.bytes());
        }
        assert_eq!(tables.get(account(1)), None, "forgotten");
    }

    #[test]
    fn many_are_found_as_each_is() {
        let mut tables = Tables::new(Tables::<u32>::ACCOUNT_BYTES * 2 * 100);
        (0..150).for_each(|number| tables.insert(account(number), number));
        let asked: Vec<Voter> = [120, 7, 120, 200, 7, 99].map(account).to_vec();
        let expected = vec![Some(120), Some(7), Some(120), None, Some(7), Some(99)];
        assert_eq!(tables.get_all(&asked), expected);
        assert_eq!(asked.iter().map(|account| tables.get(*account)).collect::<Vec<_>>(), expected);
    }
}

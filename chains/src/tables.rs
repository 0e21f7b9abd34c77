//! What is known of accounts, in bounded memory. Two tables take turns: when the young one is full it becomes the old
//! one, and what the old one held is forgotten, except for accounts that were asked for since.

use std::hash::{BuildHasher as _, RandomState};

use foldhash::{SharedSeed, quality::SeedableRandomState};
use hashbrown::HashTable;
use pnyx_core::id::Voter;

/// One small value for each account.
#[derive(Debug)]
pub(crate) struct Tables<V> {
    young: HashTable<Entry<V>>,
    old: HashTable<Entry<V>>,
    hasher: SeedableRandomState,
    accounts_max: usize,
}

/// An account and its value. So aligned, an entry of 32 bytes or less never lies in two lines of the processor's caches.
#[derive(Debug, Clone, Copy)]
#[repr(align(32))]
struct Entry<V> {
    account: Voter,
    value: V,
}

impl<V: Copy> Tables<V> {
    /// What an account takes in a table that is as empty as it may be: the entry, a control byte, and a load of at least
    /// 7/16, which is what a table has right after it doubled.
    pub(crate) const ACCOUNT_BYTES: usize = (size_of::<Entry<V>>() + 1) * 16 / 7 + 1;

    /// Tables that take at most about this many bytes.
    pub(crate) fn new(bytes_max: usize) -> Self {
        let accounts_max = (bytes_max / 2 / Self::ACCOUNT_BYTES).max(1);
        // Whoever makes up addresses does not know this number, and so not which of them collide.
        let seed = RandomState::new().hash_one(accounts_max);
        let hasher = SeedableRandomState::with_seed(seed, SharedSeed::global_random());
        Self { young: HashTable::new(), old: HashTable::new(), hasher, accounts_max }
    }

    /// What is known of an account.
    pub(crate) fn get(&mut self, account: Voter) -> Option<V> {
        self.get_hashed(account, self.hasher.hash_one(account))
    }

    /// What is known of each account, in the same order. A loop that does nothing but look into one table lets the processor
    /// fetch the entries of many accounts at once, which are seldom in its caches: that takes a third of the time.
    pub(crate) fn get_all(&mut self, accounts: &[Voter]) -> Vec<Option<V>> {
        let hashes: Vec<u64> = accounts.iter().map(|account| self.hasher.hash_one(account)).collect();
        let young = |(account, hash): (&Voter, &u64)| {
            self.young.find(*hash, |entry| entry.account == *account).map(|entry| entry.value)
        };
        let mut known: Vec<Option<V>> = accounts.iter().zip(&hashes).map(young).collect();
        for ((account, hash), value) in
            accounts.iter().zip(&hashes).zip(&mut known).filter(|(_, value)| value.is_none())
        {
            *value = self.get_hashed(*account, *hash);
        }
        known
    }

    fn get_hashed(&mut self, account: Voter, hash: u64) -> Option<V> {
        if let Some(entry) = self.young.find(hash, |entry| entry.account == account) {
            return Some(entry.value);
        }
        let (entry, _) = self.old.find_entry(hash, |entry| entry.account == account).ok()?.remove();
        self.insert(account, entry.value);
        Some(entry.value)
    }

    /// Notes what is known of an account.
    pub(crate) fn insert(&mut self, account: Voter, value: V) {
        let hash = self.hasher.hash_one(account);
        if let Some(entry) = self.young.find_mut(hash, |entry| entry.account == account) {
            entry.value = value;
            return;
        }
        if self.young.len() >= self.accounts_max {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert_unique(hash, Entry { account, value }, |entry| self.hasher.hash_one(entry.account));
    }

    /// Memory that the tables take.
    pub(crate) fn bytes(&self) -> usize {
        self.young.allocation_size() + self.old.allocation_size()
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

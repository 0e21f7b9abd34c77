//! What is known of accounts, in bounded memory. Two tables take turns: when the young one is full it becomes the old
//! one, and what the old one held is forgotten, except for accounts that were asked for since.

use std::collections::HashMap;

use pnyx_core::id::Voter;

/// One small value for each account.
#[derive(Debug)]
pub(crate) struct Tables<V> {
    young: HashMap<Voter, V>,
    old: HashMap<Voter, V>,
    accounts_max: usize,
}

impl<V: Copy> Tables<V> {
    /// What an account takes in a table that is as empty as it may be: the key, the value, a control byte, and a load
    /// of at least 7/16, which is what a table has right after it doubled.
    pub(crate) const ACCOUNT_BYTES: usize = (size_of::<(Voter, V)>() + 1) * 16 / 7 + 1;

    /// Tables that take at most about this many bytes.
    pub(crate) fn new(bytes_max: usize) -> Self {
        let accounts_max = (bytes_max / 2 / Self::ACCOUNT_BYTES).max(1);
        Self { young: HashMap::new(), old: HashMap::new(), accounts_max }
    }

    /// What is known of an account.
    pub(crate) fn get(&mut self, account: Voter) -> Option<V> {
        if let Some(value) = self.young.get(&account) {
            return Some(*value);
        }
        let value = self.old.remove(&account)?;
        self.insert(account, value);
        Some(value)
    }

    /// Notes what is known of an account.
    pub(crate) fn insert(&mut self, account: Voter, value: V) {
        if self.young.len() >= self.accounts_max && !self.young.contains_key(&account) {
            self.old = std::mem::take(&mut self.young);
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
}

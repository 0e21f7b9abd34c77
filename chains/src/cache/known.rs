//! Powers in as few bytes as they need. Nearly all are narrow: with the voter they take half a line of the processor's
//! caches, so that a look-up waits for memory once. The few others have tables of their own.

use alloy_primitives::U256;
use pnyx_core::{
    id::Voter,
    power::{Power, VoterPower},
};

use crate::tables::Tables;

/// Below 2^88 units, which are 309 million tokens.
type Narrow = Packed<12>;

/// Every power: all are below 2^192.
type Wide = Packed<25>;

/// Which part of the memory wide powers get: few proposals have many of them, and those look some up again.
const WIDE_PART: usize = 3;

/// What is known of voters.
pub(super) struct KnownPowers {
    narrow: Tables<Narrow>,
    wide: Tables<Wide>,
}

/// A power, least byte first, without alignment. The last byte is 1 for a known power.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Packed<const LEN: usize>([u8; LEN]);

impl KnownPowers {
    /// Memory for about this many bytes.
    pub(super) fn new(bytes_max: usize) -> Self {
        let wide = bytes_max / WIDE_PART;
        Self { narrow: Tables::new(bytes_max - wide), wide: Tables::new(wide) }
    }

    /// Memory in which this many narrow powers can be remembered.
    #[cfg(test)]
    pub(super) const fn bytes_for(narrow: usize) -> usize {
        Tables::<Narrow>::ACCOUNT_BYTES * 2 * narrow * WIDE_PART / (WIDE_PART - 1)
    }

    /// What is known of a voter.
    pub(super) fn get(&mut self, voter: Voter) -> Option<VoterPower> {
        let narrow = self.narrow.get(voter).map(Packed::power);
        narrow.or_else(|| self.wide.get(voter).map(Packed::power))
    }

    /// What is known of each voter, in the same order.
    pub(super) fn get_all(&mut self, voters: &[Voter]) -> Vec<Option<VoterPower>> {
        // Unpacked after the loop over the table, so that it does nothing else.
        let narrow = self.narrow.get_all(voters);
        let found = voters.iter().zip(narrow).map(|(voter, narrow)| match narrow {
            Some(power) => Some(power.power()),
            None => self.wide.get(*voter).map(Packed::power),
        });
        found.collect()
    }

    /// Notes what is known of a voter. It is a fact, so it never changes.
    pub(super) fn insert(&mut self, voter: Voter, power: VoterPower) {
        match Packed::new(power) {
            Some(narrow) => self.narrow.insert(voter, narrow),
            None => self.wide.insert(voter, Packed::new(power).expect("24 bytes hold every power")),
        }
    }

    /// Memory that the tables take.
    pub(super) fn bytes(&self) -> usize {
        self.narrow.bytes() + self.wide.bytes()
    }
}

impl<const LEN: usize> Packed<LEN> {
    /// Nothing if the power is too large.
    fn new(power: VoterPower) -> Option<Self> {
        let mut bytes = [0; LEN];
        if let VoterPower::Known(power) = power {
            let units = power.units().to_le_bytes::<32>();
            let (kept, left) = units.split_at(LEN - 1);
            if left.iter().any(|byte| *byte != 0) {
                return None;
            }
            bytes[..LEN - 1].copy_from_slice(kept);
            bytes[LEN - 1] = 1;
        }
        Some(Self(bytes))
    }

    fn power(self) -> VoterPower {
        let (units, is_known) = self.0.split_at(LEN - 1);
        if is_known == [0] {
            return VoterPower::Unavailable;
        }
        VoterPower::Known(Power::from_units(U256::from_le_slice(units)).expect("24 bytes are below 2^192"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn power(units: U256) -> VoterPower {
        VoterPower::Known(Power::from_units(units).expect("below 2^192"))
    }

    #[test]
    fn only_what_fits_is_narrow() {
        assert!(Narrow::new(power(U256::MAX >> 168)).is_some(), "2^88 - 1");
        assert_eq!(Narrow::new(power(U256::from(1) << 88)), None);
        assert!(Narrow::new(VoterPower::Unavailable).is_some());
    }

    proptest! {
        #[test]
        fn powers_of_every_size_come_back(limbs: [u64; 3], lost_bits in 0_usize..=192) {
            let power = power(U256::from_limbs([limbs[0], limbs[1], limbs[2], 0]) >> lost_bits);
            let voters = [1, 2, 3].map(|byte| Voter::new([byte; 20]));
            let mut known = KnownPowers::new(100_000);
            known.insert(voters[0], power);
            known.insert(voters[2], VoterPower::Unavailable);
            let expected = [Some(power), None, Some(VoterPower::Unavailable)];
            prop_assert_eq!(known.get_all(&voters), expected);
            prop_assert_eq!(voters.map(|voter| known.get(voter)), expected);
        }
    }
}

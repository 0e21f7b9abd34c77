//! Ballots per second, exactly: an integer of thousandths.

use std::fmt;

/// A rate in thousandths of a ballot per second. What would be larger than fits is held at the largest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Rate(u64);

impl Rate {
    /// Nothing at all.
    pub const ZERO: Self = Self(0);

    /// So many thousandths of a ballot per second.
    pub const fn from_milli(milli: u64) -> Self {
        Self(milli)
    }

    /// So many whole ballots per second.
    pub const fn per_second(ballots: u64) -> Self {
        Self(ballots.saturating_mul(1_000))
    }

    /// What brings `ballots` in `time_ms`, rounded up; in no time, the largest rate.
    pub fn of(ballots: u64, time_ms: u64) -> Self {
        let milli = u128::from(ballots).saturating_mul(1_000_000).div_ceil(u128::from(time_ms.max(1)));
        Self(u64::try_from(milli).unwrap_or(u64::MAX))
    }

    /// Thousandths of a ballot per second.
    pub const fn milli(self) -> u64 {
        self.0
    }

    /// Both together.
    pub const fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// So many times this rate.
    pub const fn saturating_mul(self, times: u64) -> Self {
        Self(self.0.saturating_mul(times))
    }

    /// This rate divided, rounded down, but never nothing of something.
    pub fn divided(self, by: u64) -> Self {
        Self(self.0.div_euclid(by.max(1)).max(self.0.min(1)))
    }

    /// How many instances it takes that do `each`, rounded up.
    pub fn instances_of(self, each: Self) -> u32 {
        u32::try_from(self.0.div_ceil(each.0.max(1))).unwrap_or(u32::MAX)
    }

    /// The middle between this rate, counted `weight` times, and another.
    pub fn blended(self, weight: u64, other: Self) -> Self {
        let sum = u128::from(self.0).saturating_mul(u128::from(weight)).saturating_add(u128::from(other.0));
        let middle = sum.checked_div(u128::from(weight).saturating_add(1)).unwrap_or_default();
        Self(u64::try_from(middle).unwrap_or(u64::MAX).max(self.0.min(other.0).min(1)))
    }

    /// This percentage of the rate, rounded down, but never nothing of something.
    pub fn percent(self, percent: u32) -> Self {
        let part = u128::from(self.0).saturating_mul(u128::from(percent)).div_euclid(100);
        Self(u64::try_from(part).unwrap_or(u64::MAX).max(self.0.min(1)))
    }
}

impl std::iter::Sum for Rate {
    fn sum<I: Iterator<Item = Self>>(rates: I) -> Self {
        rates.fold(Self::ZERO, Self::saturating_add)
    }
}

/// Whole ballots from 100 a second on, thousandths below: `9,800/s`, `0.5/s`.
impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0.div_euclid(1_000), self.0.rem_euclid(1_000));
        if whole >= 100 || rest == 0 {
            return write!(f, "{}/s", grouped(whole));
        }
        let fraction = format!("{rest:03}");
        write!(f, "{whole}.{}/s", fraction.trim_end_matches('0'))
    }
}

/// Digits in groups of three: `1,204,331`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && digits.len().saturating_sub(index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_exact_and_held_at_the_largest() {
        assert_eq!(Rate::of(1, 2_000), Rate::from_milli(500));
        assert_eq!(Rate::of(1, 3_000), Rate::from_milli(334));
        assert_eq!(Rate::of(0, 0), Rate::ZERO);
        assert_eq!(Rate::of(7, 0), Rate::per_second(7_000));
        assert_eq!(Rate::of(u64::MAX, 1), Rate::from_milli(u64::MAX));
        assert_eq!(Rate::per_second(24_000).percent(80), Rate::per_second(19_200));
        assert_eq!(Rate::from_milli(1).percent(10), Rate::from_milli(1));
        assert_eq!(Rate::ZERO.percent(10), Rate::ZERO);
        assert_eq!(Rate::per_second(100).divided(1_000), Rate::from_milli(100));
        assert_eq!(Rate::from_milli(5).divided(1_000), Rate::from_milli(1));
        assert_eq!(Rate::per_second(100).blended(3, Rate::per_second(200)), Rate::per_second(125));
        assert_eq!(Rate::from_milli(1).blended(3, Rate::from_milli(2)), Rate::from_milli(1));
        assert_eq!(Rate::from_milli(u64::MAX).blended(3, Rate::from_milli(u64::MAX)), Rate::from_milli(u64::MAX));
        assert_eq!(Rate::per_second(31).instances_of(Rate::per_second(10)), 4);
        assert_eq!(Rate::from_milli(u64::MAX).instances_of(Rate::ZERO), u32::MAX);
        assert_eq!(Rate::per_second(u64::MAX).saturating_add(Rate::per_second(1)), Rate::from_milli(u64::MAX));
    }

    #[test]
    fn people_read_whole_ballots_where_these_say_enough() {
        let read = [0, 500, 1_250, 99_001, 100_001, 9_800_000, 1_204_331_999].map(|milli| Rate(milli).to_string());
        assert_eq!(read, ["0/s", "0.5/s", "1.25/s", "99.001/s", "100/s", "9,800/s", "1,204,331/s"]);
    }
}

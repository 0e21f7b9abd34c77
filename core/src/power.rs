//! Power: a voter's weight at the snapshot, an exact unsigned fixed-point number with 18 decimals.

use std::fmt;

use alloy_primitives::U256;
use thiserror::Error;

/// Decimal places of a power.
pub const POWER_DECIMALS: usize = 18;

/// 10^18: the units of one whole vote.
pub const UNITS_PER_ONE: u64 = 1_000_000_000_000_000_000;

/// A power is below 2^192 units (about 6.2 × 10^39 votes), so that 2^40 ballots sum below 2^232 and a sum never
/// leaves 256 bits.
pub const POWER_BITS_MAX: usize = 192;

/// A voter's weight in units of 10^-18; always below 2^[`POWER_BITS_MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Power(U256);

/// What a pinned look-up says of a voter's power.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VoterPower {
    /// The voter has this, possibly nothing.
    Known(Power),
    /// The strategies have no answer for this voter, now or ever: a call that reverts alone and with all its gas, one that
    /// answers in another shape, or a sum above the bound.
    Unavailable,
}

/// Why a number is not a power.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PowerError {
    /// Not digits with at most one point between them.
    #[error("must be a decimal number such as \"1250.5\"")]
    Syntax,
    /// More fractional digits than the fixed point holds.
    #[error("has more than 18 fractional digits")]
    TooPrecise,
    /// At or above 2^192 units.
    #[error("is not below 2^192 units of 10^-18")]
    TooLarge,
}

impl Power {
    /// No power at all.
    pub const ZERO: Self = Self(U256::ZERO);

    /// One whole vote.
    pub const ONE: Self = Self(U256::from_limbs([UNITS_PER_ONE, 0, 0, 0]));

    /// The largest power.
    pub fn max() -> Self {
        Self(U256::MAX.wrapping_shr(256 - POWER_BITS_MAX))
    }

    /// A power from its units of 10^-18.
    pub fn from_units(units: U256) -> Result<Self, PowerError> {
        if units.bit_len() <= POWER_BITS_MAX { Ok(Self(units)) } else { Err(PowerError::TooLarge) }
    }

    /// Reads `"1250.5"` as [`parse_units`] does, and refuses what is not a power.
    pub fn parse(text: &str) -> Result<Self, PowerError> {
        Self::from_units(parse_units(text)?)
    }

    /// The units of 10^-18.
    pub const fn units(self) -> U256 {
        self.0
    }

    /// Whether this is no power at all.
    pub fn is_zero(self) -> bool {
        self.0.is_zero()
    }

    /// The sum, if it is still below the bound.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        Self::from_units(self.0.checked_add(other.0)?).ok()
    }
}

impl VoterPower {
    /// The sum of what several strategies say: unavailable as soon as one is, or if it is not below the bound.
    pub fn checked_add(self, other: Self) -> Self {
        match (self, other) {
            (Self::Known(one), Self::Known(other)) => one.checked_add(other).map_or(Self::Unavailable, Self::Known),
            (Self::Unavailable, Self::Known(_) | Self::Unavailable) | (Self::Known(_), Self::Unavailable) => {
                Self::Unavailable
            }
        }
    }
}

impl fmt::Display for Power {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&format_units(self.0))
    }
}

/// Writes units of 10^-18 as a decimal without trailing zeros: `1250500000000000000000` → `1250.5`.
pub fn format_units(units: U256) -> String {
    let (whole, fraction) = units.div_rem(U256::from(UNITS_PER_ONE));
    if fraction.is_zero() {
        return whole.to_string();
    }
    let fraction = format!("{fraction:0>POWER_DECIMALS$}");
    format!("{whole}.{}", fraction.trim_end_matches('0'))
}

/// Reads what [`format_units`] writes, up to 256 bits of units: digits, optionally a point and 1 to 18 digits; no sign,
/// exponent or surplus leading zero.
pub fn parse_units(text: &str) -> Result<U256, PowerError> {
    let (whole, fraction) = text.split_once('.').map_or((text, None), |(whole, fraction)| (whole, Some(fraction)));
    let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !all_digits(whole) || (whole.len() > 1 && whole.starts_with('0')) || !fraction.is_none_or(all_digits) {
        return Err(PowerError::Syntax);
    }
    let fraction = fraction.unwrap_or("");
    if fraction.len() > POWER_DECIMALS {
        return Err(PowerError::TooPrecise);
    }
    let digits = format!("{whole}{fraction:0<POWER_DECIMALS$}");
    U256::from_str_radix(&digits, 10).map_err(|_| PowerError::TooLarge)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn canonical_decimals_are_read() {
        for (text, units) in
            [("0", 0), ("0.000000000000000001", 1), ("1", 1_000_000_000_000_000_000), ("0.10", 10_u64.pow(17))]
        {
            assert_eq!(Power::parse(text), Ok(Power(U256::from(units))), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        let syntax =
            ["", ".", "1.", ".5", "-1", "+1", "01", "00", "1e3", "1,5", "1.2.3", " 1", "1 ", "0x1", "١", "1_0", "NaN"];
        for text in syntax {
            assert_eq!(Power::parse(text), Err(PowerError::Syntax), "{text}");
        }
        assert_eq!(Power::parse("0.0000000000000000000"), Err(PowerError::TooPrecise));
        assert_eq!(Power::parse(&"9".repeat(100)), Err(PowerError::TooLarge));
    }

    #[test]
    fn the_bound_is_exact() {
        let text = Power::max().to_string();
        assert_eq!(text, "6277101735386680763835789423207666416102.355444464034512895");
        assert_eq!(Power::parse(&text), Ok(Power::max()));
        let above = text.replace("895", "896");
        assert_eq!(Power::parse(&above), Err(PowerError::TooLarge));
        assert_eq!(Power::max().checked_add(Power(U256::ONE)), None);
        assert_eq!(Power::from_units(U256::MAX), Err(PowerError::TooLarge));
        assert_eq!(Power::ZERO.checked_add(Power::max()), Some(Power::max()));
    }

    #[test]
    fn a_sum_is_known_only_if_all_of_it_is() {
        let (one, max) = (VoterPower::Known(Power::ONE), VoterPower::Known(Power::max()));
        assert_eq!(one.checked_add(one), VoterPower::Known(Power(U256::from(2 * UNITS_PER_ONE))));
        assert_eq!(max.checked_add(one), VoterPower::Unavailable);
        for (left, right) in [(one, VoterPower::Unavailable), (VoterPower::Unavailable, one)] {
            assert_eq!(left.checked_add(right), VoterPower::Unavailable);
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(limbs: [u64; 3]) {
            let power = Power(U256::from_limbs([limbs[0], limbs[1], limbs[2], 0]));
            prop_assert_eq!(Power::parse(&power.to_string()), Ok(power));
        }

        #[test]
        fn any_text_is_a_power_or_an_error(text in "[0-9.]{0,70}") {
            if let Ok(power) = Power::parse(&text) {
                let written = power.to_string();
                let trimmed = || text.trim_end_matches('0').trim_end_matches('.');
                prop_assert_eq!(written, if text.contains('.') { trimmed() } else { &text });
            }
        }
    }
}

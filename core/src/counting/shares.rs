//! One ballot's power divided by weights so that the shares add up exactly.

use std::cmp::Reverse;

use alloy_primitives::U256;

use crate::{
    choice::{ChoiceNumber, Weights},
    power::Power,
};

/// A choice's share of one ballot's power.
struct Share {
    number: ChoiceNumber,
    units: U256,
    /// What rounding down left over, as a numerator over the sum of the weights.
    remainder: U256,
}

/// Divides `power` by `weights`: (choice, units), ascending by choice, shares of 0 left out.
///
/// The largest remainder method: every choice gets `power × weight / sum of weights` rounded down, and the units left
/// over go, one each, to the choices that lost most by rounding; of equal losses the lower choice comes first. So the
/// shares add up to the power, and each differs from the exact quotient by less than one unit.
pub(super) fn shares(power: Power, weights: &Weights) -> Vec<(ChoiceNumber, U256)> {
    const PRODUCT: &str = "a power below 2^192 or a weight sum below 2^89 times a weight below 2^83 over that sum";
    let entries = weights.entries();
    let sum = entries.iter().fold(U256::ZERO, |sum, (_, weight)| sum.saturating_add(U256::from(*weight)));
    let (quotient, rest) = power.units().div_rem(sum);
    let mut left = power.units();
    let mut shares: Vec<Share> = entries
        .iter()
        .map(|(number, weight)| {
            // power × weight / sum in two parts, because the whole product would not fit 256 bits.
            let weight = U256::from(*weight);
            let (units, remainder) = rest.checked_mul(weight).expect(PRODUCT).div_rem(sum);
            let units = quotient.checked_mul(weight).and_then(|whole| whole.checked_add(units)).expect(PRODUCT);
            left = left.checked_sub(units).expect("shares rounded down add up to at most the power");
            Share { number: *number, units, remainder }
        })
        .collect();
    let left = usize::try_from(left).expect("fewer units are left over than there are shares");
    if left > 0 {
        shares.sort_unstable_by_key(|share| (Reverse(share.remainder), share.number));
        for share in shares.iter_mut().take(left) {
            share.units = share.units.saturating_add(U256::ONE);
        }
        shares.sort_unstable_by_key(|share| share.number);
    }
    shares.into_iter().filter(|share| !share.units.is_zero()).map(|share| (share.number, share.units)).collect()
}

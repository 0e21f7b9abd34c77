//! Quadratic: fixed-point square roots, summed per choice, squared.

use alloy_primitives::{U256, Uint};

use crate::power::UNITS_PER_ONE;

/// Wide enough for the square of a sum of roots times the total power, below 2^338 × 2^232.
type U1024 = Uint<1024, 16>;

/// The square root of a share as a fixed-point number with 18 decimals, rounded down:
/// floor(sqrt(units / 10^18) × 10^18) = floor(sqrt(units × 10^18)).
pub(super) fn square_root(share_units: U256) -> U256 {
    let radicand = share_units
        .checked_mul(U256::from(UNITS_PER_ONE))
        .expect("a share below 2^192 units times 10^18, which is below 2^60, stays below 2^252");
    integer_square_root(radicand)
}

/// The largest integer whose square is at most `n`, for `n` below 2^252.
///
/// Newton's method falls from any start at or above the root until it is reached
/// (<https://en.wikipedia.org/wiki/Integer_square_root#Algorithm_using_Newton's_method>). The start is the root of the
/// leading bits, so one or two steps remain.
fn integer_square_root(n: U256) -> U256 {
    // An even number of bits is dropped, as few as make the rest fit in 128.
    let dropped_bits = n.bit_len().saturating_sub(128).next_multiple_of(2);
    let leading = u128::try_from(n.wrapping_shr(dropped_bits)).expect("at most 128 bits are left");
    if dropped_bits == 0 {
        return U256::from(leading.isqrt());
    }
    let mut root = U256::from(leading.isqrt().saturating_add(1)).wrapping_shl(dropped_bits.wrapping_shr(1));
    loop {
        let quotient = n.checked_div(root).expect("the root of a number above 2^128 is not 0");
        let next = root.saturating_add(quotient).wrapping_shr(1);
        if next >= root {
            return root;
        }
        root = next;
    }
}

/// Scores from the sums of roots by choice: with q the square of a choice's sum, `q × total power / sum of all q`,
/// rounded down. So the scores add up to the total power but for less than one unit a choice.
pub(super) fn scores(root_sums: &[U256], total_power: U256) -> Vec<U256> {
    const WIDE: &str = "64 squares of sums below 2^166, times a total below 2^232, stay below 2^570";
    let squares: Vec<U1024> = root_sums
        .iter()
        .map(|sum| {
            let sum = U1024::from(*sum);
            sum.checked_mul(sum).expect(WIDE)
        })
        .collect();
    let all = squares.iter().fold(U1024::ZERO, |all, square| all.checked_add(*square).expect(WIDE));
    let total_power = U1024::from(total_power);
    let score = |square: &U1024| match square.checked_mul(total_power).expect(WIDE).checked_div(all) {
        Some(score) => U256::checked_from_limbs_slice(score.as_limbs()).expect("a part of the total power"),
        None => U256::ZERO,
    };
    squares.iter().map(score).collect()
}

//! Copeland: pairwise wins, ties and average support, as exact rationals.

use std::cmp::Ordering;

use alloy_primitives::U256;

use super::Totals;

/// Scores from the pairwise matrix; all 0 without ballots.
///
/// A choice's points are 2 for every other choice it beats, 1 for every one it ties with (each match-up counts from
/// both sides, as on Snapshot), and half its average support: the power that prefers it, summed over its match-ups, over
/// `(n - 1) × total`. Its score is its part of all points, times the total power.
///
/// Over the common denominator `2 (n - 1) × total` its points are `p = 2 (n - 1) × total × w + support`, with w the
/// 2s and 1s. Every match-up deals out 2 points and the whole power, so over all choices w adds up to `n (n - 1)` and
/// support to `total × n (n - 1) / 2`, the points to `total × n (n - 1) (4 n - 3) / 2`, and the total cancels:
///
/// `score = floor(2 p / (n (n - 1) (4 n - 3)))`
///
/// Two choices at powers 7 and 3: p = 2 × 10 × 2 + 7 = 47 and 2 × 10 × 0 + 3 = 3, the denominator is 2 × 1 × 5 = 10, so
/// the scores are 94 / 10 = 9.4 and 6 / 10 = 0.6. A single choice has no match-ups and gets the total power.
pub(super) fn scores(choice_count: u8, totals: &Totals) -> Vec<U256> {
    const BOUND: &str = "at most 20 choices and a total below 2^232";
    let count = usize::from(choice_count);
    if count < 2 {
        return vec![totals.power; count];
    }
    let n = U256::from(choice_count);
    let others = n.saturating_sub(U256::ONE);
    let match_weight = totals.power.checked_mul(others).and_then(|product| product.checked_mul(U256::from(2)));
    let match_weight = match_weight.expect(BOUND);
    let factor = n.saturating_mul(U256::from(4)).saturating_sub(U256::from(3));
    let denominator = n.saturating_mul(others).saturating_mul(factor);
    let score = |choice: usize| {
        let (wins, support) = wins_and_support(choice, count, &totals.slots);
        let points = match_weight.checked_mul(wins).and_then(|points| points.checked_add(support)).expect(BOUND);
        let twice = points.checked_mul(U256::from(2)).expect(BOUND);
        twice.checked_div(denominator).expect("two choices or more")
    };
    (0..count).map(score).collect()
}

/// 2 for each other choice that `choice` (from 0) beats and 1 for each tie; and the power that prefers it, over all of
/// its match-ups.
fn wins_and_support(choice: usize, count: usize, matrix: &[U256]) -> (U256, U256) {
    let prefer = |one: usize, other: usize| {
        let slot = one.checked_mul(count).and_then(|row| row.checked_add(other)).expect("a small matrix");
        matrix[slot]
    };
    let mut wins = U256::ZERO;
    let mut support = U256::ZERO;
    for other in (0..count).filter(|other| *other != choice) {
        let (for_it, against_it) = (prefer(choice, other), prefer(other, choice));
        let points = match for_it.cmp(&against_it) {
            Ordering::Greater => U256::from(2),
            Ordering::Equal => U256::ONE,
            Ordering::Less => U256::ZERO,
        };
        wins = wins.saturating_add(points);
        support = support.checked_add(for_it).expect("19 match-ups of a power below 2^232");
    }
    (wins, support)
}

//! Errors of measurement, from a seed.

/// The next numbers of a sequence that looks random (`SplitMix64`).
#[derive(Debug, Clone)]
pub(super) struct Noise {
    state: u64,
    percent: u64,
}

impl Noise {
    /// Errors of at most `percent` to either side; none for 0.
    pub(super) const fn new(seed: u64, percent: u64) -> Self {
        Self { state: seed, percent: if percent > 100 { 100 } else { percent } }
    }

    /// A percentage with which something is measured: 100, give or take.
    pub(super) const fn percent(&mut self) -> u64 {
        let span = self.percent.saturating_mul(2).saturating_add(1);
        let error = self.next().checked_rem(span).expect("an odd number is not 0");
        100_u64.saturating_sub(self.percent).saturating_add(error)
    }

    const fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_stay_within_their_bounds_and_reach_them() {
        let mut noise = Noise::new(7, 10);
        let drawn: Vec<u64> = (0..1_000).map(|_| noise.percent()).collect();
        assert_eq!((drawn.iter().min(), drawn.iter().max()), (Some(&90), Some(&110)));
        assert_eq!(Noise::new(7, 0).percent(), 100);
    }
}

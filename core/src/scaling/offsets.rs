//! From two readings of a topic's offsets to a sample with rates.

use super::{PartitionLoad, Rate, Sample};
use crate::time::TimestampMs;

/// Shortest time between two readings that a rate is taken from: in less, the few ballots that happen to come are no rate.
pub const SAMPLE_INTERVAL_MS_MIN: u64 = 1_000;

/// Longest time: the mean of a longer one, after a broker was away, says little of now.
pub const SAMPLE_INTERVAL_MS_MAX: u64 = 60_000;

/// The offsets of a ballots topic, read at one instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offsets {
    /// When they were read.
    pub taken_at: TimestampMs,
    /// Every partition, in order.
    pub partitions: Vec<PartitionOffsets>,
}

/// How far one partition is written and verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PartitionOffsets {
    /// Next offset that the verifiers have to commit a verdict for; read before `end`.
    pub committed: u64,
    /// Next offset that will be written.
    pub end: u64,
}

impl Offsets {
    /// The sample that these offsets give with the `earlier` ones.
    ///
    /// `None` where they lie too near or too far apart, where they are of different numbers of partitions, since what is new
    /// in one that was not told of before is not known, and where they contradict each other: ends or commits that went
    /// back, or commits beyond the end. That is a topic that grew or was made anew, or a broker that answers from the past,
    /// and nothing follows from it. Keep the earlier ones of two that lie too near.
    pub fn since(&self, earlier: &Self) -> Option<Sample> {
        let elapsed_ms = self.taken_at.saturating_since_ms(earlier.taken_at);
        let is_apart = (SAMPLE_INTERVAL_MS_MIN..=SAMPLE_INTERVAL_MS_MAX).contains(&elapsed_ms);
        if !is_apart || self.partitions.len() != earlier.partitions.len() {
            return None;
        }
        let loads = self.partitions.iter().zip(&earlier.partitions).map(|(now, before)| {
            let arrived = now.end.checked_sub(before.end)?;
            now.committed.checked_sub(before.committed)?;
            let backlog = now.end.checked_sub(now.committed)?;
            Some(PartitionLoad { backlog, arrival: Rate::of(arrived, elapsed_ms) })
        });
        Some(Sample { taken_at: self.taken_at, partitions: loads.collect::<Option<_>>()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(taken_at: u64, partitions: &[(u64, u64)]) -> Offsets {
        let partitions = partitions.iter().map(|&(committed, end)| PartitionOffsets { committed, end }).collect();
        Offsets { taken_at: TimestampMs(taken_at), partitions }
    }

    #[test]
    fn rates_come_from_ends() {
        let sample = at(5_000, &[(90, 150), (0, 20)]).since(&at(0, &[(80, 100), (0, 0)])).unwrap();
        let expected = [(60, Rate::per_second(10)), (20, Rate::per_second(4))];
        let loads: Vec<_> = sample.partitions.iter().map(|load| (load.backlog, load.arrival)).collect();
        assert_eq!(loads, expected);
        assert_eq!((sample.backlog(), sample.arrival()), (80, Rate::per_second(14)));
    }

    #[test]
    fn contradictions_give_nothing() {
        let earlier = at(1_000, &[(5, 10), (5, 10)]);
        for later in [
            at(1_000, &[(5, 10), (5, 10)]),
            at(900, &[(5, 10), (5, 10)]),
            at(1_999, &[(5, 10), (5, 10)]),
            at(61_001, &[(5, 10), (5, 10)]),
            at(2_000, &[(5, 10)]),
            at(2_000, &[(5, 10), (5, 10), (0, 1_000_000)]),
            at(2_000, &[(5, 9), (5, 10)]),
            at(2_000, &[(4, 10), (5, 10)]),
            at(2_000, &[(11, 10), (5, 10)]),
        ] {
            assert_eq!(later.since(&earlier), None, "{later:?}");
        }
    }
}

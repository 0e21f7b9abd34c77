//! How far the owners of this process are, told to the metrics once a second whatever the owners wait for.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use pnyx_backbone::clock;
use pnyx_core::{
    id::{Lane, ProposalId},
    time::TimestampMs,
};
use tokio::time::Instant;

/// A lane of a proposal.
pub(super) type LaneKey = (ProposalId, Lane);

/// What an owner tells of itself. Relaxed: each figure stands alone.
#[derive(Debug, Default)]
pub(super) struct LaneProgress {
    next_offset: AtomicU64,
    /// Append time of the oldest verdict that is not in the store, or of one before it; 0 while none is known.
    oldest_ms: AtomicU64,
}

impl LaneProgress {
    /// The store has the lane up to here.
    pub(super) fn note_position(&self, next_offset: u64) {
        self.next_offset.store(next_offset, Ordering::Relaxed);
    }

    /// No verdict that is older waits.
    pub(super) fn note_oldest(&self, appended_at: TimestampMs) {
        self.oldest_ms.store(appended_at.0, Ordering::Relaxed);
    }

    fn next_offset(&self) -> u64 {
        self.next_offset.load(Ordering::Relaxed)
    }
}

/// Sums and extremes over the lanes of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Lag {
    /// Verdicts in the log that are not in the store.
    pub(super) verdicts: u64,
    /// Age of the oldest of them.
    pub(super) oldest: Duration,
}

/// Remembers since when lanes that are behind have stood still.
#[derive(Debug, Default)]
pub(super) struct LagMeter {
    standing: BTreeMap<LaneKey, (u64, Instant)>,
}

impl LagMeter {
    /// The lag of these lanes, of which the log ends at `ends`; a lane whose end is not known counts as it was before,
    /// as not behind.
    pub(super) fn measure<'a>(&mut self, lanes: impl Iterator<Item = (LaneKey, &'a LaneProgress, Option<u64>)>) -> Lag {
        let (mut lag, mut standing) = (Lag::default(), BTreeMap::new());
        let now = clock::now();
        for (key, progress, end) in lanes {
            let next_offset = progress.next_offset();
            let behind = end.unwrap_or(0).saturating_sub(next_offset);
            if behind == 0 {
                // The next verdict is not as old as the last one before it.
                progress.note_oldest(TimestampMs(0));
                continue;
            }
            let before = self.standing.get(&key).filter(|(offset, _)| *offset == next_offset);
            let since = before.map_or_else(Instant::now, |(_, since)| *since);
            standing.insert(key, (next_offset, since));
            let oldest_ms = progress.oldest_ms.load(Ordering::Relaxed);
            let age_ms = if oldest_ms == 0 { 0 } else { now.saturating_since_ms(TimestampMs(oldest_ms)) };
            lag.verdicts += behind;
            lag.oldest = lag.oldest.max(Duration::from_millis(age_ms)).max(since.elapsed());
        }
        self.standing = standing;
        lag
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_lane_that_stands_still_behind_its_end_grows_old() {
        let (mut meter, progress) = (LagMeter::default(), LaneProgress::default());
        let key = (ProposalId::new([1; 32]), Lane(0));
        let mut measure = |end| meter.measure([(key, &progress, end)].into_iter());
        assert_eq!(measure(Some(0)), Lag::default());
        assert_eq!(measure(Some(5)), Lag { verdicts: 5, oldest: Duration::ZERO });
        tokio::time::advance(Duration::from_secs(7)).await;
        assert_eq!(measure(Some(6)), Lag { verdicts: 6, oldest: Duration::from_secs(7) });
        progress.note_position(4);
        assert_eq!(measure(Some(6)), Lag { verdicts: 2, oldest: Duration::ZERO });
        progress.note_oldest(TimestampMs(clock::now().0 - 60_000));
        assert!(measure(Some(6)).oldest >= Duration::from_secs(60));
        progress.note_position(6);
        assert_eq!(measure(Some(6)), Lag::default());
        assert_eq!(measure(Some(7)), Lag { verdicts: 1, oldest: Duration::ZERO }, "the lane was idle, not late");
    }
}

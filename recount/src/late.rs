//! Late records: those that the log appended beyond the cut although their append time lies in the window.
//!
//! The grace before the cut is longer than an append may take, so there is none unless a clock was wrong or the log
//! lost and gave away offsets again. Such a record does not count; it is evidence that a person has to look at.

use pnyx_backbone::log::{Log, Topic};
use pnyx_core::{
    id::{Place, RecordHash},
    proposal::Proposal,
    result::Cut,
    time::{TimestampMs, WindowPosition},
};

use crate::recounting::{ReadError, RecordsBelow};

/// A record beyond the cut with an append time in the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LateRecord {
    /// Where it is.
    pub(crate) place: Place,
    /// When the log says that it was appended.
    pub(crate) appended_at: TimestampMs,
    /// Its hash, by which a receipt names it.
    pub(crate) record: RecordHash,
}

/// Looks beyond the cut; each record is seen once.
#[derive(Debug, Default)]
pub(crate) struct BeyondCut {
    /// By partition, where to go on; from the cut where nothing is noted.
    next_offsets: Vec<u64>,
}

impl BeyondCut {
    /// The late records that were not there at the last look.
    pub(crate) async fn look(
        &mut self,
        log: &Log,
        proposal: &Proposal,
        cut: &Cut,
    ) -> Result<Vec<LateRecord>, ReadError> {
        let mut late = Vec::new();
        let ends = log.ends(&Topic::ballots(cut.proposal)).await?;
        for (partition, end_offset) in (0_u32..).zip(ends) {
            let index = partition as usize;
            if self.next_offsets.len() == index {
                self.next_offsets.push(cut.partitions.get(index).map_or(0, |partition| partition.end_offset));
            }
            let from_offset = self.next_offsets[index];
            if from_offset >= end_offset {
                continue;
            }
            let mut records = RecordsBelow::from(log, cut.proposal, partition, from_offset, end_offset)?;
            loop {
                let batch = records.next_batch().await?;
                if batch.is_empty() {
                    break;
                }
                let in_window = batch
                    .iter()
                    .filter(|record| proposal.window().position(record.appended_at) == WindowPosition::Inside);
                late.extend(in_window.map(|record| LateRecord {
                    place: record.place,
                    appended_at: record.appended_at,
                    record: RecordHash::of(&record.record),
                }));
            }
            self.next_offsets[index] = end_offset;
        }
        Ok(late)
    }
}

//! The cut: where counting ends, read once after the close and the grace.

use pnyx_backbone::log::{Log, Topic};
use pnyx_core::{
    id::{ProposalId, RecordHash, Root},
    merkle::{RootBuilder, record_leaf},
    result::{Cut, CutPartition},
    time::TimestampMs,
};

use crate::recounting::{ReadError, RecordsBelow};

/// Reads the ends of all ballots partitions as they are now, and the roots of the records below them. Memory does not
/// grow with the number of records.
pub(crate) async fn read_cut(log: &Log, proposal: ProposalId, decided_at: TimestampMs) -> Result<Cut, ReadError> {
    let ends = log.ends(&Topic::ballots(proposal)).await?;
    let mut partitions = Vec::with_capacity(ends.len());
    for (partition, end_offset) in (0..).zip(ends) {
        let records_root = records_root(RecordsBelow::new(log, proposal, partition, end_offset)?).await?;
        partitions.push(CutPartition { end_offset, records_root });
    }
    Ok(Cut { proposal, decided_at, partitions })
}

async fn records_root(mut records: RecordsBelow) -> Result<Root, ReadError> {
    let mut root = RootBuilder::default();
    loop {
        let batch = records.next_batch().await?;
        if batch.is_empty() {
            return Ok(root.root());
        }
        for record in batch {
            root.push(&record_leaf(RecordHash::of(&record.record)));
        }
    }
}

//! For whoever follows one ballot through all processes: a log line and a span for each verdict that a batch brought into
//! the store, or that was there before a new lane had its first owner. A lane that the store lost is told of again, with
//! the same spans.

use pnyx_backbone::{
    log::LogRecord,
    traces::{self, Step},
};
use pnyx_core::{
    id::{Digest, Lane, Place},
    result::Cut,
};
use tokio::time::Instant;
use tracing::{Level, debug};

use super::{fold::LaneFold, owner::BATCH_VERDICTS_MAX};

/// Verdicts that are on their way to the store. Empty unless somebody wants to hear of them.
pub(super) struct Traced {
    began: Instant,
    verdicts: Vec<TracedVerdict>,
}

struct TracedVerdict {
    offset: u64,
    record: Place,
    digest: Digest,
    ruling: &'static str,
}

impl Traced {
    /// Of no record yet.
    pub(super) fn begin() -> Self {
        Self { began: Instant::now(), verdicts: Vec::new() }
    }

    /// Of a batch.
    pub(super) fn of(records: &[LogRecord], fold: &LaneFold, cut: Option<&Cut>) -> Self {
        let mut traced = Self::begin();
        traced.add(records, fold, cut);
        traced
    }

    /// Reads the records once more, which costs nobody anything who does not ask for it. A new lane has few before its first
    /// owner, and one that was lost had been told of before: no more than a batch is kept.
    pub(super) fn add(&mut self, records: &[LogRecord], fold: &LaneFold, cut: Option<&Cut>) {
        if !traces::is_on() && !tracing::enabled!(Level::DEBUG) {
            return;
        }
        let verdicts = records.iter().filter_map(|record| {
            let verdict = fold.read(&record.value).ok()?;
            if cut.is_some_and(|cut| !cut.holds(verdict.place)) {
                return None;
            }
            let (digest, ruling) = traces::of_verdict(&verdict);
            Some(TracedVerdict { offset: record.offset, record: verdict.place, digest: digest?, ruling })
        });
        self.verdicts.extend(verdicts.take(BATCH_VERDICTS_MAX.saturating_sub(self.verdicts.len())));
    }

    /// Once the store has them.
    pub(super) fn note(self, lane: Lane) {
        let elapsed = self.began.elapsed();
        for TracedVerdict { offset, record, digest, ruling } in self.verdicts {
            debug!(%digest, lane = lane.0, offset, ruling, "ballot counted");
            traces::note(digest, record, Step::Counted { lane, offset, ruling }, elapsed);
        }
    }
}

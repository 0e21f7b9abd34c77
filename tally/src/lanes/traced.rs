//! For whoever follows one ballot through all processes: a log line and a span for each verdict that a batch brought into
//! the store. Verdicts that a new owner folds to take a lane up are not among them: they were counted before, or nobody
//! saw when.

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

use super::{fold::LaneFold, places::is_beyond};

/// Verdicts of a batch that is on its way to the store. Empty unless somebody wants to hear of them.
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
    /// Reads the records once more, which costs nobody anything who does not ask for it.
    pub(super) fn of(records: &[LogRecord], fold: &LaneFold, cut: Option<&Cut>) -> Self {
        let began = Instant::now();
        if !traces::is_on() && !tracing::enabled!(Level::DEBUG) {
            return Self { began, verdicts: Vec::new() };
        }
        let verdicts = records.iter().filter_map(|record| {
            let verdict = fold.read(&record.value).ok()?;
            if cut.is_some_and(|cut| is_beyond(cut, verdict.place)) {
                return None;
            }
            let (digest, ruling) = traces::of_verdict(&verdict);
            Some(TracedVerdict { offset: record.offset, record: verdict.place, digest: digest?, ruling })
        });
        Self { began, verdicts: verdicts.collect() }
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

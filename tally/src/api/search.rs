//! Searches for rejected records: only the log has them, so they are bounded, and only a few run at once.

use std::{collections::BTreeMap, time::Duration};

use pnyx_backbone::log::{LogRecord, PartitionReader, Topic};
use pnyx_core::{
    id::{Place, ProposalId, Voter},
    signature_check::SignatureCheck,
    time::TimestampMs,
    verdict::{RejectedRecord, Ruling, Verdict},
    wire::{WireError, verdict},
};
use serde::Serialize;
use tokio::{
    sync::SemaphorePermit,
    task,
    time::{self, Instant},
};
use utoipa::ToSchema;

use super::ApiState;
use crate::ReadError;

/// Most searches at once: each takes a core for tens of milliseconds.
pub(super) const SEARCHES_AT_ONCE_MAX: usize = 4;

/// How long a request waits for its turn: a few searches.
const TURN_WAIT_MAX: Duration = Duration::from_millis(500);

/// Longest that a search reads: far above what its verdicts take, so that only a log that does not answer ends it.
const SEARCH_MAX: Duration = Duration::from_secs(2);

/// Most verdicts looked at for one voter, over all lanes: a record that claims a voter without proof lies in any lane, and
/// a request may not read a whole log. The newest are looked at, because a voter asks about a ballot just sent.
const VOTER_VERDICTS_MAX: u64 = 20_000;

/// Most verdicts read at once.
const READ_VERDICTS_MAX: usize = 2_000;

/// Most bytes of verdicts read at once.
const READ_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A lane's verdicts, read for a bounded time.
pub(super) struct LaneScan {
    reader: PartitionReader,
    /// The lane was seen to reach this far.
    end: u64,
    deadline: Instant,
}

/// A record that does not count, with its verdict.
#[derive(Debug, Clone)]
pub(super) struct Rejected {
    /// Where it lies.
    pub(super) place: Place,
    /// When it was appended.
    pub(super) appended_at: TimestampMs,
    /// Why it does not count.
    pub(super) record: RejectedRecord,
}

/// What verdicts say of a voter beside the standing ballot.
#[derive(Debug)]
pub(super) struct VoterVerdicts {
    /// The newest rejected records that claim this voter, by place.
    pub(super) rejected: Vec<Rejected>,
    /// What proved the signature of the record that was asked for, if its verdict is among those that were looked at.
    pub(super) check: Option<SignatureCheck>,
    /// What was looked at.
    pub(super) searched: Searched,
}

/// What was found so far.
#[derive(Default)]
struct Found {
    rejected: BTreeMap<Place, Rejected>,
    check: Option<SignatureCheck>,
}

impl Found {
    fn take(&mut self, record: &LogRecord, voter: Voter, standing: Option<Place>) {
        match verdict::decode(&record.value) {
            Ok(Verdict { place, ruling: Ruling::Counts(ballot), .. }) if standing == Some(place) => {
                self.check = Some(ballot.check);
            }
            Ok(Verdict { place, appended_at, ruling: Ruling::Rejected(record) })
                if record.claimed_voter == Some(voter) =>
            {
                self.rejected.insert(place, Rejected { place, appended_at, record });
            }
            Ok(_) | Err(_) => {}
        }
    }
}

/// What was looked at for a voter's rejected records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) enum Searched {
    /// Every verdict.
    All,
    /// The newest verdicts of each lane.
    Newest,
    /// None: too many others search, or the log does not answer. Asking again may find more.
    Nothing,
}

impl LaneScan {
    /// The next verdicts; none once the end is reached.
    pub(super) async fn next(&mut self, verdicts_max: usize) -> Result<Vec<LogRecord>, ReadError> {
        let verdicts_max = verdicts_max.min(READ_VERDICTS_MAX);
        // Others have to get on meanwhile.
        task::yield_now().await;
        if self.reader.position() >= self.end {
            // What was appended since, as far as it is here already.
            return Ok(self.reader.read_available(verdicts_max).await?);
        }
        let reading = self.reader.next_batch(verdicts_max, READ_BYTES_MAX);
        Ok(time::timeout_at(self.deadline, reading).await.map_err(|_| ReadError::Slow)??)
    }

    /// The offset of the verdict that comes next.
    pub(super) fn position(&self) -> u64 {
        self.reader.position()
    }
}

impl ApiState {
    /// Leave to search; `None` if too many others do.
    pub(super) async fn search_turn(&self) -> Option<SemaphorePermit<'_>> {
        let turn = time::timeout(TURN_WAIT_MAX, self.0.searches.acquire()).await.ok().and_then(Result::ok);
        if turn.is_none() {
            self.0.tally.metrics.searches_refused.inc();
        }
        turn
    }

    /// Where each lane ends, and until when a search that begins now may read.
    pub(super) async fn search_range(&self, id: ProposalId) -> Result<(Vec<u64>, Instant), ReadError> {
        let ends = self.0.tally.ends.lanes(id).await?;
        Ok((ends.value.to_vec(), Instant::now() + SEARCH_MAX))
    }

    /// Reads a lane that ends at `end` from an offset on.
    pub(super) fn scan(
        &self,
        id: ProposalId,
        lane: u16,
        from_offset: u64,
        end: u64,
        deadline: Instant,
    ) -> Result<LaneScan, ReadError> {
        let reader = self.0.tally.log.reader(&Topic::verdicts(id), lane.into(), from_offset)?;
        Ok(LaneScan { reader, end, deadline })
    }

    /// What the newest verdicts say of a voter, and of the record at the place of the standing ballot.
    pub(super) async fn verdicts_of(&self, id: ProposalId, voter: Voter, standing: Option<Place>) -> VoterVerdicts {
        let nothing = VoterVerdicts { rejected: Vec::new(), check: None, searched: Searched::Nothing };
        let Some(_turn) = self.search_turn().await else { return nothing };
        match self.search(id, voter, standing).await {
            Ok((Found { rejected, check }, searched)) => {
                VoterVerdicts { rejected: rejected.into_values().collect(), check, searched }
            }
            Err(_) => nothing,
        }
    }

    async fn search(
        &self,
        id: ProposalId,
        voter: Voter,
        standing: Option<Place>,
    ) -> Result<(Found, Searched), ReadError> {
        let (ends, deadline) = self.search_range(id).await?;
        let lanes = u64::try_from(ends.len()).expect("a usize has at most 64 bits");
        let share = VOTER_VERDICTS_MAX.checked_div(lanes).unwrap_or(0).max(1);
        let mut found = Found::default();
        let mut searched = Searched::All;
        for (lane, end) in (0..).zip(ends) {
            let start = end.saturating_sub(share);
            if start > 0 {
                searched = Searched::Newest;
            }
            let mut scan = self.scan(id, lane, start, end, deadline)?;
            let mut left = usize::try_from(share).unwrap_or(usize::MAX);
            while left > 0 {
                let records = scan.next(left).await?;
                if records.is_empty() {
                    break;
                }
                left = left.saturating_sub(records.len());
                records.iter().for_each(|record| found.take(record, voter, standing));
            }
        }
        Ok((found, searched))
    }
}

/// The rejected record that a verdict is about, if it is about one.
pub(super) fn rejected(record: &LogRecord) -> Result<Option<Rejected>, WireError> {
    match verdict::decode(&record.value) {
        Ok(Verdict { ruling: Ruling::Counts(_), .. }) => Ok(None),
        Ok(Verdict { place, appended_at, ruling: Ruling::Rejected(record) }) => {
            Ok(Some(Rejected { place, appended_at, record }))
        }
        Err(problem) => Err(problem),
    }
}

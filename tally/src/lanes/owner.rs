//! The owner of one lane: a writer of its state, which may end at any moment and loses nothing.
//!
//! What it holds in memory is the fold of the lane's verdicts below some offset, and every write to the store is fenced
//! by the offset that the store holds, so that another owner (one that was assigned the lane before, or believes that it
//! still is) does no harm. Whatever does not fit ends in `restore`, which knows three ways back: from memory, from what
//! the store holds, and from the log.
//!
//! From the cut on nothing at or above it stays in the lane, and the store is told so with every write, at once even when
//! no verdict arrives: the recount compares only lanes of which that is said.
//!
//! Once its proposal has a result and the lane is read to the end, the owner gives its memory back and only watches over
//! the store: every record below the cut had its verdict before the result was published, so what is appended later are
//! repeats and records above the cut, and its offset is noted without reading it.
//!
//! While the store cannot be reached the owner waits and does not read on, so what waits stays in the log.

use std::{sync::Arc, time::Duration};

use pnyx_backbone::{
    log::{Log, LogError, LogRecord, PartitionReader, Topic},
    store::{ApplyOutcome, LaneBatch, LaneCounters, LanePosition, StoreError},
    telemetry,
};
use pnyx_core::{
    counting::{CountingRules, TotalsDelta},
    decisions::DecisionBook,
    id::{Lane, ProposalId},
    proposal::Definition,
    result::Cut,
};
use tokio::{
    sync::watch,
    time::{self, Instant},
};
use tracing::{error, info, warn};

use super::{
    LaneError,
    fold::{Changes, LaneFold},
    is_contradiction, note_log_failure,
    progress::LaneProgress,
    traced::Traced,
};
use crate::{ReadError, Tally, backoff::Backoff};

/// Most verdicts folded into one write: enough that the write's own cost disappears, and at the measured cost of a
/// verdict few milliseconds, so that readers see a steady stream.
pub(super) const BATCH_VERDICTS_MAX: usize = 4096;

/// Most bytes of verdicts read at once.
pub(super) const BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A batch of so many verdicts says that they keep coming: a lane that gets a hundred a second at least.
const BUSY_VERDICTS: usize = 16;

/// How long verdicts gather after such a batch. What a call of the store costs by itself is then shared by hundreds of them
/// at the rates at which it counts, and readers, who are told of changes four times a second, notice nothing.
const REST: Duration = Duration::from_millis(100);

/// How often the owner looks whether the store still holds its lane: lost data is noticed within 2 s even when nothing
/// arrives, with as much to spare.
const STORE_CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Reads one lane and writes it to the store.
pub(super) struct LaneOwner {
    pub(super) tally: Tally,
    pub(super) proposal: ProposalId,
    pub(super) definition: Arc<Definition>,
    pub(super) lane: Lane,
    topic: Topic,
    book: watch::Receiver<Arc<DecisionBook>>,
    /// `None` before the lane is taken up, and once the proposal is final and the lane is read to its end.
    pub(super) fold: Option<LaneFold>,
    pub(super) cut: Option<Arc<Cut>>,
    /// Since when this owner knows that there is a result.
    pub(super) final_since: Option<Instant>,
    /// Where the store has the lane as far as this owner knows.
    pub(super) next_offset: u64,
    /// What the store held did not add up, so that it is written anew although its position may be right.
    pub(super) distrusts_store: bool,
    /// Poison below this offset was reported before.
    reported_below: u64,
    pub(super) progress: Arc<LaneProgress>,
}

impl LaneOwner {
    pub(super) fn new(tally: &Tally, definition: Arc<Definition>, lane: Lane, progress: Arc<LaneProgress>) -> Self {
        let proposal = definition.proposal().id();
        Self {
            tally: tally.clone(),
            proposal,
            definition,
            lane,
            topic: Topic::verdicts(proposal),
            book: tally.proposals.watch(),
            fold: None,
            cut: None,
            final_since: None,
            next_offset: 0,
            distrusts_store: false,
            reported_below: 0,
            progress,
        }
    }

    /// Owns the lane. It may be stopped at any await: that is one of the crashes it is made for.
    pub(super) async fn run(mut self) -> Result<(), LaneError> {
        let mut check = time::interval(STORE_CHECK_INTERVAL);
        check.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
        self.restore().await?;
        let mut reader = None;
        let mut backoff = Backoff::default();
        let mut rests_until = Instant::now();
        loop {
            reader = match reader {
                // A reader costs a place in the log's client, and a final lane reads no more.
                _ if self.fold.is_none() => None,
                Some(reader) if PartitionReader::position(&reader) == self.next_offset => Some(reader),
                _ => Some(self.reader_from(self.next_offset).await?),
            };
            tokio::select! {
                records = next_batch(&mut reader, rests_until) => match records {
                    Ok(records) => {
                        backoff = Backoff::default();
                        // A full one is behind: nothing has to gather.
                        let is_busy = (BUSY_VERDICTS..BATCH_VERDICTS_MAX).contains(&records.len());
                        self.take(records).await?;
                        rests_until = Instant::now() + if is_busy { REST } else { Duration::ZERO };
                    }
                    Err(problem) => {
                        self.note_log_failure(problem)?;
                        backoff.wait().await;
                        reader = None;
                    }
                },
                _ = check.tick() => self.check().await?,
                changed = self.book.changed() => match changed {
                    Ok(()) => self.note_decisions().await?,
                    Err(_) => return Ok(()),
                },
            }
        }
    }

    /// Folds a batch and applies it.
    async fn take(&mut self, records: Vec<LogRecord>) -> Result<(), LaneError> {
        let (Some(first), Some(last)) = (records.first(), records.last()) else { return Ok(()) };
        self.progress.note_oldest(first.appended_at);
        let (next_offset, newest) = (last.offset + 1, last.appended_at);
        let fold = self.fold.as_mut().expect("batches are read only while there is a fold");
        let changes = fold.take(&records);
        let traced = Traced::of(&records, fold, self.cut.as_deref());
        drop(records);
        self.report(&changes);
        let Changes { delta, counters, standing, places, poison: _ } = changes;
        let batch = LaneBatch { delta, counters, standing, places, ..self.empty_batch(next_offset) };
        self.apply(batch).await?;
        // Else another owner has the lane, and tells of them.
        if self.next_offset >= next_offset {
            traced.note(self.lane);
        }
        self.progress.note_oldest(newest);
        self.settle().await
    }

    /// Applies a batch that the fold already holds; whatever stands in the way, the lane is right afterwards.
    pub(super) async fn apply(&mut self, batch: LaneBatch) -> Result<(), LaneError> {
        let (from_offset, next_offset) = (batch.from_offset, batch.next_offset);
        let mut backoff = Backoff::default();
        loop {
            match self.tally.store.apply(self.proposal, self.lane, batch.clone()).await {
                Ok(ApplyOutcome::Applied) => break,
                Ok(ApplyOutcome::Fenced { stored_next_offset }) => {
                    self.tally.metrics.fenced.inc();
                    warn!(
                        proposal = %self.proposal, lane = self.lane.0, from_offset, stored_next_offset,
                        "the store refused a batch: the lane is not where this owner left it"
                    );
                    return self.restore().await;
                }
                Err(problem) => self.note_store_failure(&problem, &mut backoff).await?,
            }
            // It may have been applied before the answer was lost.
            let position = self.position().await?;
            if position == Some(self.position_at(next_offset)) {
                break;
            }
            if !self.stands_at(position, from_offset) {
                return self.restore().await;
            }
        }
        self.tally.metrics.note_applied(next_offset - from_offset);
        self.note_position(next_offset);
        Ok(())
    }

    /// Notices within [`STORE_CHECK_INTERVAL`] that the store lost the lane.
    async fn check(&mut self) -> Result<(), LaneError> {
        let position = self.position().await?;
        if !self.is_held(position, self.next_offset) {
            warn!(
                proposal = %self.proposal, lane = self.lane.0, next_offset = self.next_offset, ?position,
                "the store does not hold the lane as this owner left it"
            );
            return self.restore().await;
        }
        if self.fold.is_none() {
            let known = self.tally.ends.lanes_known(self.proposal);
            let end = known.and_then(|read| read.value.get(usize::from(self.lane.0)).copied());
            if let Some(end) = end.filter(|end| *end > self.next_offset) {
                // These verdicts can change nothing any more.
                self.apply(self.empty_batch(end)).await?;
            }
        }
        Ok(())
    }

    /// A batch that changes nothing but the position.
    pub(super) fn empty_batch(&self, next_offset: u64) -> LaneBatch {
        LaneBatch {
            log: self.tally.log.identity(),
            from_offset: self.next_offset,
            next_offset,
            below_cut: self.cut.is_some(),
            delta: TotalsDelta::empty(CountingRules::of(self.definition.proposal())),
            counters: LaneCounters::default(),
            standing: Vec::new(),
            places: Vec::new(),
        }
    }

    /// Follows what was decided since: nothing at or above the cut may stay in the lane.
    async fn note_decisions(&mut self) -> Result<(), LaneError> {
        let had_cut = self.cut.is_some();
        if !self.read_book() {
            return self.restore().await;
        }
        if !had_cut && self.cut.is_some() {
            // Whoever waits for it must not wait for the next verdict.
            self.apply(self.empty_batch(self.next_offset)).await?;
        }
        self.settle().await
    }

    /// Reads what was decided. A fold that went past the cut is dropped: `false`.
    pub(super) fn read_book(&mut self) -> bool {
        let book = self.book.borrow_and_update().clone();
        let Some(decisions) = book.get(self.proposal) else { return true };
        if decisions.result.is_some() {
            self.final_since.get_or_insert_with(Instant::now);
        }
        let (None, Some(cut)) = (&self.cut, &decisions.cut) else { return true };
        self.cut = Some(cut.clone());
        let is_below = self.fold.as_mut().is_none_or(|fold| fold.end_at(cut.clone()));
        if !is_below {
            info!(proposal = %self.proposal, lane = self.lane.0, "the lane went past the cut, counting it again");
            self.fold = None;
        }
        is_below
    }

    /// Gives the memory back once nothing can change any more.
    pub(super) async fn settle(&mut self) -> Result<(), LaneError> {
        if let (Some(since), true) = (self.final_since, self.fold.is_some())
            && self.next_offset >= self.end_since(since).await?
        {
            self.fold = None;
        }
        Ok(())
    }

    /// Reports each poison verdict once, whatever is folded again later. The verdict itself stays in the log.
    pub(super) fn report(&mut self, changes: &Changes) {
        for (offset, poison) in &changes.poison {
            if *offset >= self.reported_below {
                self.reported_below = offset + 1;
                self.tally.metrics.poison.inc();
                error!(
                    topic = %self.topic, partition = self.lane.0, offset, problem = %poison,
                    "a verdict is skipped; the record stays at this place in the log for inspection"
                );
            }
        }
    }

    /// Counts a failure of the store and waits; fails if trying again is of no use. A lane that is not what was written is
    /// dropped, so that it is written anew as one that was lost.
    pub(super) async fn note_store_failure(
        &self,
        problem: &StoreError,
        backoff: &mut Backoff,
    ) -> Result<(), LaneError> {
        if is_contradiction(problem) {
            return Err(LaneError::Store { proposal: self.proposal, source: problem.clone() });
        }
        self.tally.metrics.store_failures.inc();
        warn!(
            proposal = %self.proposal, lane = self.lane.0, problem = telemetry::chain(problem),
            "the store failed, trying again"
        );
        if matches!(problem, StoreError::Damaged { .. })
            && let Err(problem) = self.tally.store.drop_lane(self.proposal, self.lane).await
        {
            warn!(
                proposal = %self.proposal, lane = self.lane.0, problem = telemetry::chain(&problem),
                "a damaged lane could not be dropped"
            );
        }
        backoff.wait().await;
        Ok(())
    }

    /// Counts a failure of the log; fails if trying again is of no use: the topic is not what it was, or the log is closed.
    pub(super) fn note_log_failure(&self, problem: LogError) -> Result<(), LaneError> {
        if problem.fault().is_some() || matches!(problem, LogError::Closed) {
            return Err(LaneError::Log { proposal: self.proposal, source: problem });
        }
        note_log_failure(&self.tally, &problem);
        Ok(())
    }

    pub(super) fn note_position(&mut self, next_offset: u64) {
        self.next_offset = next_offset;
        self.progress.note_position(next_offset);
    }

    /// Where the store has the lane, however long it takes to hear.
    pub(super) async fn position(&self) -> Result<Option<LanePosition>, LaneError> {
        let mut backoff = Backoff::default();
        loop {
            let problem = match self.tally.store.lane_position(self.proposal, self.lane).await {
                Ok(position) => return Ok(position),
                Err(StoreError::UnknownProposal { .. }) => {
                    let rules = CountingRules::of(self.definition.proposal());
                    match self.tally.store.register(self.proposal, rules, self.definition.lanes()).await {
                        Ok(()) => continue,
                        Err(problem) => problem,
                    }
                }
                Err(problem) => problem,
            };
            self.note_store_failure(&problem, &mut backoff).await?;
        }
    }

    pub(super) fn position_at(&self, next_offset: u64) -> LanePosition {
        LanePosition { log: self.tally.log.identity(), next_offset, below_cut: self.cut.is_some() }
    }

    /// Whether a lane at this position in the store holds what this owner would write at `next_offset`. Before the cut
    /// nobody writes a lane without verdicts.
    pub(super) fn is_held(&self, position: Option<LanePosition>, next_offset: u64) -> bool {
        let is_unwritten = position.is_none() && next_offset == 0 && self.cut.is_none();
        is_unwritten || position == Some(self.position_at(next_offset))
    }

    /// Whether a batch from this offset on would be applied to a lane at this position.
    fn stands_at(&self, position: Option<LanePosition>, from_offset: u64) -> bool {
        match position {
            Some(LanePosition { log, next_offset, below_cut }) => {
                log == self.tally.log.identity() && next_offset == from_offset && (self.cut.is_some() || !below_cut)
            }
            None => from_offset == 0,
        }
    }

    /// Where the lane ends in the log, read at `since` or later, however long it takes to hear.
    pub(super) async fn end_since(&self, since: Instant) -> Result<u64, LaneError> {
        let mut backoff = Backoff::default();
        loop {
            match self.tally.ends.lanes_since(self.proposal, since).await {
                Ok(read) if read.started >= since => match read.value.get(usize::from(self.lane.0)) {
                    Some(end) => return Ok(*end),
                    // It was there when the lane was assigned.
                    None => self.note_log_failure(LogError::UnknownTopic { topic: self.topic.clone() })?,
                },
                Err(ReadError::Log(problem)) => self.note_log_failure(problem)?,
                // It is older than asked for: the log does not answer.
                Ok(_) | Err(ReadError::Slow | ReadError::Store(_)) => {
                    self.tally.metrics.log_failures.inc();
                }
            }
            backoff.wait().await;
        }
    }

    /// A reader of the lane, however long it takes to have one.
    pub(super) async fn reader_from(&self, offset: u64) -> Result<PartitionReader, LaneError> {
        let mut backoff = Backoff::default();
        loop {
            match Log::reader(&self.tally.log, &self.topic, self.lane.0.into(), offset) {
                Ok(reader) => return Ok(reader),
                Err(problem) => self.note_log_failure(problem)?,
            }
            backoff.wait().await;
        }
    }
}

/// The next verdicts, not before that time; never any without a reader.
async fn next_batch(reader: &mut Option<PartitionReader>, not_before: Instant) -> Result<Vec<LogRecord>, LogError> {
    match reader {
        Some(reader) => {
            time::sleep_until(not_before).await;
            reader.next_batch(BATCH_VERDICTS_MAX, BATCH_BYTES_MAX).await
        }
        None => std::future::pending().await,
    }
}

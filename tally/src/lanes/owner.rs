//! The owner of one lane: the only writer of its state, which may end at any moment and loses nothing.
//!
//! What it holds in memory is the fold of the lane's verdicts below `next_offset`, and every write to the store is fenced
//! by that offset. Whatever does not fit (another owner, a lost or foreign store, a failed call) ends in the one way back:
//! fold the log again from offset 0 and, where the store does not hold that already, replace the lane as a whole.
//!
//! From the cut on nothing at or above it stays in the lane, and the store is told so with every write, at once even when
//! no verdict arrives: the recount compares only lanes of which that is said.
//!
//! Once its proposal has a result and the lane is read to the end, the owner gives its memory back and only watches over
//! the store: every record below the cut had its verdict before the result was published, so what is appended later are
//! repeats and records above the cut, and its offset is noted without reading it.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use pnyx_backbone::{
    log::{Log, LogError, LogRecord, PartitionReader, Topic},
    store::{
        ApplyOutcome, LaneBatch, LaneCounters, LanePosition, LaneState, REJECTED_ENTRIES_MAX, RejectedEntry, StoreError,
    },
};
use pnyx_core::{
    counting::{CountingRules, TotalsDelta},
    decisions::DecisionBook,
    id::{Lane, ProposalId},
    proposal::Definition,
    result::Cut,
};
use tokio::{sync::watch, time};
use tracing::{error, info, warn};

use super::{
    LaneError,
    fold::{Changes, LaneFold},
};
use crate::Tally;

/// Most verdicts folded into one write: enough that the write's own cost disappears, and at the measured cost of a
/// verdict few milliseconds, so that readers see a steady stream.
const BATCH_VERDICTS_MAX: usize = 4096;

/// Most bytes of verdicts read at once.
const BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;

/// How often the owner looks whether the store still holds its lane: lost data is noticed within 2 s even when nothing
/// arrives, with as much to spare.
const STORE_CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// How long the owner waits after the store failed or another owner was ahead: short against the 2 s, long enough that
/// an unreachable store is not flooded.
const RETRY_DELAY: Duration = Duration::from_millis(200);

/// Reads one lane and writes it to the store.
pub(super) struct LaneOwner {
    tally: Tally,
    proposal: ProposalId,
    definition: Arc<Definition>,
    lane: Lane,
    topic: Topic,
    book: watch::Receiver<Arc<DecisionBook>>,
    /// `None` once the proposal is final and the lane is read to its end.
    fold: Option<LaneFold>,
    cut: Option<Arc<Cut>>,
    is_final: bool,
    next_offset: u64,
    /// Poison below this offset was reported before.
    reported_below: u64,
    lag: i64,
}

/// The lane as the log has it.
struct Replayed {
    fold: LaneFold,
    next_offset: u64,
    counters: LaneCounters,
    rejected: VecDeque<RejectedEntry>,
}

impl LaneOwner {
    pub(super) fn new(tally: &Tally, definition: Arc<Definition>, lane: Lane) -> Self {
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
            is_final: false,
            next_offset: 0,
            reported_below: 0,
            lag: 0,
        }
    }

    /// Owns the lane until the shutdown. It may stop at any await: that is one of the crashes it is made for.
    pub(super) async fn run(mut self) -> Result<(), LaneError> {
        let shutdown = self.tally.shutdown.clone();
        tokio::select! {
            () = shutdown.requested() => Ok(()),
            result = self.own() => match result {
                // Whoever closed the log wanted this to end.
                Err(LaneError::Log { source: LogError::Closed, .. }) => Ok(()),
                result => result,
            },
        }
    }

    async fn own(&mut self) -> Result<(), LaneError> {
        let mut check = time::interval(STORE_CHECK_INTERVAL);
        check.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
        self.restore().await?;
        let mut reader = self.reader()?;
        loop {
            if reader.position() != self.next_offset {
                reader = self.reader()?;
            }
            tokio::select! {
                records = reader.next_batch(BATCH_VERDICTS_MAX, BATCH_BYTES_MAX), if self.fold.is_some() => {
                    self.take(records.map_err(|source| self.unreadable(source))?).await?;
                }
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
        let Some(last) = records.last() else { return Ok(()) };
        let next_offset = last.offset + 1;
        let fold = self.fold.as_mut().expect("batches are read only while there is a fold");
        let changes = fold.take(&records);
        self.report(&changes);
        let Changes { delta, counters, standing, rejected, poison: _ } = changes;
        let batch = LaneBatch { delta, counters, standing, rejected, ..self.empty_batch(next_offset) };
        self.apply(batch).await?;
        self.settle().await
    }

    /// Applies a batch that the fold already holds; whatever stands in the way, the lane is right afterwards.
    async fn apply(&mut self, batch: LaneBatch) -> Result<(), LaneError> {
        let (from_offset, next_offset) = (batch.from_offset, batch.next_offset);
        match self.tally.store.apply(self.proposal, self.lane, batch).await {
            Ok(ApplyOutcome::Applied) => {}
            Ok(ApplyOutcome::Fenced { stored_next_offset }) => {
                self.tally.metrics.fenced.inc();
                warn!(
                    proposal = %self.proposal, lane = self.lane.0, from_offset, stored_next_offset,
                    "the store refused a batch: the lane is not where this owner left it"
                );
                return self.restore().await;
            }
            Err(problem) => {
                self.note_failure(&problem).await;
                // It may have been applied before the answer was lost.
                let position = self.position().await?;
                if position != Some(self.position_at(next_offset)) {
                    return self.restore().await;
                }
            }
        }
        self.tally.metrics.note_applied(next_offset - from_offset);
        self.next_offset = next_offset;
        Ok(())
    }

    /// Takes the lane up where the log and the store are: folds the log again and writes the lane anew unless the store
    /// holds exactly that.
    async fn restore(&mut self) -> Result<(), LaneError> {
        loop {
            let book = self.book.borrow_and_update().clone();
            let decisions = book.get(self.proposal);
            self.cut = decisions.and_then(|decisions| decisions.cut.clone());
            self.is_final = decisions.is_some_and(|decisions| decisions.result.is_some());
            let seen = self.position().await?;
            let end = self.end().await?;
            let stored = seen.filter(|position| position.log == self.tally.log.identity());
            if let Some(ahead) = stored.filter(|position| position.next_offset > end) {
                error!(
                    proposal = %self.proposal, lane = self.lane.0, stored_next_offset = ahead.next_offset, end,
                    "the store is ahead of the log: the log has lost verdicts"
                );
            }
            let stored = stored.filter(|position| position.next_offset <= end);
            if self.cut.is_none() && stored.is_some_and(|position| position.below_cut) {
                // Another owner knows the cut already. The book here will have it soon.
                time::sleep(RETRY_DELAY).await;
                continue;
            }
            let replayed = self.replay(stored.map_or(end, |position| position.next_offset)).await?;
            // A store that holds the offset may still hold what lies above a cut that was made since.
            if !self.is_held(seen, replayed.next_offset) && !self.replace(seen, &replayed).await {
                time::sleep(RETRY_DELAY).await;
                continue;
            }
            self.next_offset = replayed.next_offset;
            self.fold = Some(replayed.fold);
            return self.settle().await;
        }
    }

    /// Folds the lane's verdicts below `until`.
    async fn replay(&mut self, until: u64) -> Result<Replayed, LaneError> {
        let rejected_max = (REJECTED_ENTRIES_MAX / usize::from(self.definition.lanes())).max(1);
        let mut replayed = Replayed {
            fold: LaneFold::new(&self.definition, self.lane, self.cut.clone()),
            next_offset: until,
            counters: LaneCounters::default(),
            rejected: VecDeque::new(),
        };
        let mut reader = self.reader_from(0)?;
        while reader.position() < until {
            let left = usize::try_from(until - reader.position()).unwrap_or(usize::MAX);
            let records = reader.next_batch(left.min(BATCH_VERDICTS_MAX), BATCH_BYTES_MAX).await;
            let changes = replayed.fold.take(&records.map_err(|source| self.unreadable(source))?);
            self.report(&changes);
            replayed.counters.merge(&changes.counters);
            replayed.rejected.extend(changes.rejected);
            let surplus = replayed.rejected.len().saturating_sub(rejected_max);
            replayed.rejected.drain(..surplus);
        }
        Ok(replayed)
    }

    /// Writes the whole lane; `false` if another writer or a failure came between.
    async fn replace(&self, seen: Option<LanePosition>, replayed: &Replayed) -> bool {
        let Replayed { fold, next_offset, counters, rejected } = replayed;
        let state = LaneState {
            position: self.position_at(*next_offset),
            totals: fold.totals(),
            counters: counters.clone(),
            standing: fold.standing(),
            rejected: rejected.iter().cloned().collect(),
        };
        match self.tally.store.replace(self.proposal, self.lane, seen, state).await {
            Ok(ApplyOutcome::Applied) => {
                self.tally.metrics.rebuilds.inc();
                self.tally.metrics.note_applied(0);
                info!(proposal = %self.proposal, lane = self.lane.0, next_offset, "lane rebuilt from the log");
                true
            }
            Ok(ApplyOutcome::Fenced { .. }) => {
                self.tally.metrics.fenced.inc();
                false
            }
            Err(problem) => {
                self.note_failure(&problem).await;
                false
            }
        }
    }

    /// Notices within [`STORE_CHECK_INTERVAL`] that the store lost the lane, and keeps the lag's metric true.
    async fn check(&mut self) -> Result<(), LaneError> {
        let position = self.position().await?;
        if !self.is_held(position, self.next_offset) {
            warn!(proposal = %self.proposal, lane = self.lane.0, ?position, "the store lost the lane, rebuilding it");
            self.restore().await?;
        }
        let end = self.end().await?;
        if self.fold.is_none() && end > self.next_offset {
            // These verdicts can change nothing any more.
            self.apply(self.empty_batch(end)).await?;
        }
        self.note_lag(end);
        Ok(())
    }

    /// A batch that changes nothing but the position.
    fn empty_batch(&self, next_offset: u64) -> LaneBatch {
        LaneBatch {
            log: self.tally.log.identity(),
            from_offset: self.next_offset,
            next_offset,
            below_cut: self.cut.is_some(),
            delta: TotalsDelta::empty(CountingRules::of(self.definition.proposal())),
            counters: LaneCounters::default(),
            standing: Vec::new(),
            rejected: Vec::new(),
        }
    }

    /// Follows what was decided since: nothing at or above the cut may stay in the lane.
    async fn note_decisions(&mut self) -> Result<(), LaneError> {
        let book = self.book.borrow_and_update().clone();
        let Some(decisions) = book.get(self.proposal) else { return Ok(()) };
        self.is_final = decisions.result.is_some();
        if let (None, Some(cut), Some(fold)) = (&self.cut, &decisions.cut, &mut self.fold) {
            self.cut = Some(cut.clone());
            if !fold.end_at(cut.clone()) {
                info!(proposal = %self.proposal, lane = self.lane.0, "the lane went past the cut, rebuilding it");
                return self.restore().await;
            }
            // Whoever waits for it must not wait for the next verdict.
            self.apply(self.empty_batch(self.next_offset)).await?;
        }
        self.settle().await
    }

    /// Gives the memory back once nothing can change any more.
    async fn settle(&mut self) -> Result<(), LaneError> {
        if self.fold.is_some() && self.is_final {
            let end = self.end().await?;
            if self.next_offset >= end {
                self.fold = None;
            }
        }
        Ok(())
    }

    /// Reports each poison verdict once, whatever is folded again later. The verdict itself stays in the log.
    fn report(&mut self, changes: &Changes) {
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

    fn note_lag(&mut self, end: u64) {
        let lag = i64::try_from(end.saturating_sub(self.next_offset)).unwrap_or(i64::MAX);
        self.tally.metrics.lag.inc_by(lag - self.lag);
        self.lag = lag;
    }

    async fn note_failure(&self, problem: &StoreError) {
        self.tally.metrics.store_failures.inc();
        warn!(proposal = %self.proposal, lane = self.lane.0, %problem, "the store failed, trying again");
        time::sleep(RETRY_DELAY).await;
    }

    /// Where the store has the lane, however long it takes to hear.
    async fn position(&self) -> Result<Option<LanePosition>, LaneError> {
        loop {
            let problem = match self.tally.store.lane_position(self.proposal, self.lane).await {
                Ok(position) => return Ok(position),
                Err(problem @ StoreError::UnknownProposal { .. }) => problem,
                Err(source @ (StoreError::UnknownLane { .. } | StoreError::RegisteredOtherwise { .. })) => {
                    return Err(LaneError::Store { proposal: self.proposal, source });
                }
            };
            self.note_failure(&problem).await;
            let rules = CountingRules::of(self.definition.proposal());
            let registered = self.tally.store.register(self.proposal, rules, self.definition.lanes()).await;
            registered.map_err(|source| LaneError::Store { proposal: self.proposal, source })?;
        }
    }

    fn position_at(&self, next_offset: u64) -> LanePosition {
        LanePosition { log: self.tally.log.identity(), next_offset, below_cut: self.cut.is_some() }
    }

    /// Whether a lane at this position in the store holds what this owner would write at `next_offset`. Before the cut
    /// nobody writes a lane without verdicts.
    fn is_held(&self, position: Option<LanePosition>, next_offset: u64) -> bool {
        let is_unwritten = position.is_none() && next_offset == 0 && self.cut.is_none();
        is_unwritten || position == Some(self.position_at(next_offset))
    }

    async fn end(&self) -> Result<u64, LaneError> {
        let ends = self.tally.log.ends(&self.topic).await.map_err(|source| self.unreadable(source))?;
        Ok(*ends.get(usize::from(self.lane.0)).expect("checked at the start: a partition for every lane"))
    }

    fn reader(&self) -> Result<PartitionReader, LaneError> {
        self.reader_from(self.next_offset)
    }

    fn reader_from(&self, offset: u64) -> Result<PartitionReader, LaneError> {
        Log::reader(&self.tally.log, &self.topic, self.lane.0.into(), offset).map_err(|source| self.unreadable(source))
    }

    const fn unreadable(&self, source: LogError) -> LaneError {
        LaneError::Log { proposal: self.proposal, source }
    }
}

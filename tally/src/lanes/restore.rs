//! How an owner comes to hold its lane, at its start and whenever the store does not hold what it should.
//!
//! All three ways lead to the same: the fold of the lane's verdicts below some offset, in memory and in the store.
//! - From memory: what the owner holds is that fold already. If the store lost the lane or fell back, it is written as a
//!   whole; if another owner got further, the verdicts in between are read.
//! - From the store, the disposable checkpoint: believed only if everything in it adds up.
//! - From the log: every verdict again, if the store has nothing that can be gone on from.

use pnyx_backbone::store::{ApplyOutcome, LanePosition, LaneState};
use tokio::{task, time::Instant};
use tracing::{error, info, warn};

use super::{
    LaneError,
    fold::{LaneFold, Unfit},
    owner::{BATCH_BYTES_MAX, BATCH_VERDICTS_MAX, LaneOwner},
    traced::Traced,
};
use crate::{backoff::Backoff, metrics::RestoredFrom};

/// Times that a checkpoint which the store cannot give is asked for before the log is read instead.
const CHECKPOINT_TRIES_MAX: u32 = 3;

/// A fold, and where it came from.
struct Restored {
    fold: LaneFold,
    from: RestoredFrom,
    /// Where the store holds exactly this, if it does.
    held_at: Option<LanePosition>,
    /// Verdicts of which nobody has told that they count, once the store has the lane.
    traced: Option<Traced>,
}

impl LaneOwner {
    /// Takes the lane up where log and store are. A writer that comes between makes it begin again.
    pub(super) async fn restore(&mut self) -> Result<(), LaneError> {
        let mut backoff = Backoff::default();
        loop {
            self.read_book();
            let seen = self.position().await?;
            let end = self.end_since(Instant::now()).await?;
            if let Some(position) = self.final_position(seen, end) {
                // Nothing can change any more, and nothing is missing: there is nothing to hold.
                self.fold = None;
                self.note_position(position.next_offset);
                return Ok(());
            }
            let stored = self.usable(seen, end);
            if self.cut.is_none() && stored.is_some_and(|position| position.below_cut) {
                // Another owner knows the cut already. The book here will have it soon.
                backoff.wait().await;
                continue;
            }
            if self.is_overtaken(stored) {
                backoff.wait().await;
                continue;
            }
            self.progress.note_position(stored.map_or(0, |position| position.next_offset));
            if self.restore_from(seen, stored, end).await? {
                return self.settle().await;
            }
            backoff.wait().await;
        }
    }

    /// Where the store holds the whole lane of a proposal with a result. A topic that ends before was emptied or made anew
    /// since: what was counted stays, as it is what the result was compared with.
    fn final_position(&self, seen: Option<LanePosition>, end: u64) -> Option<LanePosition> {
        self.final_since?;
        let position = seen.filter(|position| position.log == self.tally.log.identity() && position.below_cut)?;
        if position.next_offset > end {
            warn!(
                proposal = %self.proposal, lane = self.lane.0, stored_next_offset = position.next_offset, end,
                "the log has lost verdicts of a proposal with a result; its lane is left as it is"
            );
        }
        (position.next_offset >= end).then_some(position)
    }

    /// The position in the store, if it is one in this log. What lies beyond the log's end was counted from verdicts that
    /// the log has lost, in the store and in memory.
    fn usable(&mut self, seen: Option<LanePosition>, end: u64) -> Option<LanePosition> {
        let stored = seen.filter(|position| position.log == self.tally.log.identity());
        let ahead = stored.map(|position| position.next_offset).filter(|next_offset| *next_offset > end);
        if let Some(stored_next_offset) = ahead {
            error!(
                proposal = %self.proposal, lane = self.lane.0, stored_next_offset, end,
                "the store is ahead of the log: the log has lost verdicts"
            );
        }
        if self.fold.as_ref().is_some_and(|fold| fold.next_offset() > end) {
            self.fold = None;
        }
        stored.filter(|position| position.next_offset <= end)
    }

    /// Whether another owner is on its way to where this one is in memory. Let it get there: to write the whole lane
    /// between its batches would only stop it. One that stands still is not waited for again.
    fn is_overtaken(&mut self, stored: Option<LanePosition>) -> bool {
        let (Some(fold), Some(stored)) = (&self.fold, stored) else { return false };
        let is_on_its_way = self.next_offset < stored.next_offset && stored.next_offset < fold.next_offset();
        if is_on_its_way {
            self.note_position(stored.next_offset);
        }
        is_on_its_way
    }

    /// Whether memory and store hold the same afterwards; `false` if another writer or a failure came between.
    async fn restore_from(
        &mut self,
        seen: Option<LanePosition>,
        stored: Option<LanePosition>,
        end: u64,
    ) -> Result<bool, LaneError> {
        let restored = match self.fold.take() {
            Some(fold) => self.remembered(fold, stored).await?,
            None => match self.stored(stored, end).await? {
                Some(restored) => restored,
                None => self.replayed(end).await?,
            },
        };
        let Restored { fold, from, held_at, traced } = restored;
        let next_offset = fold.next_offset();
        let is_there = held_at.is_some() || self.is_held(seen, next_offset);
        let state = if is_there && !self.distrusts_store {
            None
        } else {
            Some(LaneState {
                position: self.position_at(next_offset),
                totals: fold.totals(),
                counters: fold.counters(),
                standing: fold.standing(),
                places: fold.places(),
            })
        };
        self.fold = Some(fold);
        let is_written = state.is_some();
        if let Some(state) = state
            && !self.replace(seen, state).await?
        {
            return Ok(false);
        }
        self.distrusts_store = false;
        self.note_position(next_offset);
        if let Some(traced) = traced.filter(|_| is_written && seen.is_none()) {
            traced.note(self.lane);
        }
        let is_restored = match from {
            RestoredFrom::Checkpoint => true,
            // Another owner has written the same.
            RestoredFrom::Memory => is_written,
            // A new lane.
            RestoredFrom::Log => is_written || next_offset > 0,
        };
        if is_restored {
            self.tally.metrics.note_restored(from);
            info!(proposal = %self.proposal, lane = self.lane.0, next_offset, ?from, "lane restored");
        }
        if let Some(held) = held_at
            && !self.is_held(Some(held), next_offset)
        {
            // Only that it lies below the cut is not said of it yet.
            Box::pin(self.apply(self.empty_batch(next_offset))).await?;
        }
        Ok(true)
    }

    /// What the owner holds, taken further if another owner is ahead.
    async fn remembered(&mut self, mut fold: LaneFold, stored: Option<LanePosition>) -> Result<Restored, LaneError> {
        let until = stored.map_or(0, |position| position.next_offset);
        self.read_on(&mut fold, until).await?;
        Ok(Restored { fold, from: RestoredFrom::Memory, held_at: None, traced: None })
    }

    /// Every verdict below `end`.
    async fn replayed(&mut self, end: u64) -> Result<Restored, LaneError> {
        let mut fold = LaneFold::new(&self.definition, self.lane, self.cut.clone());
        let traced = self.read_on(&mut fold, end).await?;
        Ok(Restored { fold, from: RestoredFrom::Log, held_at: None, traced: Some(traced) })
    }

    /// What the store holds, if it can be gone on from.
    async fn stored(&mut self, stored: Option<LanePosition>, end: u64) -> Result<Option<Restored>, LaneError> {
        if stored.is_none() {
            return Ok(None);
        }
        let mut backoff = Backoff::default();
        for _ in 0..CHECKPOINT_TRIES_MAX {
            match self.tally.store.load_lane(self.proposal, self.lane).await {
                Ok(state) => {
                    let position = state.as_ref().map(|state| state.position);
                    let Some((state, held_at)) = state.zip(position) else { return Ok(None) };
                    let is_usable = held_at.log == self.tally.log.identity()
                        && held_at.next_offset <= end
                        && (self.cut.is_some() || !held_at.below_cut);
                    if !is_usable {
                        return Ok(None);
                    }
                    let fold = self.believe(state).await;
                    self.distrusts_store = fold.is_none();
                    return Ok(fold.map(|fold| Restored {
                        fold,
                        from: RestoredFrom::Checkpoint,
                        held_at: Some(held_at),
                        traced: None,
                    }));
                }
                Err(problem) => self.note_store_failure(&problem, &mut backoff).await?,
            }
        }
        warn!(proposal = %self.proposal, lane = self.lane.0, "the store does not give the lane, counting it again");
        Ok(None)
    }

    /// The fold of a state, if everything in it adds up. A million ballots take a second, so not on this thread.
    async fn believe(&self, state: LaneState) -> Option<LaneFold> {
        let (definition, lane, cut) = (self.definition.clone(), self.lane, self.cut.clone());
        let is_below_cut = state.position.below_cut;
        let checking = task::spawn_blocking(move || LaneFold::from_state(&definition, lane, cut, state));
        let checked = match checking.await {
            Ok(checked) => checked,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The process ends.
                Err(_) => return None,
            },
        };
        match checked {
            Ok(fold) => Some(fold),
            Err(Unfit::BeyondCut) if !is_below_cut => {
                info!(proposal = %self.proposal, lane = self.lane.0, "the store is past the cut, counting the lane again");
                None
            }
            Err(problem) => {
                error!(
                    proposal = %self.proposal, lane = self.lane.0, %problem,
                    "what the store holds of the lane does not add up, counting it again"
                );
                None
            }
        }
    }

    /// Folds the lane's verdicts up to `until`.
    async fn read_on(&mut self, fold: &mut LaneFold, until: u64) -> Result<Traced, LaneError> {
        let mut traced = Traced::begin();
        if fold.next_offset() >= until {
            return Ok(traced);
        }
        let mut reader = self.reader_from(fold.next_offset()).await?;
        let mut backoff = Backoff::default();
        while fold.next_offset() < until {
            let left = usize::try_from(until - fold.next_offset()).unwrap_or(usize::MAX);
            match reader.next_batch(left.min(BATCH_VERDICTS_MAX), BATCH_BYTES_MAX).await {
                Ok(records) => {
                    let changes = fold.take(&records);
                    self.report(&changes);
                    traced.add(&records, fold, self.cut.as_deref());
                }
                Err(problem) => {
                    self.note_log_failure(problem)?;
                    backoff.wait().await;
                    reader = self.reader_from(fold.next_offset()).await?;
                }
            }
        }
        Ok(traced)
    }

    /// Writes the whole lane; `false` if another writer or a failure came between.
    async fn replace(&self, seen: Option<LanePosition>, state: LaneState) -> Result<bool, LaneError> {
        match self.tally.store.replace(self.proposal, self.lane, seen, state).await {
            Ok(ApplyOutcome::Applied) => {
                self.tally.metrics.note_applied(0);
                Ok(true)
            }
            Ok(ApplyOutcome::Fenced { .. }) => {
                self.tally.metrics.fenced.inc();
                Ok(false)
            }
            Err(problem) => {
                self.note_store_failure(&problem, &mut Backoff::default()).await?;
                Ok(false)
            }
        }
    }
}

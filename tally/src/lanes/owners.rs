//! The owners of this process's lanes, started and stopped as the assignment changes.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use pnyx_backbone::{
    disabled::Fault,
    log::{Assigned, Topic},
};
use pnyx_core::id::{Lane, ProposalId};
use tokio::{
    sync::watch,
    task::{AbortHandle, Id, JoinError, JoinSet},
    time,
};
use tracing::info;

use super::{
    LaneError,
    owner::LaneOwner,
    progress::{Lag, LagMeter, LaneKey, LaneProgress},
};
use crate::Tally;

/// How often the metrics are told how far the owners are.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);

/// A task for each lane that is this process's own. A lane that comes back is owned again only once its former owner has
/// ended, so that there are never two of a lane in one process.
pub(super) struct Owners {
    tally: Tally,
    tasks: JoinSet<Result<(), LaneError>>,
    running: BTreeMap<LaneKey, Running>,
    lanes: BTreeMap<Id, LaneKey>,
    topics: BTreeMap<Topic, ProposalId>,
    lag: LagMeter,
}

struct Running {
    stop: AbortHandle,
    progress: Arc<LaneProgress>,
}

impl Owners {
    pub(super) fn new(tally: Tally) -> Self {
        Self {
            tally,
            tasks: JoinSet::new(),
            running: BTreeMap::new(),
            lanes: BTreeMap::new(),
            topics: BTreeMap::new(),
            lag: LagMeter::default(),
        }
    }

    /// Owns what is assigned until the log is closed or nobody assigns any more.
    pub(super) async fn own(&mut self, mut assigned: watch::Receiver<Assigned>) -> Result<(), LaneError> {
        let mut book = self.tally.proposals.watch();
        let mut disabled = self.tally.disabled.watch();
        let mut tick = time::interval(PROGRESS_INTERVAL);
        tick.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
        loop {
            let wanted = assigned.borrow_and_update().clone();
            book.mark_unchanged();
            disabled.mark_unchanged();
            self.reconcile(&wanted);
            tokio::select! {
                Some(ended) = self.tasks.join_next_with_id() => self.note_end(ended)?,
                changed = assigned.changed() => if changed.is_err() { return Ok(()) },
                // A lane may be assigned before its proposal is in the book here.
                changed = book.changed() => if changed.is_err() { return Ok(()) },
                // The sender lives as long as the tally does.
                _ = disabled.changed() => {}
                _ = tick.tick() => self.note_progress(),
            }
        }
    }

    /// Stops every owner and waits until each has ended.
    pub(super) async fn stop(&mut self) {
        self.tasks.shutdown().await;
        self.running.clear();
        self.lanes.clear();
        self.tally.metrics.lanes_owned.set(0);
        self.tally.metrics.note_lag(Lag::default().verdicts, Lag::default().oldest);
    }

    fn reconcile(&mut self, assigned: &Assigned) {
        let book = self.tally.proposals.book();
        if self.topics.len() != book.proposals().len() {
            self.topics = book.proposals().keys().map(|proposal| (Topic::verdicts(*proposal), *proposal)).collect();
        }
        let known = assigned.iter().filter_map(|(topic, partition)| {
            let lane = u16::try_from(*partition).ok()?;
            let proposal = *self.topics.get(topic)?;
            (!self.tally.disabled.is_disabled(proposal)).then_some((proposal, Lane(lane)))
        });
        let wanted: BTreeSet<LaneKey> = known.collect();
        for (lane, running) in &self.running {
            if !wanted.contains(lane) {
                // At whatever await it is: that is one of the crashes it is made for.
                running.stop.abort();
            }
        }
        for (proposal, lane) in wanted {
            let Some(decisions) = book.get(proposal) else { continue };
            if self.running.contains_key(&(proposal, lane)) || lane.0 >= decisions.definition.lanes() {
                continue;
            }
            let progress = Arc::new(LaneProgress::default());
            let owner = LaneOwner::new(&self.tally, decisions.definition.clone(), lane, progress.clone());
            let stop = self.tasks.spawn(owner.run());
            self.lanes.insert(stop.id(), (proposal, lane));
            self.running.insert((proposal, lane), Running { stop, progress });
        }
        self.tally.metrics.lanes_owned.set(i64::try_from(self.running.len()).unwrap_or(i64::MAX));
    }

    /// Makes room for the lane's next owner. One that failed disables its proposal: lanes are worth something together.
    fn note_end(&mut self, ended: Result<(Id, Result<(), LaneError>), JoinError>) -> Result<(), LaneError> {
        let (id, result) = match ended {
            Ok(ended) => ended,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(stopped) => (stopped.id(), Ok(())),
        };
        if let Some((proposal, lane)) = self.lanes.remove(&id) {
            self.running.remove(&(proposal, lane));
            info!(%proposal, lane = lane.0, "the lane is no longer owned by this process");
        }
        match result {
            Ok(()) => Ok(()),
            Err(error) => match (error.proposal(), error.fault()) {
                (Some(proposal), Some(fault)) => {
                    self.disable(proposal, fault, &error);
                    Ok(())
                }
                (_, None) | (None, Some(_)) => Err(error),
            },
        }
    }

    fn disable(&self, proposal: ProposalId, fault: Fault, error: &LaneError) {
        let book = self.tally.proposals.book();
        let is_final = book.get(proposal).is_some_and(|decisions| decisions.result.is_some());
        let is_retired = is_final && matches!(fault, Fault::Missing | Fault::Damaged);
        let fault = if is_retired { Fault::Retired } else { fault };
        self.tally.disabled.disable(proposal, fault, error);
    }

    fn note_progress(&mut self) {
        let ends = &self.tally.ends;
        let mut last = None;
        let lanes = self.running.iter().map(|(key, running)| {
            let (proposal, lane) = key;
            // Lanes of one proposal follow each other.
            let (_, known) = last.take().filter(|(of, _)| of == proposal).unwrap_or_else(|| {
                let known = ends.lanes_known(*proposal).map(|read| read.value);
                (*proposal, known)
            });
            let end = known.as_ref().and_then(|known| known.get(usize::from(lane.0)).copied());
            last = Some((*proposal, known));
            (*key, &*running.progress, end)
        });
        let Lag { verdicts, oldest } = self.lag.measure(lanes);
        self.tally.metrics.note_lag(verdicts, oldest);
    }
}

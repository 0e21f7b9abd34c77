//! What the totals of a proposal come to, computed once and shared by all readers.
//!
//! Adding up lanes and running off a million distinct rankings takes seconds, a handful of slots microseconds. So what
//! was computed is kept until the store changes, and after a computation that took t the next one begins at the earliest
//! 4 t later: no proposal takes more than a fifth of a core, and small ones are always current. It runs on a blocking
//! thread, once for whoever waits. When the store announces nothing, the lanes' positions are looked at once a second:
//! as long as they are the same, so are the totals.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::future::try_join_all;
use pnyx_backbone::{
    blocking::{RuntimeEnded, blocking},
    clock, drain,
    log::LogIdentity,
    shutdown::Shutdown,
    store::{LaneCounters, LanePosition, ProposalView, Store, StoreError},
};
use pnyx_core::{
    counting::{CountingRules, Totals},
    decisions::ProposalDecisions,
    id::{Lane, ProposalId},
    lifecycle::{Evidence, Phase, phase},
    outcome::{Outcome, outcome},
    proposal::Definition,
};
use serde::Serialize;
use tokio::{runtime::Handle, time::Instant};

use super::{
    ApiState,
    conditional::{to_json, version},
    error::ApiError,
    tally_json::TallyDto,
};
use crate::{
    ReadError, Tally, lock,
    recent::{Read, Recent},
};

/// Pause after a computation, in multiples of what it took.
const REST_FACTOR: u32 = 4;

/// How long totals are taken for current without a look at the store.
const UNCHECKED_MAX: Duration = Duration::from_secs(1);

/// Age above which a tally is called stale: twice what it takes to notice a change that was not announced.
pub(super) const STALE_AGE: Duration = Duration::from_secs(2);

/// The totals of one instant and what they come to.
#[derive(Debug)]
pub(super) struct Counted {
    /// Standing ballots.
    pub(super) ballots: u64,
    /// Records by what became of them.
    pub(super) counters: LaneCounters,
    /// Scores, quorum, decision.
    pub(super) outcome: Outcome,
    /// Where the store has each lane, of whatever log.
    positions: Vec<Option<LanePosition>>,
    /// Each lane's next offset in the store; 0 where it has nothing of this log.
    pub(super) next_offsets: Vec<u64>,
    /// The highest next offset that each lane had when the figures above were counted.
    pub(super) counted_offsets: Vec<u64>,
    /// The store's version before the totals were read.
    store_version: Option<u64>,
    rest_until: Instant,
}

/// A proposal's tally as a document.
#[derive(Debug, Clone)]
pub(super) struct Snapshot {
    /// Where the proposal is.
    pub(super) phase: Phase,
    /// The tally.
    pub(super) tally: TallyDto,
    /// Stands for all of the above but the tally's age; survives restarts and is the same on every replica.
    pub(super) version: String,
}

/// The last computation of each proposal.
#[derive(Debug)]
pub(super) struct Snapshots {
    shutdown: Shutdown,
    by_proposal: Mutex<BTreeMap<ProposalId, Arc<Recent<Arc<Counted>>>>>,
}

impl Snapshots {
    pub(super) fn new(tally: &Tally) -> Self {
        Self { shutdown: tally.shutdown.clone(), by_proposal: Mutex::default() }
    }

    fn of(&self, id: ProposalId) -> Arc<Recent<Arc<Counted>>> {
        let mut by_proposal = lock(&self.by_proposal);
        by_proposal.entry(id).or_insert_with(|| Recent::new(Duration::ZERO, self.shutdown.clone())).clone()
    }
}

impl ApiState {
    /// The tally and phase now, or as they were last.
    pub(super) async fn snapshot(&self, id: ProposalId, decisions: &ProposalDecisions) -> Result<Snapshot, ApiError> {
        let counted = self.counted(id, &decisions.definition).await?;
        let phase = self.phase_with(id, decisions, Some(&counted.value)).await;
        let ends = self.0.tally.ends.lanes(id).await?;
        let mut tally = TallyDto::new(decisions.definition.proposal().parts(), &counted.value, &ends.value);
        // Before the age is put in: a reader has the same tally as long as its figures are the same.
        let version =
            version(to_json(&VersionedDto { id: id.to_string(), phase: phase.name(), tally: &tally }).as_bytes());
        let is_stale = counted.age().max(ends.age()) > STALE_AGE;
        if is_stale {
            self.0.tally.metrics.stale_answers.inc();
        }
        tally.date(counted.as_of, is_stale);
        Ok(Snapshot { phase, tally, version })
    }

    /// The phase now.
    pub(super) async fn phase(&self, id: ProposalId, decisions: &ProposalDecisions) -> Phase {
        let counted = match Self::may_drain(decisions) {
            true => self.counted(id, &decisions.definition).await.ok(),
            false => None,
        };
        self.phase_with(id, decisions, counted.as_ref().map(|read| &*read.value)).await
    }

    /// Whether only log and store can say where the proposal is.
    fn may_drain(decisions: &ProposalDecisions) -> bool {
        decisions.cut.is_some() && decisions.result.is_none() && decisions.dispute.is_none()
    }

    async fn phase_with(&self, id: ProposalId, decisions: &ProposalDecisions, counted: Option<&Counted>) -> Phase {
        let is_drained = match counted.filter(|_| Self::may_drain(decisions)) {
            Some(counted) => self.is_drained(decisions, counted).await,
            None => false,
        };
        let evidence = Evidence {
            has_cut: decisions.cut.is_some(),
            is_drained,
            is_disputed: self.0.tally.proposals.book().is_disputed(id),
            has_result: decisions.result.is_some(),
        };
        phase(decisions.definition.proposal().window(), clock::now(), evidence)
    }

    /// Whether the tally holds all that lies below the cut; `false` as long as the log does not say.
    async fn is_drained(&self, decisions: &ProposalDecisions, counted: &Counted) -> bool {
        let Some(cut) = &decisions.cut else { return false };
        let known = self.0.tally.ends.verification_known(&decisions.definition).await;
        let Ok(verification) = known else { return false };
        let log = self.0.tally.log.identity();
        let ends = &verification.value.lane_ends;
        let lanes = counted.positions.iter().zip(ends);
        ends.len() == counted.positions.len()
            && drain::is_verified(cut, &verification.value.committed)
            && verification.value.deferred == 0
            && lanes.into_iter().all(|(position, end)| drain::has_lane_reached(*position, log, *end, true))
    }

    async fn counted(&self, id: ProposalId, definition: &Arc<Definition>) -> Result<Read<Arc<Counted>>, ReadError> {
        let changes = self.0.tally.store.changes(id).ok();
        let is_current = |read: &Read<Arc<Counted>>| {
            let version = changes.as_ref().map(|version| *version.borrow());
            let is_unchanged = version.is_some() && version == read.value.store_version;
            Instant::now() < read.value.rest_until || (is_unchanged && read.age() <= UNCHECKED_MAX)
        };
        let read = |last: Option<Arc<Counted>>| count(self.0.tally.clone(), id, definition.clone(), last);
        self.0.snapshots.of(id).get(is_current, read).await
    }
}

/// The part of a document that its version stands for.
#[derive(Serialize)]
struct VersionedDto<'a> {
    id: String,
    phase: &'static str,
    tally: &'a TallyDto,
}

/// The totals of now; the last ones if they are still true.
async fn count(
    tally: Tally,
    id: ProposalId,
    definition: Arc<Definition>,
    last: Option<Arc<Counted>>,
) -> Result<Arc<Counted>, ReadError> {
    let store_version = tally.store.changes(id).ok().map(|version| *version.borrow());
    if let Some(last) = &last
        && store_version.is_some()
        && last.store_version == store_version
        && positions(&tally.store, id, definition.lanes()).await? == last.positions
    {
        return Ok(last.clone());
    }
    let runtime = Handle::current();
    let counting = blocking(move || {
        let started = Instant::now();
        let view = runtime.block_on(tally.store.view(id))?;
        let mut counted = add_up(view, &definition, tally.log.identity(), last.as_deref());
        counted.store_version = store_version;
        counted.rest_until = Instant::now() + started.elapsed() * REST_FACTOR;
        Ok(Arc::new(counted))
    });
    counting.await.unwrap_or_else(|RuntimeEnded| Err(ReadError::Slow))
}

async fn positions(store: &Store, id: ProposalId, lanes: u16) -> Result<Vec<Option<LanePosition>>, StoreError> {
    try_join_all((0..lanes).map(|lane| store.lane_position(id, Lane(lane)))).await
}

/// What a view comes to. Where the store lost something that was counted before, the figures stay as they were and the
/// lanes are shown as behind: a tally does not fall.
fn add_up(view: Option<ProposalView>, definition: &Definition, log: LogIdentity, last: Option<&Counted>) -> Counted {
    let rules = CountingRules::of(definition.proposal());
    let view = view.unwrap_or_else(|| ProposalView {
        totals: Totals::empty(rules),
        counters: LaneCounters::default(),
        positions: vec![None; definition.lanes().into()],
    });
    let ProposalView { mut totals, mut counters, positions } = view;
    let next_offset = |position: &Option<LanePosition>| {
        position.filter(|position| position.log == log).map_or(0, |position| position.next_offset)
    };
    let mut next_offsets: Vec<u64> = positions.iter().map(next_offset).collect();
    let (store_version, rest_until) = (None, Instant::now());
    let is_lost = |last: &&Counted| next_offsets.iter().zip(&last.counted_offsets).any(|(now, then)| now < then);
    if let Some(last) = last.filter(is_lost) {
        return Counted {
            ballots: last.ballots,
            counters: last.counters.clone(),
            outcome: last.outcome.clone(),
            positions,
            next_offsets,
            counted_offsets: last.counted_offsets.clone(),
            store_version,
            rest_until,
        };
    }
    if positions.iter().flatten().any(|position| position.log != log) {
        // Votes of another log are in the sums. Nothing of this log can be told from them.
        (totals, counters) = (Totals::empty(rules), LaneCounters::default());
        next_offsets.fill(0);
    }
    Counted {
        ballots: totals.ballots,
        counters,
        outcome: outcome(&definition.proposal().parts().voting, rules, &totals),
        positions,
        counted_offsets: next_offsets.clone(),
        next_offsets,
        store_version,
        rest_until,
    }
}

//! What the totals of a proposal come to, computed once and shared by all readers.
//!
//! Adding up lanes and running off a million distinct rankings takes seconds, a handful of slots microseconds. So what
//! was computed is kept until the store changes, and after a computation that took t the next one begins at the earliest
//! 4 t later: no proposal takes more than a fifth of a core, and small ones are always current. It runs on a blocking
//! thread, once for whoever waits.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Instant,
};

use pnyx_backbone::{
    clock,
    log::Topic,
    store::{LaneCounters, ProposalView},
};
use pnyx_core::{
    counting::{CountingRules, Totals},
    decisions::ProposalDecisions,
    id::ProposalId,
    lifecycle::Phase,
    outcome::{Outcome, outcome},
    proposal::Definition,
};
use serde::Serialize;
use tokio::{runtime::Handle, task};

use super::{
    ApiState,
    conditional::{to_json, version},
    error::ApiError,
    tally_json::TallyDto,
};
use crate::{Evidence, Tally, lock, phase};

/// Pause after a computation, in multiples of what it took.
const REST_FACTOR: u32 = 4;

/// The totals of one instant and what they come to.
#[derive(Debug, Clone)]
pub(super) struct Counted {
    /// Standing ballots.
    pub(super) ballots: u64,
    /// Records by what became of them.
    pub(super) counters: LaneCounters,
    /// Scores, quorum, decision.
    pub(super) outcome: Outcome,
    /// Each lane's next offset in the store.
    pub(super) next_offsets: Vec<u64>,
    /// The highest next offset that each lane had when the figures above were counted.
    counted_offsets: Vec<u64>,
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
    /// Stands for all of the above; survives restarts and is the same on every replica.
    pub(super) version: String,
}

/// The last computation of each proposal, each behind a lock that is held while it is repeated.
#[derive(Debug, Default)]
pub(super) struct Snapshots {
    by_proposal: Mutex<BTreeMap<ProposalId, Slot>>,
}

type Slot = Arc<tokio::sync::Mutex<Option<Arc<Counted>>>>;

impl ApiState {
    /// The tally and phase now.
    pub(super) async fn snapshot(&self, id: ProposalId, decisions: &ProposalDecisions) -> Result<Snapshot, ApiError> {
        let counted = self.counted(id, &decisions.definition).await?;
        let phase = self.phase(id, decisions).await?;
        // After the totals, so that a lane is never shown further than its end.
        let ends = self.0.tally.ends(&Topic::verdicts(id)).await?;
        let tally = TallyDto::new(decisions.definition.proposal().parts(), &counted, &ends);
        let version =
            version(to_json(&VersionedDto { id: id.to_string(), phase: phase.name(), tally: &tally }).as_bytes());
        Ok(Snapshot { phase, tally, version })
    }

    /// The phase now.
    pub(super) async fn phase(&self, id: ProposalId, decisions: &ProposalDecisions) -> Result<Phase, ApiError> {
        let has_result = decisions.result.is_some();
        let is_drained = match &decisions.cut {
            Some(cut) if !has_result => self.0.tally.is_drained(cut).await?,
            Some(_) | None => has_result,
        };
        let evidence = Evidence {
            has_cut: decisions.cut.is_some(),
            is_drained,
            is_disputed: (self.0.recount.is_disputed)(id),
            has_result,
        };
        Ok(phase(decisions.definition.proposal().window(), clock::now(), evidence))
    }

    async fn counted(&self, id: ProposalId, definition: &Arc<Definition>) -> Result<Arc<Counted>, ApiError> {
        let slot = lock(&self.0.snapshots.by_proposal).entry(id).or_default().clone();
        let mut last = slot.lock().await;
        let store_version = self.0.tally.store.changes(id).ok().map(|version| *version.borrow());
        if let Some(last) = &*last {
            let is_current = store_version.is_some() && last.store_version == store_version;
            if is_current || Instant::now() < last.rest_until {
                return Ok(last.clone());
            }
        }
        let (tally, definition, shown) = (self.0.tally.clone(), definition.clone(), last.clone());
        let runtime = Handle::current();
        let work = task::spawn_blocking(move || runtime.block_on(count(&tally, id, &definition, shown, store_version)));
        let counted = match work.await {
            Ok(counted) => Arc::new(counted?),
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => return Err(ApiError::Busy { what: "readers of a process that ends" }),
            },
        };
        *last = Some(counted.clone());
        Ok(counted)
    }
}

/// The part of a document that its version stands for.
#[derive(Serialize)]
struct VersionedDto<'a> {
    id: String,
    phase: &'static str,
    tally: &'a TallyDto,
}

async fn count(
    tally: &Tally,
    id: ProposalId,
    definition: &Definition,
    shown: Option<Arc<Counted>>,
    store_version: Option<u64>,
) -> Result<Counted, ApiError> {
    let started = Instant::now();
    let rules = CountingRules::of(definition.proposal());
    let view = tally.store.view(id).await?.unwrap_or_else(|| ProposalView {
        totals: Totals::empty(rules),
        counters: LaneCounters::default(),
        next_offsets: vec![0; definition.lanes().into()],
    });
    let ProposalView { totals, counters, next_offsets } = view;
    let has_lost = |shown: &Counted| next_offsets.iter().zip(&shown.counted_offsets).any(|(now, then)| now < then);
    if let Some(shown) = shown.filter(|shown| has_lost(shown)) {
        // The store lost a lane and its owner rebuilds it: show it as behind, not a tally that falls.
        let rest_until = Instant::now() + started.elapsed() * REST_FACTOR;
        return Ok(Counted { next_offsets, store_version, rest_until, ..Counted::clone(&shown) });
    }
    let outcome = outcome(&definition.proposal().parts().voting, rules, &totals);
    Ok(Counted {
        ballots: totals.ballots,
        counters,
        outcome,
        counted_offsets: next_offsets.clone(),
        next_offsets,
        store_version,
        rest_until: Instant::now() + started.elapsed() * REST_FACTOR,
    })
}

//! The store in this process's memory.
//!
//! Each lane has a lock of its own, held for a batch or a read and never across an await. Reads that span lanes hold
//! all of them at once, so what they return was true at one instant.
//!
//! A voter costs about 300 bytes (`benches/store.rs`, one million single-choice voters): the standing ballot once, and
//! its place in the leaderboard.

mod lane;
mod merge;

use std::{
    collections::BTreeMap,
    fmt,
    ops::Bound,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use pnyx_core::{
    choice::Choice,
    counting::{CountingRules, Totals},
    id::{Lane, ProposalId, Voter},
    power::Power,
    tally::StandingBallot,
};
use tokio::sync::watch;

use self::lane::LaneData;
use super::{ApplyOutcome, LaneBatch, LaneCounters, LanePosition, LaneStamp, LaneState, ProposalView, StoreError};

/// Proposals in memory. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore {
    proposals: Arc<RwLock<BTreeMap<ProposalId, Arc<ProposalData>>>>,
}

struct ProposalData {
    rules: CountingRules,
    lanes: Vec<RwLock<LaneData>>,
    version: watch::Sender<u64>,
}

impl fmt::Debug for ProposalData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProposalData").field("rules", &self.rules).finish_non_exhaustive()
    }
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    pub(super) fn register(&self, proposal: ProposalId, rules: CountingRules, lanes: u16) -> Result<(), StoreError> {
        let mut proposals = self.proposals.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = proposals.get(&proposal) {
            let same = known.rules == rules && known.lanes.len() == usize::from(lanes);
            return if same { Ok(()) } else { Err(StoreError::RegisteredOtherwise { proposal }) };
        }
        let lanes = (0..lanes).map(|_| RwLock::new(LaneData::new(rules))).collect();
        proposals.insert(proposal, Arc::new(ProposalData { rules, lanes, version: watch::Sender::new(0) }));
        Ok(())
    }

    pub(super) fn apply(&self, proposal: ProposalId, lane: Lane, batch: LaneBatch) -> Result<ApplyOutcome, StoreError> {
        let data = self.proposal(proposal)?;
        let outcome = data.lane_mut(proposal, lane)?.apply(batch);
        data.note_change(outcome);
        Ok(outcome)
    }

    pub(super) fn replace(
        &self,
        proposal: ProposalId,
        lane: Lane,
        seen: Option<LanePosition>,
        state: LaneState,
    ) -> Result<ApplyOutcome, StoreError> {
        let data = self.proposal(proposal)?;
        let outcome = data.lane_mut(proposal, lane)?.replace(seen, state);
        data.note_change(outcome);
        Ok(outcome)
    }

    pub(super) fn lane_position(&self, proposal: ProposalId, lane: Lane) -> Result<Option<LanePosition>, StoreError> {
        Ok(self.proposal(proposal)?.lane(proposal, lane)?.position())
    }

    pub(super) fn lane_stamps(&self, proposal: ProposalId) -> Result<Vec<Option<LaneStamp>>, StoreError> {
        Ok(self.proposal(proposal)?.read_all().iter().map(|lane| lane.stamp()).collect())
    }

    pub(super) fn drop_lane(&self, proposal: ProposalId, lane: Lane) -> Result<(), StoreError> {
        let data = self.proposal(proposal)?;
        data.lane_mut(proposal, lane)?.lose();
        data.note_change(ApplyOutcome::Applied);
        Ok(())
    }

    pub(super) fn flush(&self) {
        let proposals: Vec<_> = self.read().values().cloned().collect();
        for data in proposals {
            for lane in &data.lanes {
                lane.write().unwrap_or_else(PoisonError::into_inner).lose();
            }
            data.note_change(ApplyOutcome::Applied);
        }
    }

    pub(super) fn view(&self, proposal: ProposalId) -> Option<ProposalView> {
        let data = self.proposal(proposal).ok()?;
        let mut totals = Totals::empty(data.rules);
        let mut counters = LaneCounters::default();
        let mut positions = Vec::with_capacity(data.lanes.len());
        for lane in &data.read_all() {
            totals.merge(lane.totals());
            counters.merge(lane.counters());
            positions.push(lane.position());
        }
        Some(ProposalView { totals, counters, positions })
    }

    pub(super) fn standing_ballot(
        &self,
        proposal: ProposalId,
        voter: Voter,
    ) -> Result<Option<StandingBallot>, StoreError> {
        let data = self.proposal(proposal)?;
        let lane_count = u16::try_from(data.lanes.len()).expect("registered with a 16-bit number of lanes");
        let lane = data.lane(proposal, Lane::of_voter(voter, lane_count))?;
        Ok(lane.standing().get(&voter).cloned())
    }

    pub(super) fn standing_after(
        &self,
        proposal: ProposalId,
        after: Option<Voter>,
        limit: usize,
    ) -> Result<Vec<(Voter, StandingBallot)>, StoreError> {
        let data = self.proposal(proposal)?;
        let lanes = data.read_all();
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let by_lane = lanes.iter().map(|lane| lane.standing().range((start, Bound::Unbounded))).collect();
        let merged = merge::smallest(by_lane, limit, |(voter, _)| **voter);
        Ok(merged.into_iter().map(|(voter, ballot)| (*voter, ballot.clone())).collect())
    }

    pub(super) fn leaderboard(
        &self,
        proposal: ProposalId,
        after: Option<(Power, Voter)>,
        limit: usize,
    ) -> Result<Vec<(Voter, Power, Choice)>, StoreError> {
        let data = self.proposal(proposal)?;
        let lanes = data.read_all();
        let by_lane = lanes.iter().map(|lane| lane.by_power_after(after)).collect();
        let merged = merge::smallest(by_lane, limit, |(rank, _)| *rank);
        Ok(merged.into_iter().map(|(rank, ballot)| (rank.voter(), ballot.power, ballot.choice.clone())).collect())
    }

    pub(super) fn load_lane(&self, proposal: ProposalId, lane: Lane) -> Result<Option<LaneState>, StoreError> {
        Ok(self.proposal(proposal)?.lane(proposal, lane)?.state())
    }

    pub(super) fn changes(&self, proposal: ProposalId) -> Result<watch::Receiver<u64>, StoreError> {
        Ok(self.proposal(proposal)?.version.subscribe())
    }

    fn proposal(&self, proposal: ProposalId) -> Result<Arc<ProposalData>, StoreError> {
        self.read().get(&proposal).cloned().ok_or(StoreError::UnknownProposal { proposal })
    }

    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<ProposalId, Arc<ProposalData>>> {
        self.proposals.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ProposalData {
    fn lane(&self, proposal: ProposalId, lane: Lane) -> Result<RwLockReadGuard<'_, LaneData>, StoreError> {
        let data = self.lanes.get(usize::from(lane.0)).ok_or(StoreError::UnknownLane { proposal, lane })?;
        Ok(data.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn lane_mut(&self, proposal: ProposalId, lane: Lane) -> Result<RwLockWriteGuard<'_, LaneData>, StoreError> {
        let data = self.lanes.get(usize::from(lane.0)).ok_or(StoreError::UnknownLane { proposal, lane })?;
        Ok(data.write().unwrap_or_else(PoisonError::into_inner))
    }

    /// All lanes at one instant. Writers hold one lane and wait for none, so this cannot deadlock with them.
    fn read_all(&self) -> Vec<RwLockReadGuard<'_, LaneData>> {
        self.lanes.iter().map(|lane| lane.read().unwrap_or_else(PoisonError::into_inner)).collect()
    }

    fn note_change(&self, outcome: ApplyOutcome) {
        match outcome {
            ApplyOutcome::Applied => self.version.send_modify(|version| *version += 1),
            ApplyOutcome::Fenced { .. } => {}
        }
    }
}

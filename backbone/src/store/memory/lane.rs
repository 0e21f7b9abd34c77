//! One lane in memory.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
};

use pnyx_core::{
    counting::{CountingRules, Totals},
    id::Voter,
    power::Power,
    tally::StandingBallot,
};

use crate::store::{
    ApplyOutcome, LaneBatch, LaneCounters, LanePosition, LaneStamp, LaneState, PLACE_BLOCK_WORDS, PlaceBlock,
};

/// A lane's part of the store.
pub(super) struct LaneData {
    position: Option<LanePosition>,
    /// Writes of the lane so far, those included that were lost.
    writes: u64,
    totals: Totals,
    counters: LaneCounters,
    standing: BTreeMap<Voter, StandingBallot>,
    by_power: BTreeSet<Rank>,
    places: BTreeMap<(u32, u64), [u64; PLACE_BLOCK_WORDS]>,
    rules: CountingRules,
}

/// A place in the leaderboard: by power descending, then voter ascending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank(Reverse<Power>, Voter);

impl Rank {
    fn new(power: Power, voter: Voter) -> Self {
        Self(Reverse(power), voter)
    }

    /// Whose place it is.
    pub(super) const fn voter(&self) -> Voter {
        self.1
    }
}

impl LaneData {
    /// A lane of which nothing is known.
    pub(super) fn new(rules: CountingRules) -> Self {
        Self {
            position: None,
            writes: 0,
            totals: Totals::empty(rules),
            counters: LaneCounters::default(),
            standing: BTreeMap::new(),
            by_power: BTreeSet::new(),
            places: BTreeMap::new(),
            rules,
        }
    }

    /// Adds a batch if the lane stands where it starts and the batch does not take it past a cut.
    pub(super) fn apply(&mut self, batch: LaneBatch) -> ApplyOutcome {
        let LaneBatch { log, from_offset, next_offset, below_cut, delta, counters, standing, places } = batch;
        let stored = self.position.unwrap_or(LanePosition { log, next_offset: 0, below_cut: false });
        if (stored.log, stored.next_offset) != (log, from_offset) || (stored.below_cut && !below_cut) {
            return self.fenced();
        }
        self.totals.apply(&delta);
        self.counters.merge(&counters);
        for (voter, ballot) in standing {
            self.stand(voter, ballot);
        }
        self.note_places(places);
        self.position = Some(LanePosition { log, next_offset, below_cut });
        self.writes += 1;
        ApplyOutcome::Applied
    }

    /// Becomes `state` if the lane stands where the writer saw it.
    pub(super) fn replace(&mut self, seen: Option<LanePosition>, state: LaneState) -> ApplyOutcome {
        if self.position != seen {
            return self.fenced();
        }
        let LaneState { position, totals, counters, standing, places } = state;
        let writes = self.writes + 1;
        *self = Self { position: Some(position), writes, totals, counters, ..Self::new(self.rules) };
        for (voter, ballot) in standing {
            self.stand(voter, ballot);
        }
        self.note_places(places);
        ApplyOutcome::Applied
    }

    /// Forgets everything but how often it was written.
    pub(super) fn lose(&mut self) {
        *self = Self { writes: self.writes, ..Self::new(self.rules) };
    }

    pub(super) fn stamp(&self) -> Option<LaneStamp> {
        self.position.map(|position| LaneStamp { position, write: self.writes })
    }

    pub(super) const fn position(&self) -> Option<LanePosition> {
        self.position
    }

    pub(super) const fn totals(&self) -> &Totals {
        &self.totals
    }

    pub(super) const fn counters(&self) -> &LaneCounters {
        &self.counters
    }

    /// Standing ballots by voter.
    pub(super) const fn standing(&self) -> &BTreeMap<Voter, StandingBallot> {
        &self.standing
    }

    /// Standing ballots by rank, after a place in the leaderboard.
    pub(super) fn by_power_after(
        &self,
        after: Option<(Power, Voter)>,
    ) -> impl Iterator<Item = (Rank, &StandingBallot)> {
        let start = after.map_or(Bound::Unbounded, |(power, voter)| Bound::Excluded(Rank::new(power, voter)));
        let ranks = self.by_power.range((start, Bound::Unbounded));
        ranks.filter_map(|rank| self.standing.get(&rank.voter()).map(|ballot| (*rank, ballot)))
    }

    /// All of it; `None` if nothing is known of it.
    pub(super) fn state(&self) -> Option<LaneState> {
        let places = self.places.iter();
        Some(LaneState {
            position: self.position?,
            totals: self.totals.clone(),
            counters: self.counters.clone(),
            standing: self.standing.iter().map(|(voter, ballot)| (*voter, ballot.clone())).collect(),
            places: places
                .map(|((partition, block), bits)| PlaceBlock { partition: *partition, block: *block, bits: *bits })
                .collect(),
        })
    }

    fn note_places(&mut self, places: Vec<PlaceBlock>) {
        for PlaceBlock { partition, block, bits } in places {
            self.places.insert((partition, block), bits);
        }
    }

    fn stand(&mut self, voter: Voter, ballot: StandingBallot) {
        let power = ballot.power;
        let previous = self.standing.insert(voter, ballot);
        if let Some(previous) = previous.filter(|previous| previous.power != power) {
            self.by_power.remove(&Rank::new(previous.power, voter));
        }
        self.by_power.insert(Rank::new(power, voter));
    }

    fn fenced(&self) -> ApplyOutcome {
        ApplyOutcome::Fenced { stored_next_offset: self.position.map_or(0, |position| position.next_offset) }
    }
}

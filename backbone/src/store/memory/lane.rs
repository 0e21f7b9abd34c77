//! One lane in memory.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, VecDeque},
    ops::Bound,
};

use pnyx_core::{
    counting::{CountingRules, Totals},
    id::Voter,
    power::Power,
    tally::StandingBallot,
};

use crate::store::{ApplyOutcome, LaneBatch, LaneCounters, LanePosition, LaneState, RejectedEntry};

/// A lane's part of the store.
pub(super) struct LaneData {
    position: Option<LanePosition>,
    totals: Totals,
    counters: LaneCounters,
    standing: BTreeMap<Voter, StandingBallot>,
    by_power: BTreeSet<Rank>,
    rejections: Rejections,
    rules: CountingRules,
}

/// A place in the leaderboard: by power descending, then voter ascending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank(Reverse<Power>, Voter);

/// The newest rejections that claim a voter, found by that voter.
#[derive(Default)]
struct Rejections {
    by_voter: BTreeMap<(Voter, u64), RejectedEntry>,
    order: VecDeque<(Voter, u64)>,
    next: u64,
}

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
            totals: Totals::empty(rules),
            counters: LaneCounters::default(),
            standing: BTreeMap::new(),
            by_power: BTreeSet::new(),
            rejections: Rejections::default(),
            rules,
        }
    }

    /// Adds a batch if the lane stands where it starts and the batch does not take it past a cut.
    pub(super) fn apply(&mut self, batch: LaneBatch, rejected_max: usize) -> ApplyOutcome {
        let LaneBatch { log, from_offset, next_offset, below_cut, delta, counters, standing, rejected } = batch;
        let stored = self.position.unwrap_or(LanePosition { log, next_offset: 0, below_cut: false });
        if (stored.log, stored.next_offset) != (log, from_offset) || (stored.below_cut && !below_cut) {
            return self.fenced();
        }
        self.totals.apply(&delta);
        self.counters.merge(&counters);
        for (voter, ballot) in standing {
            self.stand(voter, ballot);
        }
        self.rejections.extend(rejected, rejected_max);
        self.position = Some(LanePosition { log, next_offset, below_cut });
        ApplyOutcome::Applied
    }

    /// Becomes `state` if the lane stands where the writer saw it.
    pub(super) fn replace(
        &mut self,
        seen: Option<LanePosition>,
        state: LaneState,
        rejected_max: usize,
    ) -> ApplyOutcome {
        if self.position != seen {
            return self.fenced();
        }
        let LaneState { position, totals, counters, standing, rejected } = state;
        *self = Self { position: Some(position), totals, counters, ..Self::new(self.rules) };
        for (voter, ballot) in standing {
            self.stand(voter, ballot);
        }
        self.rejections.extend(rejected, rejected_max);
        ApplyOutcome::Applied
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

    /// The kept rejections that claim this voter, the oldest first.
    pub(super) fn rejections_of(&self, voter: Voter) -> impl Iterator<Item = &RejectedEntry> {
        self.rejections.by_voter.range((voter, 0)..=(voter, u64::MAX)).map(|(_, entry)| entry)
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

impl Rejections {
    /// Keeps the newest `entries_max` entries that claim a voter; nobody could ask for the others.
    fn extend(&mut self, entries: Vec<RejectedEntry>, entries_max: usize) {
        for entry in entries {
            let Some(voter) = entry.claimed_voter else { continue };
            let key = (voter, self.next);
            self.next += 1;
            self.by_voter.insert(key, entry);
            self.order.push_back(key);
            if self.order.len() > entries_max
                && let Some(oldest) = self.order.pop_front()
            {
                self.by_voter.remove(&oldest);
            }
        }
    }
}

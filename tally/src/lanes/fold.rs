//! Folds verdicts of one lane into its tally and says what changed. No I/O.

use std::{collections::BTreeSet, sync::Arc};

use pnyx_backbone::{
    log::LogRecord,
    store::{LaneCounters, LaneState, PlaceBlock},
};
use pnyx_core::{
    choice::{ApprovalSet, Choice},
    counting::{CountingRules, Totals, TotalsDelta},
    id::{Lane, Voter},
    proposal::{Definition, VotingSystem},
    result::Cut,
    signature_check::SignatureCheck,
    tally::{Applied, LaneTally, StandingBallot},
    verdict::{CountingBallot, Ruling, Verdict},
    wire::{WireError, verdict},
};
use thiserror::Error;

use super::places::{BlockKey, PlaceSet};

/// A lane's verdicts below some offset, folded.
///
/// Memory (measured by `benches/apply.rs`): 223 bytes for each voter, in an ordered map; 32 bytes more for each weight of
/// a weighted choice; for ranked choice 88 bytes more for each distinct ranking; and a bit for each record in
/// [`PlaceSet`]. The in-memory store holds the standing ballots and rankings a second time.
pub(super) struct LaneFold {
    lane: Lane,
    lanes: u16,
    tally: LaneTally,
    taken: PlaceSet,
    counters: LaneCounters,
    next_offset: u64,
    cut: Option<Arc<Cut>>,
}

/// What a batch of verdicts changed.
pub(super) struct Changes {
    /// Change of the totals.
    pub(super) delta: TotalsDelta,
    /// Records of each kind, each place once.
    pub(super) counters: LaneCounters,
    /// Voters whose standing ballot is new or another, with the new one.
    pub(super) standing: Vec<(Voter, StandingBallot)>,
    /// Blocks of places that gained some, with all their bits.
    pub(super) places: Vec<PlaceBlock>,
    /// Verdicts that were skipped, by offset.
    pub(super) poison: Vec<(u64, Poison)>,
}

/// Why a record of the verdicts topic cannot be a verdict of its lane.
#[derive(Debug, Error)]
pub(super) enum Poison {
    /// Its bytes are not a verdict's.
    #[error("it cannot be read: {0}")]
    Unreadable(WireError),
    /// It is keyed to another lane, so that a voter's state would lie in two.
    #[error("it belongs to lane {}", .belongs_to.0)]
    WrongLane {
        /// Its lane.
        belongs_to: Lane,
    },
    /// No ballot of the proposal can choose this.
    #[error("its choice {choice} is not one of this proposal's")]
    ImpossibleChoice {
        /// The choice.
        choice: Choice,
    },
}

/// Why a lane's state from the store cannot be gone on from.
#[derive(Debug, Error, PartialEq, Eq)]
pub(super) enum Unfit {
    /// A voter of another lane, a choice that the proposal does not offer, no power, or a place that was not counted.
    #[error("it holds a ballot of {voter} that this lane cannot have")]
    Ballot {
        /// Whose.
        voter: Voter,
    },
    /// A voter has two standing ballots.
    #[error("it holds two ballots of {voter}")]
    TwoBallots {
        /// Whose.
        voter: Voter,
    },
    /// A block of places comes twice.
    #[error("it holds a block of places twice")]
    Places,
    /// The totals are not the sum of the standing ballots.
    #[error("its ballots do not add up to its totals")]
    Totals,
    /// As many records are counted as places are marked.
    #[error("its counters say {counted} records, its places {places}")]
    Counters {
        /// Sum of the counters.
        counted: u64,
        /// Places marked.
        places: u64,
    },
    /// It holds what must not count.
    #[error("it holds records at or above the cut")]
    BeyondCut,
}

impl LaneFold {
    /// A lane without verdicts that leaves out what lies at or above `cut`.
    pub(super) fn new(definition: &Definition, lane: Lane, cut: Option<Arc<Cut>>) -> Self {
        Self {
            lane,
            lanes: definition.lanes(),
            tally: LaneTally::new(CountingRules::of(definition.proposal())),
            taken: PlaceSet::default(),
            counters: LaneCounters::default(),
            next_offset: 0,
            cut,
        }
    }

    /// The fold that a store holds of this lane, if it can be one: everything in it has to add up.
    pub(super) fn from_state(
        definition: &Definition,
        lane: Lane,
        cut: Option<Arc<Cut>>,
        state: LaneState,
    ) -> Result<Self, Unfit> {
        let LaneState { position, totals, counters, standing, places } = state;
        let mut fold = Self { counters, next_offset: position.next_offset, ..Self::new(definition, lane, cut) };
        fold.taken = PlaceSet::from_blocks(places).ok_or(Unfit::Places)?;
        if fold.cut.as_ref().is_some_and(|cut| fold.taken.reaches(cut)) {
            return Err(Unfit::BeyondCut);
        }
        let (counted, places) =
            (fold.counters.counting + fold.counters.rejected.values().sum::<u64>(), fold.taken.len());
        if counted != places {
            return Err(Unfit::Counters { counted, places });
        }
        let rules = fold.tally.rules();
        let mut delta = TotalsDelta::empty(rules);
        for (voter, ballot) in standing {
            let StandingBallot { digest, signed_at_s, choice, power, place } = ballot;
            let is_possible = Lane::of_voter(voter, fold.lanes) == lane
                && is_choice_of(rules, &choice)
                && !power.is_zero()
                && fold.taken.contains(place);
            if !is_possible {
                return Err(Unfit::Ballot { voter });
            }
            // What proved the signature is not kept and has no weight.
            let check = SignatureCheck::Key;
            let ballot = CountingBallot { voter, digest, signed_at_s, choice, power, check };
            match fold.tally.apply(place, ballot, &mut delta) {
                Applied::First => {}
                Applied::Replaced | Applied::Repeated | Applied::Superseded => return Err(Unfit::TwoBallots { voter }),
            }
        }
        if *fold.tally.totals() == totals { Ok(fold) } else { Err(Unfit::Totals) }
    }

    /// The first offset that is not in it.
    pub(super) const fn next_offset(&self) -> u64 {
        self.next_offset
    }

    /// Records of each kind, each place once.
    pub(super) fn counters(&self) -> LaneCounters {
        self.counters.clone()
    }

    /// Every place in it.
    pub(super) fn places(&self) -> Vec<PlaceBlock> {
        self.taken.blocks()
    }

    /// Leaves out from now on what lies at or above the cut; `false` if such a verdict was taken before.
    pub(super) fn end_at(&mut self, cut: Arc<Cut>) -> bool {
        let is_below = !self.taken.reaches(&cut);
        self.cut = Some(cut);
        is_below
    }

    /// Standing ballots by voter.
    pub(super) fn standing(&self) -> Vec<(Voter, StandingBallot)> {
        self.tally.standing().iter().map(|(voter, ballot)| (*voter, ballot.clone())).collect()
    }

    /// What they add up to.
    pub(super) fn totals(&self) -> Totals {
        self.tally.totals().clone()
    }

    /// Takes the next verdicts of the lane.
    pub(super) fn take(&mut self, records: &[LogRecord]) -> Changes {
        let mut changes = Changes {
            delta: TotalsDelta::empty(self.tally.rules()),
            counters: LaneCounters::default(),
            standing: Vec::new(),
            places: Vec::new(),
            poison: Vec::new(),
        };
        let (mut changed, mut touched) = (BTreeSet::new(), BTreeSet::new());
        for record in records {
            match self.read(&record.value) {
                Ok(verdict) => changed.extend(self.take_one(verdict, &mut touched, &mut changes)),
                Err(poison) => changes.poison.push((record.offset, poison)),
            }
            self.next_offset = record.offset + 1;
        }
        self.counters.merge(&changes.counters);
        changes.places = self.taken.blocks_of(&touched);
        let standing = self.tally.standing();
        changes.standing =
            changed.into_iter().filter_map(|voter| Some((voter, standing.get(&voter)?.clone()))).collect();
        changes
    }

    /// The verdict, if it can be one of this lane.
    pub(super) fn read(&self, bytes: &[u8]) -> Result<Verdict, Poison> {
        let verdict = verdict::decode(bytes).map_err(Poison::Unreadable)?;
        let belongs_to = verdict.lane(self.lanes);
        if belongs_to != self.lane {
            return Err(Poison::WrongLane { belongs_to });
        }
        match &verdict.ruling {
            Ruling::Counts(ballot) if !is_choice_of(self.tally.rules(), &ballot.choice) => {
                Err(Poison::ImpossibleChoice { choice: ballot.choice.clone() })
            }
            Ruling::Counts(_) | Ruling::Rejected(_) => Ok(verdict),
        }
    }

    /// Takes one verdict; the voter whose standing ballot changed, if one did.
    fn take_one(&mut self, verdict: Verdict, touched: &mut BTreeSet<BlockKey>, changes: &mut Changes) -> Option<Voter> {
        let Verdict { place, appended_at: _, ruling } = verdict;
        if self.cut.as_ref().is_some_and(|cut| !cut.holds(place)) {
            return None;
        }
        let is_new = self.taken.insert(place, touched);
        match ruling {
            Ruling::Counts(ballot) => {
                changes.counters.counting += u64::from(is_new);
                let voter = ballot.voter;
                match self.tally.apply(place, ballot, &mut changes.delta) {
                    Applied::First | Applied::Replaced => Some(voter),
                    // Another copy of the ballot may have a lower place.
                    Applied::Repeated => is_new.then_some(voter),
                    Applied::Superseded => None,
                }
            }
            Ruling::Rejected(rejected) => {
                if is_new {
                    *changes.counters.rejected.entry(rejected.rejection).or_default() += 1;
                }
                None
            }
        }
    }
}

/// Whether a ballot under these rules can have this choice; the totals have no room for others.
fn is_choice_of(rules: CountingRules, choice: &Choice) -> bool {
    let exists = |number: u8| (1..=rules.choice_count).contains(&number);
    match (rules.system, choice) {
        (VotingSystem::Basic | VotingSystem::SingleChoice, Choice::Single(number)) => exists(*number),
        (VotingSystem::Approval, Choice::Approval(set)) => ApprovalSet::iter(*set).all(exists),
        (VotingSystem::Weighted | VotingSystem::Quadratic, Choice::Weights(weights)) => {
            weights.entries().iter().all(|(number, _)| exists(*number))
        }
        (VotingSystem::RankedChoice | VotingSystem::Copeland, Choice::Ranking(ranking)) => {
            ranking.len() == usize::from(rules.choice_count)
        }
        (
            VotingSystem::Basic
            | VotingSystem::SingleChoice
            | VotingSystem::Approval
            | VotingSystem::Weighted
            | VotingSystem::Quadratic
            | VotingSystem::RankedChoice
            | VotingSystem::Copeland,
            Choice::Single(_) | Choice::Approval(_) | Choice::Weights(_) | Choice::Ranking(_),
        ) => false,
    }
}

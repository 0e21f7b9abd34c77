//! The store: whatever owners, batches, repeats and losses there were, the totals are those of the verdicts, once each.
#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

use std::collections::BTreeMap;

use alloy_primitives::U256;
use pnyx_backbone::{
    log::LogIdentity,
    store::{
        ApplyOutcome, LaneBatch, LaneCounters, LanePosition, LaneState, MemoryStore, REJECTED_ENTRIES_MAX,
        RejectedEntry, Store, StoreError,
    },
};
use pnyx_core::{
    choice::Choice,
    counting::{CountingRules, TotalsDelta},
    id::{Digest, Lane, Place, ProposalId, Voter},
    power::Power,
    proposal::VotingSystem,
    rejection::Rejection,
    tally::{LaneTally, StandingBallot},
    verdict::CountingBallot,
};
use proptest::{collection::vec, prelude::*};

const PROPOSAL: ProposalId = ProposalId::new([1; 32]);
const LANES: u16 = 3;
const RULES: CountingRules = CountingRules { system: VotingSystem::SingleChoice, choice_count: 3 };
const LOG: LogIdentity = LogIdentity([1; 16]);
const OTHER_LOG: LogIdentity = LogIdentity([2; 16]);

fn voter(number: u8) -> Voter {
    Voter::new([number; 20])
}

fn power(units: u64) -> Power {
    Power::from_units(U256::from(units)).unwrap()
}

/// One verdict of a lane: a ballot that counts, or a rejection.
#[derive(Debug, Clone)]
enum Verdict {
    Counts(CountingBallot),
    Rejected,
}

/// The verdicts of each lane, by offset.
type Verdicts = Vec<Vec<Verdict>>;

/// Someone who believes to own a lane: what it has folded so far.
struct Owner {
    lane: Lane,
    tally: LaneTally,
    counters: LaneCounters,
    next_offset: u64,
}

impl Owner {
    fn new(lane: Lane) -> Self {
        Self { lane, tally: LaneTally::new(RULES), counters: LaneCounters::default(), next_offset: 0 }
    }

    /// Folds up to `count` verdicts into a batch.
    fn fold(&mut self, verdicts: &[Verdict], count: usize) -> LaneBatch {
        let from_offset = self.next_offset;
        let mut delta = TotalsDelta::empty(RULES);
        let mut counters = LaneCounters::default();
        let mut touched = BTreeMap::new();
        let mut rejected = Vec::new();
        for verdict in verdicts.iter().skip(usize::try_from(from_offset).unwrap()).take(count) {
            let place = Place { partition: 0, offset: self.next_offset };
            match verdict {
                Verdict::Counts(ballot) => {
                    counters.counting += 1;
                    self.tally.apply(place, ballot.clone(), &mut delta);
                    touched.insert(ballot.voter, self.tally.standing()[&ballot.voter].clone());
                }
                Verdict::Rejected => {
                    *counters.rejected.entry(Rejection::NoPower).or_default() += 1;
                    rejected.push(rejection(voter(0), place.offset));
                }
            }
            self.next_offset += 1;
        }
        self.counters.merge(&counters);
        let standing = touched.into_iter().collect();
        let next_offset = self.next_offset;
        LaneBatch { log: LOG, from_offset, next_offset, below_cut: false, delta, counters, standing, rejected }
    }

    fn state(&self) -> LaneState {
        LaneState {
            position: LanePosition { log: LOG, next_offset: self.next_offset, below_cut: false },
            totals: self.tally.totals().clone(),
            counters: self.counters.clone(),
            standing: self.tally.standing().iter().map(|(voter, ballot)| (*voter, ballot.clone())).collect(),
            rejected: Vec::new(),
        }
    }

    /// Folds and applies; when fenced, does what an owner does: takes over from where the store is, or writes all.
    async fn work(&mut self, store: &Store, verdicts: &[Verdict], count: usize) {
        let batch = self.fold(verdicts, count);
        let outcome = store.apply(PROPOSAL, self.lane, batch.clone()).await.unwrap();
        if outcome == ApplyOutcome::Applied {
            // The acknowledgement is lost and the batch sent again: nothing happens.
            if batch.next_offset > batch.from_offset {
                let again = store.apply(PROPOSAL, self.lane, batch).await.unwrap();
                assert_eq!(again, ApplyOutcome::Fenced { stored_next_offset: self.next_offset });
            }
            return;
        }
        let seen = store.lane_position(PROPOSAL, self.lane).await.unwrap();
        let stored = seen.filter(|seen| seen.log == LOG).map_or(0, |seen| seen.next_offset);
        if stored > self.next_offset {
            let missing = usize::try_from(stored - self.next_offset).unwrap();
            self.fold(verdicts, missing);
        } else {
            assert_eq!(store.replace(PROPOSAL, self.lane, seen, self.state()).await.unwrap(), ApplyOutcome::Applied);
        }
    }
}

#[derive(Debug, Clone)]
enum Step {
    Work { owner: usize, count: usize },
    Restart { owner: usize },
    DropLane { lane: u16 },
    Flush,
    OtherLog { lane: u16 },
}

/// Two owners for each lane.
const OWNERS: usize = LANES as usize * 2;

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        12 => (0..OWNERS, 0_usize..6).prop_map(|(owner, count)| Step::Work { owner, count }),
        2 => (0..OWNERS).prop_map(|owner| Step::Restart { owner }),
        1 => (0..LANES).prop_map(|lane| Step::DropLane { lane }),
        1 => Just(Step::Flush),
        1 => (0..LANES).prop_map(|lane| Step::OtherLog { lane }),
    ];
    vec(step, 0..80)
}

fn verdicts() -> impl Strategy<Value = Verdicts> {
    let ballot = (1_u8..12, 0_u64..5, 1_u8..=3, 1_u64..1_000, any::<bool>());
    vec(ballot, 0..60).prop_map(|ballots| {
        let mut lanes = vec![Vec::new(); usize::from(LANES)];
        for (number, signed_at_s, choice, units, counts) in ballots {
            let voter = voter(number);
            let digest = Digest::new([u8::try_from(signed_at_s).unwrap() * 16 + choice; 32]);
            // A digest stands for one ballot and a voter has one power, as in a real vote.
            let (choice, power) = (Choice::Single(choice), power(u64::from(number) * 7 + 1));
            let ballot = CountingBallot { voter, digest, signed_at_s, choice, power };
            let lane = usize::from(Lane::of_voter(voter, LANES).0);
            lanes[lane].push(if counts || units > 100 { Verdict::Counts(ballot) } else { Verdict::Rejected });
        }
        lanes
    })
}

async fn run(verdicts: Verdicts, steps: Vec<Step>) {
    let store = Store::Memory(MemoryStore::new());
    store.register(PROPOSAL, RULES, LANES).await.unwrap();
    let mut owners: Vec<_> = (0..OWNERS).map(|owner| Owner::new(Lane(u16::try_from(owner).unwrap() % LANES))).collect();
    for step in steps {
        match step {
            Step::Work { owner, count } => {
                let owner = &mut owners[owner];
                owner.work(&store, &verdicts[usize::from(owner.lane.0)], count).await;
            }
            Step::Restart { owner } => owners[owner] = Owner::new(owners[owner].lane),
            Step::DropLane { lane } => store.drop_lane(PROPOSAL, Lane(lane)).await.unwrap(),
            Step::Flush => store.flush().await,
            Step::OtherLog { lane } => {
                let seen = store.lane_position(PROPOSAL, Lane(lane)).await.unwrap();
                let mut state = Owner::new(Lane(lane)).state();
                state.position = LanePosition { log: OTHER_LOG, next_offset: 3, below_cut: false };
                store.replace(PROPOSAL, Lane(lane), seen, state).await.unwrap();
            }
        }
    }
    let mut expected: Vec<_> = (0..LANES).map(|lane| Owner::new(Lane(lane))).collect();
    for (owner, verdicts) in expected.iter_mut().zip(&verdicts) {
        let ends_at = verdicts.len() as u64;
        let last = &mut owners[usize::from(owner.lane.0)];
        // A few rounds: the first may only find out that the store is elsewhere.
        for _ in 0..4 {
            last.work(&store, verdicts, usize::MAX).await;
        }
        let position = store.lane_position(PROPOSAL, owner.lane).await.unwrap();
        assert_eq!(position, Some(LanePosition { log: LOG, next_offset: ends_at, below_cut: false }));
        owner.fold(verdicts, usize::MAX);
    }
    assert_same(&store, &expected).await;
}

async fn assert_same(store: &Store, expected: &[Owner]) {
    let mut totals = TotalsDelta::empty(RULES).added;
    let mut counters = LaneCounters::default();
    let mut standing = BTreeMap::new();
    for owner in expected {
        totals.merge(owner.tally.totals());
        counters.merge(&owner.counters);
        standing.extend(owner.tally.standing().clone());
    }
    let view = store.view(PROPOSAL).await.unwrap().unwrap();
    assert_eq!(view.totals, totals);
    assert_eq!(view.counters, counters);
    assert_eq!(view.next_offsets, expected.iter().map(|owner| owner.next_offset).collect::<Vec<_>>());
    for (voter, ballot) in &standing {
        assert_eq!(store.standing_ballot(PROPOSAL, *voter).await.unwrap().as_ref(), Some(ballot));
    }
    let mut ranks: Vec<_> =
        standing.iter().map(|(voter, ballot)| (*voter, ballot.power, ballot.choice.clone())).collect();
    ranks.sort_by_key(|(voter, power, _)| (std::cmp::Reverse(*power), *voter));
    let (mut by_voter, mut by_power) = (Vec::new(), Vec::new());
    // Page by page, so that the positions between pages are tested too.
    loop {
        let after = by_voter.last().map(|(voter, _): &(Voter, StandingBallot)| *voter);
        let page = store.standing_after(PROPOSAL, after, 4).await.unwrap();
        if page.is_empty() {
            break;
        }
        by_voter.extend(page);
    }
    loop {
        let after = by_power.last().map(|(voter, power, _): &(Voter, Power, Choice)| (*power, *voter));
        let page = store.leaderboard(PROPOSAL, after, 4).await.unwrap();
        if page.is_empty() {
            break;
        }
        by_power.extend(page);
    }
    assert_eq!(by_voter, standing.into_iter().collect::<Vec<_>>());
    assert_eq!(by_power, ranks);
}

proptest! {
    #[test]
    fn any_batching_repetition_and_loss_gives_the_same_totals(verdicts in verdicts(), steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(run(verdicts, steps));
    }
}

fn rejection(voter: Voter, offset: u64) -> RejectedEntry {
    let place = Place { partition: 0, offset };
    RejectedEntry { rejection: Rejection::NoPower, place, digest: None, claimed_voter: Some(voter) }
}

fn batch(from_offset: u64, next_offset: u64) -> LaneBatch {
    let (delta, counters) = (TotalsDelta::empty(RULES), LaneCounters::default());
    let (standing, rejected) = (Vec::new(), Vec::new());
    LaneBatch { log: LOG, from_offset, next_offset, below_cut: false, delta, counters, standing, rejected }
}

async fn store_with_lanes(lanes: u16) -> Store {
    let store = Store::Memory(MemoryStore::new());
    store.register(PROPOSAL, RULES, lanes).await.unwrap();
    store
}

#[tokio::test]
async fn a_stale_owner_is_fenced() {
    let store = store_with_lanes(1).await;
    let lane = Lane(0);
    let mut changes = store.changes(PROPOSAL).unwrap();
    let fenced = |stored_next_offset| ApplyOutcome::Fenced { stored_next_offset };
    assert_eq!(store.apply(PROPOSAL, lane, batch(5, 6)).await.unwrap(), fenced(0));
    assert!(!changes.has_changed().unwrap(), "nothing was written");
    assert_eq!(store.apply(PROPOSAL, lane, batch(0, 10)).await.unwrap(), ApplyOutcome::Applied);
    assert!(changes.has_changed().unwrap());
    changes.mark_unchanged();
    assert_eq!(store.apply(PROPOSAL, lane, batch(0, 10)).await.unwrap(), fenced(10));
    assert_eq!(store.apply(PROPOSAL, lane, batch(8, 12)).await.unwrap(), fenced(10));
    let other_log = LaneBatch { log: OTHER_LOG, ..batch(10, 12) };
    assert_eq!(store.apply(PROPOSAL, lane, other_log).await.unwrap(), fenced(10));
    let state = Owner::new(lane).state();
    let seen = LanePosition { log: LOG, next_offset: 9, below_cut: false };
    assert_eq!(store.replace(PROPOSAL, lane, Some(seen), state.clone()).await.unwrap(), fenced(10));
    assert_eq!(store.replace(PROPOSAL, lane, None, state).await.unwrap(), fenced(10));
    assert!(!changes.has_changed().unwrap());
}

#[tokio::test]
async fn what_lies_below_the_cut_stays_there_until_the_lane_is_lost() {
    let store = store_with_lanes(1).await;
    let lane = Lane(0);
    let position = async || store.lane_position(PROPOSAL, lane).await.unwrap();
    let at = |next_offset, below_cut| Some(LanePosition { log: LOG, next_offset, below_cut });
    let fenced = |stored_next_offset| ApplyOutcome::Fenced { stored_next_offset };
    let mut changes = store.changes(PROPOSAL).unwrap();
    let below_cut = LaneBatch { below_cut: true, ..batch(0, 0) };
    assert_eq!(store.apply(PROPOSAL, lane, below_cut.clone()).await.unwrap(), ApplyOutcome::Applied);
    assert_eq!(position().await, at(0, true), "a lane without verdicts can say it too");
    assert!(changes.has_changed().unwrap());
    changes.mark_unchanged();

    assert_eq!(store.apply(PROPOSAL, lane, batch(0, 5)).await.unwrap(), fenced(0), "it does not know the cut");
    assert!(!changes.has_changed().unwrap(), "nothing was written");
    let next = LaneBatch { below_cut: true, ..batch(0, 5) };
    assert_eq!(store.apply(PROPOSAL, lane, next).await.unwrap(), ApplyOutcome::Applied);
    assert_eq!(position().await, at(5, true));

    let state = LaneState { position: at(5, true).unwrap(), ..Owner::new(lane).state() };
    assert_eq!(store.replace(PROPOSAL, lane, at(5, false), state.clone()).await.unwrap(), fenced(5));
    store.flush().await;
    assert_eq!(position().await, None);
    assert_eq!(store.apply(PROPOSAL, lane, batch(0, 5)).await.unwrap(), ApplyOutcome::Applied);
    assert_eq!(position().await, at(5, false));
    assert_eq!(store.replace(PROPOSAL, lane, at(5, false), state).await.unwrap(), ApplyOutcome::Applied);
    assert_eq!(position().await, at(5, true));
}

#[tokio::test]
async fn rejections_are_found_by_voter_and_the_oldest_go_first() {
    let store = store_with_lanes(2).await;
    let kept = (REJECTED_ENTRIES_MAX / 2) as u64;
    let flood = (0..kept).map(|offset| rejection(voter(1), offset));
    let nobody = RejectedEntry { claimed_voter: None, ..rejection(voter(1), 0) };
    let first = LaneBatch { rejected: vec![rejection(voter(2), 7), nobody], ..batch(0, 2) };
    store.apply(PROPOSAL, Lane(0), first).await.unwrap();
    let other_lane = LaneBatch { rejected: vec![rejection(voter(2), 3)], ..batch(0, 1) };
    store.apply(PROPOSAL, Lane(1), other_lane).await.unwrap();
    let of_two = store.rejections_of(PROPOSAL, voter(2)).await.unwrap();
    assert_eq!(of_two, [rejection(voter(2), 3), rejection(voter(2), 7)], "by place");
    store.apply(PROPOSAL, Lane(0), LaneBatch { rejected: flood.collect(), ..batch(2, 3) }).await.unwrap();
    assert_eq!(store.rejections_of(PROPOSAL, voter(2)).await.unwrap(), [rejection(voter(2), 3)]);
    assert_eq!(store.rejections_of(PROPOSAL, voter(1)).await.unwrap().len() as u64, kept);
}

#[tokio::test]
async fn what_was_never_registered_is_unknown() {
    let store = store_with_lanes(2).await;
    let other = ProposalId::new([2; 32]);
    assert_eq!(store.view(other).await.unwrap(), None);
    assert_eq!(
        store.apply(other, Lane(0), batch(0, 1)).await.unwrap_err(),
        StoreError::UnknownProposal { proposal: other }
    );
    let lane = Lane(2);
    assert_eq!(
        store.apply(PROPOSAL, lane, batch(0, 1)).await.unwrap_err(),
        StoreError::UnknownLane { proposal: PROPOSAL, lane }
    );
    assert_eq!(store.register(PROPOSAL, RULES, 2).await, Ok(()));
    let otherwise = store.register(PROPOSAL, RULES, 3).await;
    assert_eq!(otherwise, Err(StoreError::RegisteredOtherwise { proposal: PROPOSAL }));
}

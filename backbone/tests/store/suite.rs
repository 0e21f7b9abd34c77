//! What every store does: each test takes a store and a proposal that is new to it.

use std::time::Duration;

use pnyx_backbone::store::{
    ApplyOutcome, LaneBatch, LaneCounters, LanePosition, LaneState, PLACE_BLOCK_WORDS, PlaceBlock, Store, StoreError,
};
use pnyx_core::{
    counting::{CountingRules, TotalsDelta},
    id::{Digest, Lane, Place, ProposalId},
    power::Power,
    proposal::VotingSystem,
    rejection::Rejection,
    signature_check::SignatureCheck,
    tally::{LaneTally, StandingBallot},
    verdict::CountingBallot,
};
use tokio::{sync::watch, time};

use crate::owners::{LOG, OTHER_LOG, Owner, assert_same_state, choice_of, rules, voter};

const RULES: CountingRules = CountingRules { system: VotingSystem::SingleChoice, choice_count: 3 };

/// How long a change may take to be heard of.
const CHANGE_LIMIT: Duration = Duration::from_secs(5);

pub(crate) fn batch(from_offset: u64, next_offset: u64) -> LaneBatch {
    let (delta, counters) = (TotalsDelta::empty(RULES), LaneCounters::default());
    let (standing, places) = (Vec::new(), Vec::new());
    LaneBatch { log: LOG, from_offset, next_offset, below_cut: false, delta, counters, standing, places }
}

pub(crate) fn fenced(stored_next_offset: u64) -> ApplyOutcome {
    ApplyOutcome::Fenced { stored_next_offset }
}

pub(crate) async fn changed(changes: &mut watch::Receiver<u64>) {
    time::timeout(CHANGE_LIMIT, changes.changed()).await.expect("a change is heard of").unwrap();
}

pub(crate) async fn a_stale_owner_is_fenced(store: &Store, proposal: ProposalId) {
    store.register(proposal, RULES, 1).await.unwrap();
    let lane = Lane(0);
    let apply = async |batch| store.apply(proposal, lane, batch).await.unwrap();
    assert_eq!(apply(batch(5, 6)).await, fenced(0));
    assert_eq!(store.lane_position(proposal, lane).await.unwrap(), None, "nothing was written");
    let mut changes = store.changes(proposal).unwrap();
    assert_eq!(apply(batch(0, 10)).await, ApplyOutcome::Applied);
    changed(&mut changes).await;
    assert_eq!(apply(batch(0, 10)).await, fenced(10));
    assert_eq!(apply(batch(8, 12)).await, fenced(10));
    assert_eq!(apply(LaneBatch { log: OTHER_LOG, ..batch(10, 12) }).await, fenced(10));
    let state = Owner::new(lane, RULES).state();
    let seen = LanePosition { log: LOG, next_offset: 9, below_cut: false };
    assert_eq!(store.replace(proposal, lane, Some(seen), state.clone()).await.unwrap(), fenced(10));
    let seen = LanePosition { log: OTHER_LOG, next_offset: 10, below_cut: false };
    assert_eq!(store.replace(proposal, lane, Some(seen), state.clone()).await.unwrap(), fenced(10));
    assert_eq!(store.replace(proposal, lane, None, state).await.unwrap(), fenced(10));
    let seen = LanePosition { log: LOG, next_offset: 10, below_cut: false };
    assert_eq!(store.lane_position(proposal, lane).await.unwrap(), Some(seen));
}

pub(crate) async fn what_lies_below_the_cut_stays_there_until_the_lane_is_lost(store: &Store, proposal: ProposalId) {
    store.register(proposal, RULES, 1).await.unwrap();
    let lane = Lane(0);
    let position = async || store.lane_position(proposal, lane).await.unwrap();
    let apply = async |batch| store.apply(proposal, lane, batch).await.unwrap();
    let at = |next_offset, below_cut| Some(LanePosition { log: LOG, next_offset, below_cut });
    let mut changes = store.changes(proposal).unwrap();
    assert_eq!(apply(LaneBatch { below_cut: true, ..batch(0, 0) }).await, ApplyOutcome::Applied);
    assert_eq!(position().await, at(0, true), "a lane without verdicts can say it too");
    changed(&mut changes).await;

    assert_eq!(apply(batch(0, 5)).await, fenced(0), "it does not know the cut");
    assert_eq!(position().await, at(0, true));
    assert_eq!(apply(LaneBatch { below_cut: true, ..batch(0, 5) }).await, ApplyOutcome::Applied);
    assert_eq!(position().await, at(5, true));

    let state = LaneState { position: at(5, true).unwrap(), ..Owner::new(lane, RULES).state() };
    assert_eq!(store.replace(proposal, lane, at(5, false), state.clone()).await.unwrap(), fenced(5));
    store.drop_lane(proposal, lane).await.unwrap();
    assert_eq!(position().await, None);
    assert_eq!(apply(batch(0, 5)).await, ApplyOutcome::Applied);
    assert_eq!(position().await, at(5, false));
    assert_eq!(store.replace(proposal, lane, at(5, false), state).await.unwrap(), ApplyOutcome::Applied);
    assert_eq!(position().await, at(5, true));
}

pub(crate) async fn a_stamp_is_that_of_one_write(store: &Store, proposal: ProposalId) {
    store.register(proposal, RULES, 2).await.unwrap();
    let lane = Lane(1);
    let stamps = async || store.lane_stamps(proposal).await.unwrap();
    assert_eq!(stamps().await, [None, None]);
    assert_eq!(store.apply(proposal, lane, batch(0, 5)).await.unwrap(), ApplyOutcome::Applied);
    let first = stamps().await;
    let position = LanePosition { log: LOG, next_offset: 5, below_cut: false };
    assert_eq!((first[0], first[1].map(|stamp| stamp.position)), (None, Some(position)));
    assert_eq!(store.apply(proposal, lane, batch(0, 5)).await.unwrap(), fenced(5));
    assert_eq!(stamps().await, first, "a fenced write changes nothing");
    let mut seen = vec![first];
    let mut is_new = async |what| {
        let now = stamps().await;
        assert_eq!(now[1].map(|stamp| stamp.position), Some(position), "{what}");
        assert!(!seen.contains(&now), "{what}: {now:?} in {seen:?}");
        seen.push(now);
    };
    store.apply(proposal, lane, batch(5, 5)).await.unwrap();
    is_new("an empty batch").await;
    let state = LaneState { position, ..Owner::new(lane, RULES).state() };
    store.replace(proposal, lane, Some(position), state.clone()).await.unwrap();
    is_new("replaced").await;
    store.drop_lane(proposal, lane).await.unwrap();
    store.replace(proposal, lane, None, state).await.unwrap();
    is_new("lost and written again").await;
    store.flush().await.unwrap();
    store.apply(proposal, lane, batch(0, 5)).await.unwrap();
    is_new("everything lost and counted again").await;
}

pub(crate) async fn what_was_never_registered_is_unknown(store: &Store, proposal: ProposalId) {
    store.register(proposal, RULES, 2).await.unwrap();
    let other = ProposalId::new([0xfe; 32]);
    assert_eq!(store.view(other).await.unwrap(), None);
    let error = store.apply(other, Lane(0), batch(0, 1)).await.unwrap_err();
    assert!(matches!(error, StoreError::UnknownProposal { proposal } if proposal == other), "{error:?}");
    let error = store.apply(proposal, Lane(2), batch(0, 1)).await.unwrap_err();
    assert!(matches!(error, StoreError::UnknownLane { lane: Lane(2), .. }), "{error:?}");
    store.register(proposal, RULES, 2).await.unwrap();
    let error = store.register(proposal, RULES, 3).await.unwrap_err();
    assert!(matches!(error, StoreError::RegisteredOtherwise { .. }), "{error:?}");
    let view = store.view(proposal).await.unwrap().unwrap();
    assert_eq!(view.positions, [None, None]);
    assert_eq!(view.totals.ballots, 0);
    assert!(store.load_lane(proposal, Lane(0)).await.unwrap().is_none());
}

/// A lane as its owner would have it, with several hundred ballots, places in two partitions, and every counter.
pub(crate) fn large_state(rules: CountingRules, voters: u16) -> LaneState {
    let mut tally = LaneTally::new(rules);
    let mut delta = TotalsDelta::empty(rules);
    for number in 0..voters {
        let mut address = [7; 20];
        address[..2].copy_from_slice(&number.to_le_bytes());
        let digest = Digest::new([3; 32]);
        let choice = choice_of(rules, u8::try_from(number % 3).unwrap() + 1);
        let power = crate::owners::power(u64::MAX - u64::from(number));
        let ballot = CountingBallot {
            voter: pnyx_core::id::Voter::new(address),
            digest,
            signed_at_s: 1,
            choice,
            power,
            check: SignatureCheck::Key,
        };
        tally.apply(Place { partition: 4_000_000_000, offset: u64::from(number) << 30 }, ballot, &mut delta);
    }
    let blocks = (0..u64::from(voters)).map(|number| PlaceBlock {
        partition: u32::try_from(number % 2).unwrap() * u32::MAX,
        block: number << 40,
        bits: [number; PLACE_BLOCK_WORDS],
    });
    let rejected = (1_u64..).zip(Rejection::ALL).map(|(count, rejection)| (rejection, count)).collect();
    LaneState {
        position: LanePosition { log: LOG, next_offset: 1 << 40, below_cut: true },
        totals: tally.totals().clone(),
        counters: LaneCounters { counting: 1 << 41, rejected },
        standing: tally.standing().iter().map(|(voter, ballot)| (*voter, ballot.clone())).collect(),
        places: blocks.collect(),
    }
}

pub(crate) async fn a_lane_is_loaded_as_it_was_written(store: &Store, proposal: ProposalId) {
    let rules = rules(VotingSystem::RankedChoice);
    store.register(proposal, rules, 2).await.unwrap();
    let state = large_state(rules, 3_000);
    let lane = Lane(1);
    assert_eq!(store.replace(proposal, lane, None, state.clone()).await.unwrap(), ApplyOutcome::Applied);
    assert_same_state(&store.load_lane(proposal, lane).await.unwrap().unwrap(), &state);

    // A smaller one in its place leaves nothing behind.
    let smaller = large_state(rules, 10);
    assert_eq!(
        store.replace(proposal, lane, Some(state.position), smaller.clone()).await.unwrap(),
        ApplyOutcome::Applied
    );
    assert_same_state(&store.load_lane(proposal, lane).await.unwrap().unwrap(), &smaller);
    assert_eq!(store.standing_after(proposal, None, 100).await.unwrap().len(), 10);
    assert_eq!(store.leaderboard(proposal, None, 100).await.unwrap().len(), 10);
    let view = store.view(proposal).await.unwrap().unwrap();
    assert_eq!((view.totals, view.counters), (smaller.totals, smaller.counters));
    assert_eq!(view.positions, [None, Some(smaller.position)]);

    store.drop_lane(proposal, lane).await.unwrap();
    assert!(store.load_lane(proposal, lane).await.unwrap().is_none());
    assert!(store.leaderboard(proposal, None, 100).await.unwrap().is_empty());
}

/// Powers that fill their 192 bits, added and taken away again and again.
pub(crate) async fn the_largest_powers_are_exact(store: &Store, proposal: ProposalId) {
    store.register(proposal, RULES, 1).await.unwrap();
    let mut tally = LaneTally::new(RULES);
    for round in 0_u64..40 {
        let mut delta = TotalsDelta::empty(RULES);
        let place = Place { partition: 0, offset: round };
        let choice = choice_of(RULES, u8::try_from(round % 3).unwrap() + 1);
        let voter = voter(u8::try_from(round % 7).unwrap());
        let digest = Digest::new([1; 32]);
        let power = Power::max();
        tally.apply(
            place,
            CountingBallot {
                voter,
                digest,
                signed_at_s: round,
                choice: choice.clone(),
                power,
                check: SignatureCheck::Key,
            },
            &mut delta,
        );
        let standing = vec![(voter, StandingBallot { digest, signed_at_s: round, choice, power, place })];
        let batch = LaneBatch { delta, standing, ..batch(round, round + 1) };
        assert_eq!(store.apply(proposal, Lane(0), batch).await.unwrap(), ApplyOutcome::Applied);
        assert_eq!(&store.view(proposal).await.unwrap().unwrap().totals, tally.totals());
    }
    assert_eq!(&store.load_lane(proposal, Lane(0)).await.unwrap().unwrap().totals, tally.totals());
}

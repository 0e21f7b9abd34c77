//! Scripts of what owners of lanes do to a store, and what must come out.

use std::collections::BTreeMap;

use alloy_primitives::U256;
use pnyx_backbone::{
    log::LogIdentity,
    store::{
        ApplyOutcome, LaneBatch, LaneCounters, LanePosition, LaneState, PLACE_BLOCK_OFFSETS, PLACE_BLOCK_WORDS,
        PlaceBlock, Store,
    },
};
use pnyx_core::{
    choice::{ApprovalSet, Choice, Ranking, Weights},
    counting::{CountingRules, Totals, TotalsDelta},
    id::{Digest, Lane, Place, ProposalId, Voter},
    power::Power,
    proposal::VotingSystem,
    rejection::Rejection,
    signature_check::SignatureCheck,
    tally::{LaneTally, StandingBallot},
    verdict::CountingBallot,
};
use proptest::{collection::vec, prelude::*};

pub(crate) const LANES: u16 = 3;
pub(crate) const LOG: LogIdentity = LogIdentity([1; 16]);
pub(crate) const OTHER_LOG: LogIdentity = LogIdentity([2; 16]);

/// Two owners for each lane.
const OWNERS: usize = LANES as usize * 2;

pub(crate) fn rules(system: VotingSystem) -> CountingRules {
    CountingRules { system, choice_count: 3 }
}

pub(crate) fn voter(number: u8) -> Voter {
    Voter::new([number; 20])
}

pub(crate) fn power(units: u64) -> Power {
    Power::from_units(U256::from(units)).unwrap()
}

/// One verdict of a lane: a ballot that counts, or a rejection.
#[derive(Debug, Clone)]
pub(crate) enum Verdict {
    Counts(CountingBallot),
    Rejected(Rejection),
}

/// Someone who believes to own a lane: what it has folded so far.
#[derive(Debug, Clone)]
pub(crate) struct Owner {
    pub(crate) lane: Lane,
    pub(crate) tally: LaneTally,
    pub(crate) counters: LaneCounters,
    pub(crate) next_offset: u64,
    places: BTreeMap<(u32, u64), [u64; PLACE_BLOCK_WORDS]>,
}

impl Owner {
    pub(crate) fn new(lane: Lane, rules: CountingRules) -> Self {
        let (counters, places) = (LaneCounters::default(), BTreeMap::new());
        Self { lane, tally: LaneTally::new(rules), counters, next_offset: 0, places }
    }

    /// Goes on from what the store has.
    fn of_state(lane: Lane, rules: CountingRules, state: LaneState) -> Self {
        let LaneState { position, totals, counters, standing, places } = state;
        let mut owner = Self { counters, next_offset: position.next_offset, ..Self::new(lane, rules) };
        let mut delta = TotalsDelta::empty(rules);
        for (voter, StandingBallot { digest, signed_at_s, choice, power, place }) in standing {
            owner.tally.apply(
                place,
                CountingBallot { voter, digest, signed_at_s, choice, power, check: SignatureCheck::Key },
                &mut delta,
            );
        }
        assert_eq!(owner.tally.totals(), &totals);
        owner.places = places.into_iter().map(|block| ((block.partition, block.block), block.bits)).collect();
        owner
    }

    /// Folds up to `count` verdicts into a batch.
    pub(crate) fn fold(&mut self, verdicts: &[Verdict], count: usize) -> LaneBatch {
        let from_offset = self.next_offset;
        let mut delta = TotalsDelta::empty(self.tally.rules());
        let mut counters = LaneCounters::default();
        let mut touched = BTreeMap::new();
        let mut blocks = BTreeMap::new();
        for verdict in verdicts.iter().skip(usize::try_from(from_offset).unwrap()).take(count) {
            let place = place_of(self.next_offset);
            let key = (place.partition, place.offset / PLACE_BLOCK_OFFSETS);
            let bits = self.places.entry(key).or_default();
            let bit = place.offset % PLACE_BLOCK_OFFSETS;
            bits[usize::try_from(bit / 64).unwrap()] |= 1 << (bit % 64);
            blocks.insert(key, *bits);
            match verdict {
                Verdict::Counts(ballot) => {
                    counters.counting += 1;
                    self.tally.apply(place, ballot.clone(), &mut delta);
                    touched.insert(ballot.voter, self.tally.standing()[&ballot.voter].clone());
                }
                Verdict::Rejected(rejection) => *counters.rejected.entry(*rejection).or_default() += 1,
            }
            self.next_offset += 1;
        }
        self.counters.merge(&counters);
        let (standing, places) = (touched.into_iter().collect(), place_blocks(&blocks));
        let next_offset = self.next_offset;
        LaneBatch { log: LOG, from_offset, next_offset, below_cut: false, delta, counters, standing, places }
    }

    pub(crate) fn state(&self) -> LaneState {
        LaneState {
            position: LanePosition { log: LOG, next_offset: self.next_offset, below_cut: false },
            totals: self.tally.totals().clone(),
            counters: self.counters.clone(),
            standing: self.tally.standing().iter().map(|(voter, ballot)| (*voter, ballot.clone())).collect(),
            places: place_blocks(&self.places),
        }
    }

    /// Folds and applies; when fenced, does what an owner does: takes over from where the store is, or writes all.
    pub(crate) async fn work(&mut self, store: &Store, proposal: ProposalId, verdicts: &[Verdict], count: usize) {
        let batch = self.fold(verdicts, count);
        let outcome = store.apply(proposal, self.lane, batch.clone()).await.unwrap();
        if outcome == ApplyOutcome::Applied {
            // The acknowledgement is lost and the batch sent again: nothing happens.
            if batch.next_offset > batch.from_offset {
                let again = store.apply(proposal, self.lane, batch).await.unwrap();
                assert_eq!(again, ApplyOutcome::Fenced { stored_next_offset: self.next_offset });
            }
            return;
        }
        let seen = store.lane_position(proposal, self.lane).await.unwrap();
        let stored = seen.filter(|seen| seen.log == LOG).map_or(0, |seen| seen.next_offset);
        if stored > self.next_offset {
            let missing = usize::try_from(stored - self.next_offset).unwrap();
            self.fold(verdicts, missing);
        } else {
            assert_eq!(store.replace(proposal, self.lane, seen, self.state()).await.unwrap(), ApplyOutcome::Applied);
        }
    }
}

/// Scattered over partitions and blocks.
fn place_of(verdict: u64) -> Place {
    Place { partition: u32::try_from(verdict % 2).unwrap(), offset: verdict * 150 }
}

fn place_blocks(blocks: &BTreeMap<(u32, u64), [u64; PLACE_BLOCK_WORDS]>) -> Vec<PlaceBlock> {
    blocks
        .iter()
        .map(|((partition, block), bits)| PlaceBlock { partition: *partition, block: *block, bits: *bits })
        .collect()
}

#[derive(Debug, Clone)]
enum Step {
    Work { owner: usize, count: usize },
    Restart { owner: usize },
    TakeOver { owner: usize },
    DropLane { lane: u16 },
    Flush,
    OtherLog { lane: u16 },
}

/// What happens to the lanes of a proposal.
#[derive(Debug, Clone)]
pub(crate) struct Script {
    rules: CountingRules,
    verdicts: Vec<Vec<Verdict>>,
    steps: Vec<Step>,
}

/// Any of them.
pub(crate) fn scripts() -> impl Strategy<Value = Script> {
    let step = prop_oneof![
        12 => (0..OWNERS, 0_usize..6).prop_map(|(owner, count)| Step::Work { owner, count }),
        1 => (0..OWNERS).prop_map(|owner| Step::Restart { owner }),
        2 => (0..OWNERS).prop_map(|owner| Step::TakeOver { owner }),
        1 => (0..LANES).prop_map(|lane| Step::DropLane { lane }),
        1 => Just(Step::Flush),
        1 => (0..LANES).prop_map(|lane| Step::OtherLog { lane }),
    ];
    let system = proptest::sample::select(VotingSystem::ALL.to_vec());
    (system, vec((1_u8..12, 0_u64..5, 1_u8..=3, any::<bool>()), 0..60), vec(step, 0..80)).prop_map(
        |(system, ballots, steps)| {
            let rules = rules(system);
            Script { rules, verdicts: verdicts(rules, &ballots), steps }
        },
    )
}

/// (voter, signed at, choice, whether it counts) → the verdicts of each lane, by offset.
fn verdicts(rules: CountingRules, ballots: &[(u8, u64, u8, bool)]) -> Vec<Vec<Verdict>> {
    let mut lanes = vec![Vec::new(); usize::from(LANES)];
    for &(number, signed_at_s, choice, counts) in ballots {
        let voter = voter(number);
        let digest = Digest::new([u8::try_from(signed_at_s).unwrap() * 16 + choice; 32]);
        // A digest stands for one ballot and a voter has one power, as in a real vote.
        let (choice, power) = (choice_of(rules, choice), power((u64::from(number) * 7 + 1) << 40));
        let ballot = CountingBallot { voter, digest, signed_at_s, choice, power, check: SignatureCheck::Key };
        let lane = usize::from(Lane::of_voter(voter, LANES).0);
        let rejection = Rejection::ALL[usize::from(number)];
        lanes[lane].push(if counts { Verdict::Counts(ballot) } else { Verdict::Rejected(rejection) });
    }
    lanes
}

/// The `number`th choice of a system, from 1 to 3.
pub(crate) fn choice_of(rules: CountingRules, number: u8) -> Choice {
    match rules.system {
        VotingSystem::Basic | VotingSystem::SingleChoice => Choice::Single(number),
        VotingSystem::Approval => Choice::Approval(ApprovalSet::from_bits(u64::from(number) + 2)),
        VotingSystem::Weighted | VotingSystem::Quadratic => {
            Choice::Weights(Weights::new(vec![(1, 1), (number.max(2), u128::from(number))]).unwrap())
        }
        VotingSystem::RankedChoice | VotingSystem::Copeland => Choice::Ranking(
            Ranking::new([[1, 2, 3], [3, 1, 2], [2, 1, 3]][usize::from(number) - 1].as_slice()).unwrap(),
        ),
    }
}

impl Script {
    /// Does it to the lanes of this proposal, which must be new, and checks what is in the store then.
    pub(crate) async fn run(self, store: &Store, proposal: ProposalId) {
        let Self { rules, verdicts, steps } = self;
        store.register(proposal, rules, LANES).await.unwrap();
        let lanes = (0..OWNERS).map(|owner| Lane(u16::try_from(owner).unwrap() % LANES));
        let mut owners: Vec<_> = lanes.map(|lane| Owner::new(lane, rules)).collect();
        for step in steps {
            match step {
                Step::Work { owner, count } => {
                    let owner = &mut owners[owner];
                    owner.work(store, proposal, &verdicts[usize::from(owner.lane.0)], count).await;
                }
                Step::Restart { owner } => owners[owner] = Owner::new(owners[owner].lane, rules),
                Step::TakeOver { owner } => {
                    let lane = owners[owner].lane;
                    let state = store.load_lane(proposal, lane).await.unwrap();
                    let own = state.filter(|state| state.position.log == LOG);
                    owners[owner] =
                        own.map_or_else(|| Owner::new(lane, rules), |state| Owner::of_state(lane, rules, state));
                }
                Step::DropLane { lane } => store.drop_lane(proposal, Lane(lane)).await.unwrap(),
                Step::Flush => store.flush().await.unwrap(),
                Step::OtherLog { lane } => {
                    let seen = store.lane_position(proposal, Lane(lane)).await.unwrap();
                    let mut state = Owner::new(Lane(lane), rules).state();
                    state.position = LanePosition { log: OTHER_LOG, next_offset: 3, below_cut: false };
                    store.replace(proposal, Lane(lane), seen, state).await.unwrap();
                }
            }
        }
        let mut expected: Vec<_> = (0..LANES).map(|lane| Owner::new(Lane(lane), rules)).collect();
        for (owner, verdicts) in expected.iter_mut().zip(&verdicts) {
            let last = &mut owners[usize::from(owner.lane.0)];
            // A few rounds: the first may only find out that the store is elsewhere.
            for _ in 0..4 {
                last.work(store, proposal, verdicts, usize::MAX).await;
            }
            owner.fold(verdicts, usize::MAX);
        }
        assert_same(store, proposal, rules, &expected).await;
    }
}

/// The store has exactly what these owners, one a lane, have folded.
pub(crate) async fn assert_same(store: &Store, proposal: ProposalId, rules: CountingRules, expected: &[Owner]) {
    let mut totals = Totals::empty(rules);
    let mut counters = LaneCounters::default();
    let mut standing = BTreeMap::new();
    for owner in expected {
        totals.merge(owner.tally.totals());
        counters.merge(&owner.counters);
        standing.extend(owner.tally.standing().clone());
        let position = store.lane_position(proposal, owner.lane).await.unwrap();
        assert_eq!(position, Some(owner.state().position));
        assert_same_state(&store.load_lane(proposal, owner.lane).await.unwrap().unwrap(), &owner.state());
    }
    let view = store.view(proposal).await.unwrap().unwrap();
    assert_eq!(view.totals, totals);
    assert_eq!(view.counters, counters);
    assert_eq!(view.positions, expected.iter().map(|owner| Some(owner.state().position)).collect::<Vec<_>>());
    for (voter, ballot) in &standing {
        assert_eq!(store.standing_ballot(proposal, *voter).await.unwrap().as_ref(), Some(ballot));
    }
    let mut ranks: Vec<_> =
        standing.iter().map(|(voter, ballot)| (*voter, ballot.power, ballot.choice.clone())).collect();
    ranks.sort_by_key(|(voter, power, _)| (std::cmp::Reverse(*power), *voter));
    assert_eq!(all_by_voter(store, proposal).await, standing.into_iter().collect::<Vec<_>>());
    assert_eq!(all_by_power(store, proposal).await, ranks);
}

/// Equal but for the order of ballots and places, which is nobody's promise.
pub(crate) fn assert_same_state(state: &LaneState, expected: &LaneState) {
    let ballots = |state: &LaneState| state.standing.iter().cloned().collect::<BTreeMap<_, _>>();
    let places = |state: &LaneState| {
        state.places.iter().map(|block| ((block.partition, block.block), block.bits)).collect::<BTreeMap<_, _>>()
    };
    assert_eq!(state.position, expected.position);
    assert_eq!(state.totals, expected.totals);
    assert_eq!(state.counters, expected.counters);
    assert_eq!(ballots(state), ballots(expected));
    assert_eq!(state.standing.len(), expected.standing.len(), "each voter once");
    assert_eq!(places(state), places(expected));
}

/// Page by page, so that the positions between pages are tested too.
async fn all_by_voter(store: &Store, proposal: ProposalId) -> Vec<(Voter, StandingBallot)> {
    let mut all: Vec<(Voter, StandingBallot)> = Vec::new();
    loop {
        let page = store.standing_after(proposal, all.last().map(|(voter, _)| *voter), 4).await.unwrap();
        if page.is_empty() {
            return all;
        }
        all.extend(page);
    }
}

async fn all_by_power(store: &Store, proposal: ProposalId) -> Vec<(Voter, Power, Choice)> {
    let mut all: Vec<(Voter, Power, Choice)> = Vec::new();
    loop {
        let after = all.last().map(|(voter, power, _)| (*power, *voter));
        let page = store.leaderboard(proposal, after, 4).await.unwrap();
        if page.is_empty() {
            return all;
        }
        all.extend(page);
    }
}

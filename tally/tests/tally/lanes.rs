//! Exactly once, whatever happens to the store, the owner or the verdicts.

use std::{collections::BTreeMap, time::Duration};

use pnyx_backbone::{
    drain,
    log::{LogIdentity, Topic, VERIFIER_GROUP},
    store::{
        ApplyOutcome, LaneBatch, LaneCounters, LanePosition, LaneState, MemoryStore, PLACE_BLOCK_WORDS, PlaceBlock,
        ProposalView, Store,
    },
};
use pnyx_core::{
    choice::{Choice, Ranking, Weights},
    counting::{CountingRules, Totals, TotalsDelta},
    id::{Lane, ProposalId, Voter},
    proposal::{Definition, VotingSystem},
    rejection::Rejection,
    tally::LaneTally,
    verdict::{Ruling, Verdict},
};

use crate::rig::{Rig, counts, definition, eventually, rejects, totals, voter, within};

/// Within this time an owner notices that the store lost its lane.
const LOSS_NOTICED_WITHIN: Duration = Duration::from_secs(2);

/// Added for the rebuild itself and a busy machine.
const REBUILD_MARGIN: Duration = Duration::from_secs(1);

/// 200 voters with up to 3 ballots each and a few rejected records.
fn verdicts(choice: impl Fn(u64) -> Choice) -> Vec<Verdict> {
    (0..500)
        .map(|number| match number % 50 {
            49 => rejects(number, voter(1), Rejection::WrongSigner),
            _ => counts(number, voter(u32::try_from(number % 201).unwrap()), choice(number), "1.25"),
        })
        .collect()
}

fn single(number: u64) -> Choice {
    Choice::Single(u8::try_from(number % 3 + 1).unwrap())
}

/// What the verdicts must come to, folded as one lane without any log or store.
fn expected(definition: &Definition, verdicts: &[Verdict]) -> (Totals, LaneCounters) {
    let rules = CountingRules::of(definition.proposal());
    let mut tally = LaneTally::new(rules);
    let mut by_place: BTreeMap<_, _> = BTreeMap::new();
    for verdict in verdicts {
        by_place.insert(verdict.place, verdict.clone());
    }
    let mut counters = LaneCounters::default();
    for verdict in by_place.into_values() {
        match verdict.ruling {
            Ruling::Counts(ballot) => {
                counters.counting += 1;
                tally.apply(verdict.place, ballot, &mut TotalsDelta::empty(rules));
            }
            Ruling::Rejected(rejected) => *counters.rejected.entry(rejected.rejection).or_default() += 1,
        }
    }
    (tally.totals().clone(), counters)
}

async fn check(rig: &Rig, definition: &Definition, view: &ProposalView, verdicts: &[Verdict]) {
    let (expected_totals, expected_counters) = expected(definition, verdicts);
    assert_eq!(view.totals, expected_totals);
    assert_eq!(view.counters, expected_counters);
    let standing = rig.store.standing_after(definition.proposal().id(), None, usize::MAX).await.unwrap();
    assert_eq!(totals(definition, &standing), expected_totals, "the standing ballots add up to the totals");
}

#[tokio::test(flavor = "multi_thread")]
async fn totals_are_exact_in_every_system() {
    let weights = |number: u64| Choice::Weights(Weights::new(vec![(1, u128::from(number) + 1), (3, 7)]).unwrap());
    let ranking = |number: u64| {
        let orders = [[1, 2, 3], [3, 1, 2], [2, 3, 1]];
        Choice::Ranking(Ranking::new(&orders[usize::try_from(number % 3).unwrap()]).unwrap())
    };
    let approval = |number: u64| Choice::Approval(pnyx_core::choice::ApprovalSet::from_bits(number % 8));
    let rig = Rig::new().await;
    for system in VotingSystem::ALL {
        let verdicts = match system {
            VotingSystem::Basic | VotingSystem::SingleChoice => verdicts(single),
            VotingSystem::Approval => verdicts(approval),
            VotingSystem::Weighted | VotingSystem::Quadratic => verdicts(weights),
            VotingSystem::RankedChoice | VotingSystem::Copeland => verdicts(ranking),
        };
        let definition = definition(system.name(), system, &["For", "Against", "Abstain"]);
        let id = rig.propose(&definition).await;
        for batch in verdicts.chunks(33) {
            rig.judge(id, batch).await;
        }
        let view = rig.counted(id).await;
        check(&rig, &definition, &view, &verdicts).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn verdicts_written_twice_count_once() {
    let rig = Rig::new().await;
    let definition = definition("twice", VotingSystem::SingleChoice, &["A", "B", "C"]);
    let id = rig.propose(&definition).await;
    let verdicts = verdicts(single);
    rig.judge(id, &verdicts).await;
    rig.judge(id, &verdicts[100..300]).await;
    rig.judge(id, &verdicts).await;
    let view = rig.counted(id).await;
    check(&rig, &definition, &view, &verdicts).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_at_any_moment_changes_nothing() {
    let definition = definition("restarts", VotingSystem::Weighted, &["A", "B", "C"]);
    let verdicts = verdicts(|number| Choice::Weights(Weights::new(vec![(1, 1), (2, u128::from(number + 1))]).unwrap()));
    let mut rig = Rig::new().await;
    let id = rig.propose(&definition).await;
    for (turn, batch) in verdicts.chunks(100).enumerate() {
        rig.judge(id, batch).await;
        // With the old store the new owners take up where the old ones were stopped; with an empty one they begin anew.
        let store = if turn % 2 == 0 { rig.store.clone() } else { Store::Memory(MemoryStore::new()) };
        rig = rig.restarted_with(store).await;
    }
    let view = rig.counted(id).await;
    check(&rig, &definition, &view, &verdicts).await;
}

async fn rebuilt_in_time(rig: &Rig, id: ProposalId, before: &ProposalView) {
    let is_back = async || rig.store.view(id).await.unwrap().unwrap() == *before;
    within(LOSS_NOTICED_WITHIN + REBUILD_MARGIN, "a lost lane is rebuilt although nothing arrives", is_back).await;
}

/// Judges in two parts, so that every owner has taken up its lane, and has counted that, when the second is counted.
/// Returns how lanes were taken up: an owner that begins late finds verdicts in the log.
async fn judge_twice(rig: &Rig, id: ProposalId, verdicts: &[Verdict]) -> [u64; 3] {
    let (first, second) = verdicts.split_at(verdicts.len() / 2);
    rig.judge(id, first).await;
    rig.counted(id).await;
    rig.judge(id, second).await;
    rig.counted(id).await;
    restored(rig)
}

/// Waits until so many lanes more were written anew from memory, and nothing else was restored: owners count it a moment
/// after they wrote.
async fn written_from_memory(rig: &Rig, [from_store, from_memory, from_log]: [u64; 3], lanes: u64) {
    let expected = [from_store, from_memory + lanes, from_log];
    eventually("each lost lane is written anew once", async || restored(rig) == expected).await;
}

/// Puts lanes back to where they were, each in one step, so that no owner finds a lane missing in between.
async fn fall_back(rig: &Rig, id: ProposalId, older: &[(Lane, LaneState)]) {
    for (lane, state) in older {
        let seen = rig.store.lane_position(id, *lane).await.unwrap();
        let replaced = rig.store.replace(id, *lane, seen, state.clone()).await.unwrap();
        assert_eq!(replaced, ApplyOutcome::Applied, "nobody else writes a lane that is counted");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_lost_lanes_is_rebuilt_although_nothing_arrives() {
    let rig = Rig::new().await;
    let definition = definition("lost", VotingSystem::SingleChoice, &["A", "B", "C"]);
    let id = rig.propose(&definition).await;
    let taken_up = judge_twice(&rig, id, &verdicts(single)).await;
    let before = rig.counted(id).await;

    rig.store.drop_lane(id, Lane(2)).await.unwrap();
    rebuilt_in_time(&rig, id, &before).await;
    rig.store.flush().await.unwrap();
    rebuilt_in_time(&rig, id, &before).await;
    written_from_memory(&rig, taken_up, 5).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_falls_back_is_written_anew_from_memory() {
    let rig = Rig::new().await;
    let definition = definition("back", VotingSystem::SingleChoice, &["A", "B", "C"]);
    let id = rig.propose(&definition).await;
    let verdicts = verdicts(single);
    rig.judge(id, &verdicts[..300]).await;
    rig.counted(id).await;
    let mut older = Vec::new();
    for lane in (0..definition.lanes()).map(Lane) {
        older.push((lane, rig.store.load_lane(id, lane).await.unwrap().unwrap()));
    }
    rig.judge(id, &verdicts[300..]).await;
    let before = rig.counted(id).await;
    let taken_up = restored(&rig);
    fall_back(&rig, id, &older).await;
    rebuilt_in_time(&rig, id, &before).await;
    written_from_memory(&rig, taken_up, 4).await;

    // An owner that begins then has nothing but that older state, and goes on from it.
    rig.stop().await;
    fall_back(&rig, id, &older).await;
    let store = rig.store.clone();
    let rig = rig.restarted_with(store).await;
    let view = rig.counted(id).await;
    check(&rig, &definition, &view, &verdicts).await;
    assert_eq!(restored(&rig), [4, 0, 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_that_does_not_add_up_is_counted_again() {
    let rig = Rig::new().await;
    let definition = definition("damaged", VotingSystem::SingleChoice, &["A", "B", "C"]);
    let id = rig.propose(&definition).await;
    let verdicts = verdicts(single);
    rig.judge(id, &verdicts).await;
    rig.counted(id).await;
    let mut state = rig.store.load_lane(id, Lane(1)).await.unwrap().unwrap();
    state.standing.pop();
    let seen = Some(state.position);
    let store = rig.store.clone();
    rig.store.replace(id, Lane(1), seen, state).await.unwrap();
    let rig = rig.restarted_with(store).await;
    eventually("every lane is taken up", async || restored(&rig) == [3, 0, 1]).await;
    check(&rig, &definition, &rig.counted(id).await, &verdicts).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_left_over_from_another_log_is_replaced() {
    let definition = definition("foreign", VotingSystem::SingleChoice, &["A", "B", "C"]);
    let rules = CountingRules::of(definition.proposal());
    let store = Store::Memory(MemoryStore::new());
    let id = definition.proposal().id();
    store.register(id, rules, definition.lanes()).await.unwrap();
    let mut foreign = Totals::empty(rules);
    foreign.add(&rules.contribution(&Choice::Single(1), pnyx_core::power::Power::ONE));
    let state = LaneState {
        position: LanePosition { log: LogIdentity([9; 16]), next_offset: 3, below_cut: false },
        totals: foreign,
        counters: LaneCounters::default(),
        standing: Vec::new(),
        places: Vec::new(),
    };
    store.replace(id, Lane(1), None, state).await.unwrap();

    let rig = Rig::new().await.restarted_with(store).await;
    rig.propose(&definition).await;
    let verdicts = verdicts(single);
    rig.judge(id, &verdicts).await;
    let view = rig.counted(id).await;
    check(&rig, &definition, &view, &verdicts).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ballots_of_another_log_are_not_served_until_they_are_replaced() {
    let rig = Rig::new().await;
    let definition = definition("foreign-ballots", VotingSystem::SingleChoice, &["A", "B", "C"]);
    let id = rig.propose(&definition).await;
    rig.judge(id, &[counts(0, voter(1), Choice::Single(1), "2")]).await;
    rig.counted(id).await;
    let path = |rest: String| format!("/v1/proposals/{id}/{rest}");
    let paths = [path("ballots".into()), path("leaderboard".into()), path(format!("voters/{}", voter(1)))];
    let shown = async || {
        let [ballots, leaderboard, of_voter] = &paths;
        let (ballots, leaderboard) = (rig.get(ballots).await.body, rig.get(leaderboard).await.body);
        let is_shown = |body: &serde_json::Value, list: &str| body[list].as_array().map(Vec::len);
        let of_voter = rig.get(of_voter).await.body;
        (is_shown(&ballots, "ballots"), is_shown(&leaderboard, "voters"), of_voter["ballot"].is_object())
    };
    assert_eq!(shown().await, (Some(1), Some(1), true));

    // Nobody replaces it: no owner is left.
    rig.stop().await;
    let lane = Lane::of_voter(voter(1), definition.lanes());
    let mut state = rig.store.load_lane(id, lane).await.unwrap().unwrap();
    state.position.log = LogIdentity([9; 16]);
    fall_back(&rig, id, &[(lane, state)]).await;
    assert_eq!(shown().await, (Some(0), Some(0), false));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_another_owner_is_noticed_and_nothing_counts_twice() {
    let rig = Rig::new().await;
    let definition = definition("two-owners", VotingSystem::SingleChoice, &["A", "B", "C"]);
    let id = rig.propose(&definition).await;
    let rules = CountingRules::of(definition.proposal());
    let lane = Lane::of_voter(voter(1), definition.lanes());
    let first = counts(0, voter(1), Choice::Single(1), "2");
    // The other owner is faster: it applies the verdict that is about to be written.
    let Ruling::Counts(ballot) = first.ruling.clone() else { unreachable!("made as counting") };
    let (mut tally, mut delta) = (LaneTally::new(rules), TotalsDelta::empty(rules));
    tally.apply(first.place, ballot, &mut delta);
    let standing: Vec<(Voter, _)> = tally.standing().iter().map(|(voter, ballot)| (*voter, ballot.clone())).collect();
    let counters = LaneCounters { counting: 1, ..LaneCounters::default() };
    let log = rig.log.identity();
    let mut bits = [0; PLACE_BLOCK_WORDS];
    bits[0] = 1;
    let places = vec![PlaceBlock { partition: 0, block: 0, bits }];
    let (from_offset, next_offset, below_cut) = (0, 1, false);
    let batch = LaneBatch { log, from_offset, next_offset, below_cut, delta, counters, standing, places };
    rig.store.register(id, rules, definition.lanes()).await.unwrap();
    rig.store.apply(id, lane, batch).await.unwrap();
    let verdicts = [first, counts(2, voter(1), Choice::Single(2), "2")];
    rig.judge(id, &verdicts).await;
    let view = rig.counted(id).await;
    check(&rig, &definition, &view, &verdicts).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn poison_is_skipped_and_reported_once() {
    let rig = Rig::new().await;
    let definition = definition("poison", VotingSystem::SingleChoice, &["A", "B"]);
    let id = rig.propose(&definition).await;
    let good = counts(1, voter(1), Choice::Single(2), "3");
    let lane = u32::from(good.lane(definition.lanes()).0);
    let elsewhere = (lane + 1) % 4;
    rig.write(id, lane, b"not a verdict".to_vec()).await;
    rig.write(id, elsewhere, pnyx_core::wire::verdict::encode(&good)).await;
    rig.judge(id, &[counts(3, voter(1), Choice::Single(3), "3"), good.clone()]).await;
    let view = rig.counted(id).await;
    check(&rig, &definition, &view, std::slice::from_ref(&good)).await;

    rig.store.flush().await.unwrap();
    let before = view;
    rebuilt_in_time(&rig, id, &before).await;
    assert!(rig.metrics.encode().contains("pnyx_tally_verdicts_poison_total 3"), "{}", rig.metrics.encode());
}

#[tokio::test(flavor = "multi_thread")]
async fn verdicts_beyond_the_cut_are_taken_out_again() {
    let rig = Rig::new().await;
    let definition = definition("cut", VotingSystem::SingleChoice, &["A", "B", "C"]);
    let id = rig.propose(&definition).await;
    let verdicts = verdicts(single);
    rig.judge(id, &verdicts[..400]).await;
    let past_the_cut = rig.counted(id).await;
    rig.cut(id, &[150, 140]).await;
    rig.judge(id, &verdicts[400..]).await;

    let below: Vec<_> = verdicts
        .iter()
        .filter(|verdict| verdict.place.offset < [150, 140][usize::try_from(verdict.place.partition).unwrap()])
        .cloned()
        .collect();
    let view = rig.counted(id).await;
    assert_ne!(view.totals, past_the_cut.totals);
    check(&rig, &definition, &view, &below).await;

    // A restart with the cut known, over the store and over an empty one, comes to the same.
    let store = rig.store.clone();
    let rig = rig.restarted_with(store).await;
    check(&rig, &definition, &rig.counted(id).await, &below).await;
    let rig = rig.restarted_with(Store::Memory(MemoryStore::new())).await;
    check(&rig, &definition, &rig.counted(id).await, &below).await;
}

/// How many lanes were restored from the store, from memory and from the log.
fn restored(rig: &Rig) -> [u64; 3] {
    let metrics = rig.metrics.encode();
    ["Checkpoint", "Memory", "Log"].map(|from| {
        let name = format!("pnyx_tally_lanes_restored_total{{from=\"{from}\"}} ");
        let figure = metrics.lines().find_map(|line| line.strip_prefix(&name));
        figure.unwrap_or_else(|| panic!("no {name} in {metrics}")).parse().unwrap()
    })
}

/// Of each lane, what the store says of the cut.
async fn below_cut(rig: &Rig, definition: &Definition) -> Vec<bool> {
    let mut said = Vec::new();
    for lane in (0..definition.lanes()).map(Lane) {
        let position = rig.store.lane_position(definition.proposal().id(), lane).await.unwrap();
        said.push(position.is_some_and(|position| position.below_cut));
    }
    said
}

#[tokio::test(flavor = "multi_thread")]
async fn every_lane_says_that_it_lies_below_the_cut_although_nothing_arrives() {
    let rig = Rig::new().await;
    let definition = definition("below", VotingSystem::SingleChoice, &["A", "B", "C"]);
    let id = rig.propose(&definition).await;
    // One lane stays below the cut, one goes past it, two have no verdicts at all.
    let in_lane =
        |lane| (1..).map(voter).find(|voter| Lane::of_voter(*voter, definition.lanes()) == Lane(lane)).unwrap();
    let below = counts(0, in_lane(0), Choice::Single(1), "1");
    rig.judge(id, &[below.clone(), counts(8, in_lane(1), Choice::Single(2), "1")]).await;
    rig.counted(id).await;
    assert_eq!(below_cut(&rig, &definition).await, [false; 4], "there is no cut yet");

    rig.cut(id, &[3, 3]).await;
    let all = || async { below_cut(&rig, &definition).await == [true; 4] };
    eventually("all lanes lie below the cut", all).await;
    let view = rig.store.view(id).await.unwrap().unwrap();
    check(&rig, &definition, &view, std::slice::from_ref(&below)).await;

    rig.store.flush().await.unwrap();
    eventually("all lanes say it again", all).await;
    let view = rig.store.view(id).await.unwrap().unwrap();
    check(&rig, &definition, &view, std::slice::from_ref(&below)).await;

    // New owners find all of that in the store and have nothing to rebuild.
    let store = rig.store.clone();
    let rig = rig.restarted_with(store).await;
    rig.judge(id, &[counts(10, in_lane(1), Choice::Single(2), "1")]).await;
    check(&rig, &definition, &rig.counted(id).await, &[below]).await;
    assert_eq!(below_cut(&rig, &definition).await, [true; 4]);
    // Lanes where nothing arrived may be taken up last.
    eventually("every lane is taken up", async || restored(&rig).iter().sum::<u64>() >= 4).await;
    assert_eq!(restored(&rig), [4, 0, 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_final_proposal_is_served_and_rebuilt_and_takes_nothing_more() {
    let rig = Rig::new().await;
    let definition = definition("final", VotingSystem::SingleChoice, &["A", "B", "C"]);
    let id = rig.propose(&definition).await;
    let verdicts = verdicts(single);
    let taken_up = judge_twice(&rig, id, &verdicts).await;
    let cut = rig.cut(id, &[250, 250]).await;
    rig.counted(id).await;
    assert_eq!(restored(&rig), taken_up, "no lane went past the cut");
    rig.publish(&definition, cut).await;
    rig.judge(id, &verdicts[..50]).await;
    rig.judge(id, &[counts(600, voter(1), Choice::Single(1), "1000")]).await;
    let view = rig.counted(id).await;
    check(&rig, &definition, &view, &verdicts).await;
    rig.store.flush().await.unwrap();
    rebuilt_in_time(&rig, id, &view).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn drained_means_verified_and_counted_up_to_the_cut() {
    let rig = Rig::new().await;
    let definition = definition("drain", VotingSystem::SingleChoice, &["A", "B"]);
    let id = rig.propose(&definition).await;
    let topic = Topic::ballots(id);
    let records = (0..4).map(|number| (number % 2, vec![1])).collect();
    rig.log.append_batch(&topic, records).await.unwrap();
    let cut = rig.cut(id, &[2, 2]).await;
    let verified = async || drain::verifiers_reached(&rig.log, definition.proposal(), &cut).await.unwrap();
    let phase = async || rig.get(&format!("/v1/proposals/{id}")).await.body["phase"].clone();
    assert_eq!(verified().await, None, "nothing is verified yet");
    let consumer = rig.log.subscribe(&topic, VERIFIER_GROUP).unwrap();
    rig.judge(id, &[counts(0, voter(1), Choice::Single(1), "1")]).await;
    consumer.commit(0, 2).await.unwrap();
    assert_eq!(verified().await, None, "one partition is not verified");
    assert_eq!(phase().await, "draining");
    consumer.commit(1, 2).await.unwrap();
    let ends = verified().await.expect("everything is verified");
    let reached = async || drain::tally_reached(&rig.store, rig.log.identity(), id, &ends, true).await.unwrap();
    eventually("the tally is drained", reached).await;
    eventually("the phase says so", async || phase().await == "recounting").await;
}

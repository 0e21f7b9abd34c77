//! The suite over a real Redis, and what only Redis can do to a lane.

use std::{sync::Arc, time::Duration};

use pnyx_backbone::{
    store::{ApplyOutcome, LaneBatch, LaneState, RedisAddress, RedisConfig, Store, StoreError},
    telemetry::Metrics,
};
use pnyx_core::{
    id::{Lane, ProposalId},
    proposal::VotingSystem,
};
use pnyx_testbed::{RedisCluster, RedisOptions, RedisServer};
use proptest::{
    strategy::{Strategy as _, ValueTree as _},
    test_runner::TestRunner,
};

use crate::{
    owners::{self, LOG, OTHER_LOG, Owner, Verdict, assert_same, assert_same_state, rules},
    redis_rig::{LEAST_RIGHTS, PROPOSAL, address, config, eventually, file, key, open, server},
    suite::{self, batch, changed, fenced, large_state},
};

/// Scripts that are run over Redis: each is some hundred round trips.
const SCRIPTS: u16 = 24;

/// Runs random scripts, each over a proposal of its own.
async fn run_scripts(store: &Store) {
    let mut runner = TestRunner::deterministic();
    for number in 0..SCRIPTS {
        let script = owners::scripts().new_tree(&mut runner).unwrap().current();
        let mut id = [2; 32];
        id[..2].copy_from_slice(&number.to_be_bytes());
        script.run(store, ProposalId::new(id)).await;
    }
}

async fn run_suite(config: RedisConfig) {
    let store = open(config).await;
    suite::a_stale_owner_is_fenced(&store, ProposalId::new([11; 32])).await;
    suite::what_lies_below_the_cut_stays_there_until_the_lane_is_lost(&store, ProposalId::new([12; 32])).await;
    suite::a_stamp_is_that_of_one_write(&store, ProposalId::new([16; 32])).await;
    suite::what_was_never_registered_is_unknown(&store, ProposalId::new([13; 32])).await;
    suite::a_lane_is_loaded_as_it_was_written(&store, ProposalId::new([14; 32])).await;
    suite::the_largest_powers_are_exact(&store, ProposalId::new([15; 32])).await;
    run_scripts(&store).await;
}

#[tokio::test]
async fn redis_does_what_every_store_does() {
    let server = server();
    run_suite(config(&server)).await;
}

#[tokio::test]
async fn a_user_with_the_least_rights_can_do_all_of_it() {
    let server = RedisServer::start(RedisOptions::new().user("pnyx", "secret", LEAST_RIGHTS)).unwrap();
    let password = file("secret\n");
    let (username, password_file) = (Some("pnyx".to_owned()), Some(password.path().to_owned()));
    run_suite(RedisConfig { username, password_file, ..config(&server) }).await;
}

#[tokio::test]
async fn a_cluster_does_all_of_it() {
    let cluster = RedisCluster::start().unwrap();
    let nodes = cluster.nodes().iter().map(|node| address(&node.address())).collect();
    run_suite(RedisConfig::new(RedisAddress::Cluster { nodes })).await;
}

/// Verdicts of a lane of the test's proposal, all of voters who count.
fn some_verdicts() -> Vec<Verdict> {
    (0..50_u8)
        .map(|number| {
            let rules = rules(VotingSystem::SingleChoice);
            Verdict::Counts(pnyx_core::verdict::CountingBallot {
                voter: owners::voter(number % 20),
                digest: pnyx_core::id::Digest::new([number; 32]),
                signed_at_s: u64::from(number),
                choice: owners::choice_of(rules, number % 3 + 1),
                power: owners::power(u64::from(number % 20) + 1),
                check: pnyx_core::signature_check::SignatureCheck::Key,
            })
        })
        .collect()
}

/// A store with one lane, of one proposal.
async fn open_one_lane(config: RedisConfig) -> Store {
    let store = open(config).await;
    store.register(PROPOSAL, rules(VotingSystem::SingleChoice), 1).await.unwrap();
    store
}

#[tokio::test]
async fn what_other_processes_registered_and_wrote_is_seen() {
    let server = server();
    let rules = rules(VotingSystem::SingleChoice);
    let (one, other) = (open(config(&server)).await, open(config(&server)).await);
    one.register(PROPOSAL, rules, 1).await.unwrap();
    assert_eq!(other.view(PROPOSAL).await.unwrap(), None, "it is not registered there");
    // Left by another log, whose definition had more lanes.
    open(config(&server)).await.register(PROPOSAL, rules, 2).await.unwrap();
    other.register(PROPOSAL, rules, 1).await.unwrap();

    let mut changes = other.changes(PROPOSAL).unwrap();
    // The first poll may say so by itself, since whoever watches may have read before.
    while tokio::time::timeout(Duration::from_millis(2_500), changes.changed()).await.is_ok() {}
    let mut owner = Owner::new(Lane(0), rules);
    owner.work(&one, PROPOSAL, &some_verdicts(), 30).await;
    let heard = tokio::time::timeout(Duration::from_millis(300), changes.changed()).await;
    heard.expect("a message tells it long before the poll does").unwrap();
    assert_same(&other, PROPOSAL, rules, &[owner]).await;
}

#[tokio::test]
async fn losing_everything_is_heard_of_and_fences_the_owner() {
    let server = server();
    let store = open_one_lane(config(&server)).await;
    let mut owner = Owner::new(Lane(0), rules(VotingSystem::SingleChoice));
    owner.work(&store, PROPOSAL, &some_verdicts(), 20).await;
    let mut changes = store.changes(PROPOSAL).unwrap();
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    changes.mark_unchanged();
    server.flush_all().unwrap();
    changed(&mut changes).await;
    assert_eq!(store.view(PROPOSAL).await.unwrap().unwrap().positions, [None]);
    assert_eq!(store.apply(PROPOSAL, Lane(0), batch(20, 21)).await.unwrap(), fenced(0));
    owner.work(&store, PROPOSAL, &some_verdicts(), 20).await;
    assert_same(&store, PROPOSAL, rules(VotingSystem::SingleChoice), &[owner]).await;
}

#[tokio::test]
async fn an_older_snapshot_fences_the_owner() {
    let server = server();
    let store = open_one_lane(config(&server)).await;
    let verdicts = some_verdicts();
    let mut owner = Owner::new(Lane(0), rules(VotingSystem::SingleChoice));
    owner.work(&store, PROPOSAL, &verdicts, 20).await;
    let snapshot = server.snapshot().unwrap();
    let older = owner.clone();
    owner.work(&store, PROPOSAL, &verdicts, 20).await;
    server.restart_from(&snapshot).unwrap();
    let position = async || store.lane_position(PROPOSAL, Lane(0)).await.ok();
    assert_eq!(eventually(Duration::from_secs(5), position).await, Some(older.state().position));
    owner.work(&store, PROPOSAL, &verdicts, 5).await;
    assert_same(&store, PROPOSAL, rules(VotingSystem::SingleChoice), &[owner]).await;
}

#[tokio::test]
async fn two_owners_at_once_count_each_verdict_once() {
    let server = server();
    let rules = rules(VotingSystem::SingleChoice);
    let verdicts: Vec<_> = std::iter::repeat_n(some_verdicts(), 8).flatten().collect();
    let verdicts = Arc::new(verdicts);
    let mut tasks = tokio::task::JoinSet::new();
    for number in 1..=4 {
        let (verdicts, store) = (Arc::clone(&verdicts), open_one_lane(config(&server)).await);
        tasks.spawn(async move {
            let mut owner = Owner::new(Lane(0), rules);
            while owner.next_offset < verdicts.len() as u64 {
                let batch = owner.fold(&verdicts, number);
                if store.apply(PROPOSAL, Lane(0), batch).await.unwrap() != ApplyOutcome::Applied {
                    // It goes on from where the others are.
                    let stored = store.lane_position(PROPOSAL, Lane(0)).await.unwrap().unwrap().next_offset;
                    let mut at_stored = Owner::new(Lane(0), rules);
                    at_stored.fold(&verdicts, usize::try_from(stored).unwrap());
                    owner = at_stored;
                }
            }
        });
    }
    tasks.join_all().await;
    let mut expected = Owner::new(Lane(0), rules);
    expected.fold(&verdicts, usize::MAX);
    assert_same(&open_one_lane(config(&server)).await, PROPOSAL, rules, &[expected]).await;
}

#[tokio::test]
async fn another_logs_leftovers_fence_until_they_are_replaced() {
    let server = server();
    let store = open_one_lane(config(&server)).await;
    let rules = rules(VotingSystem::SingleChoice);
    let mut left = large_state(rules, 100);
    left.position.log = OTHER_LOG;
    assert_eq!(store.replace(PROPOSAL, Lane(0), None, left.clone()).await.unwrap(), ApplyOutcome::Applied);
    let mut owner = Owner::new(Lane(0), rules);
    let first = owner.fold(&some_verdicts(), 5);
    assert_eq!(store.apply(PROPOSAL, Lane(0), first).await.unwrap(), fenced(left.position.next_offset));
    let replaced = store.replace(PROPOSAL, Lane(0), Some(left.position), owner.state()).await.unwrap();
    assert_eq!(replaced, ApplyOutcome::Applied);
    assert_same(&store, PROPOSAL, rules, &[owner]).await;
}

/// The position is lost and the rest is not: nothing of the rest is taken over.
#[tokio::test]
async fn a_lane_without_its_position_starts_anew() {
    let server = server();
    let store = open_one_lane(config(&server)).await;
    let rules = rules(VotingSystem::SingleChoice);
    assert_eq!(store.replace(PROPOSAL, Lane(0), None, large_state(rules, 100)).await.unwrap(), ApplyOutcome::Applied);
    server.command(&["DEL", &key("t:0")]).unwrap();
    assert_eq!(store.lane_position(PROPOSAL, Lane(0)).await.unwrap(), None);
    let mut owner = Owner::new(Lane(0), rules);
    owner.work(&store, PROPOSAL, &some_verdicts(), 5).await;
    assert_same(&store, PROPOSAL, rules, &[owner]).await;
}

#[tokio::test]
async fn damage_is_noticed_and_healed_by_a_replacement() {
    let server = server();
    let store = open_one_lane(config(&server)).await;
    let Store::Redis(redis) = &store else { unreachable!() };
    let metrics = Metrics::new();
    redis.register_metrics(&metrics);
    let rules = rules(VotingSystem::SingleChoice);
    let state = large_state(rules, 100);
    let put_back = async || {
        store.drop_lane(PROPOSAL, Lane(0)).await.unwrap();
        assert_eq!(store.replace(PROPOSAL, Lane(0), None, state.clone()).await.unwrap(), ApplyOutcome::Applied);
        assert_same_state(&store.load_lane(PROPOSAL, Lane(0)).await.unwrap().unwrap(), &state);
    };
    let first = String::from_utf8_lossy(&[0, 0]).into_owned() + &"\u{7}".repeat(18);
    let (t, s, v, l, p) = (key("t:0"), key("s:0"), key("v:0"), key("l:0"), key("p:0"));
    for damage in [
        &["HDEL", &s, &first][..],
        &["HSET", &s, &first, "nonsense"],
        &["ZREM", &v, &first],
        &["ZADD", &l, "0", "nonsense"],
        &["HSET", &p, "nonsense", "nonsense"],
        &["DEL", &s],
        &["BITFIELD", &t, "INCRBY", "i64", "#6", "1"],
        &["BITFIELD", &t, "INCRBY", "i64", "#79", "1"],
        &["BITFIELD", &t, "SET", "i64", "#79", "-1"],
        &["APPEND", &t, "x"],
        &["SET", &t, "short"],
        &["SET", &s, "another type"],
    ] {
        put_back().await;
        server.command(damage).unwrap();
        let error = store.load_lane(PROPOSAL, Lane(0)).await.expect_err(damage[0]);
        assert!(matches!(error, StoreError::Damaged { .. }), "{damage:?}: {error:?}");
        // Readers get an answer or an error, and never a panic.
        let _ = store.view(PROPOSAL).await;
        let _ = store.leaderboard(PROPOSAL, None, 1_000).await;
        let _ = store.standing_after(PROPOSAL, None, 1_000).await;
        let _ = store.apply(PROPOSAL, Lane(0), LaneBatch { below_cut: true, ..batch(1 << 40, 1 << 40) }).await;
    }
    put_back().await;
    server.command(&["HDEL", &s, &first]).unwrap();
    assert_eq!(store.standing_after(PROPOSAL, None, 1_000).await.unwrap().len(), 99);
    let text = metrics.encode();
    let damaged = text.lines().find(|line| line.starts_with("pnyx_store_damaged_entries_total")).unwrap();
    assert_ne!(damaged, "pnyx_store_damaged_entries_total 0");
}

/// The library of another version has other names, so both work at once.
#[tokio::test]
async fn two_versions_of_the_library_work_side_by_side() {
    let server = server();
    let other = include_str!("../../src/store/redis/library.lua").replace("pnyx_1", "pnyx_2");
    server.command(&["FUNCTION", "LOAD", &other]).unwrap();
    let store = open_one_lane(config(&server)).await;
    let mut owner = Owner::new(Lane(0), rules(VotingSystem::SingleChoice));
    owner.work(&store, PROPOSAL, &some_verdicts(), 5).await;
    let list = server.command(&["FUNCTION", "LIST"]).unwrap();
    assert!(list.contains("pnyx_1_apply") && list.contains("pnyx_2_apply"), "{list}");
    // Somebody else's rollback takes it away: it is loaded again.
    server.command(&["FUNCTION", "FLUSH"]).unwrap();
    owner.work(&store, PROPOSAL, &some_verdicts(), 5).await;
    assert_same(&store, PROPOSAL, rules(VotingSystem::SingleChoice), &[owner]).await;
}

/// A writer that dies while it stages leaves nothing for ever, and what it staged is in nobody's way.
#[tokio::test]
async fn what_was_staged_expires() {
    let server = server();
    let store = open_one_lane(config(&server)).await;
    let state = large_state(rules(VotingSystem::SingleChoice), 3_000);
    let left = format!("{}:x:0:00000000000000ff:s", key("").trim_end_matches(':'));
    server.command(&["HSET", &left, "a", "b"]).unwrap();
    let replacing = store.replace(PROPOSAL, Lane(0), None, state.clone());
    assert_eq!(replacing.await.unwrap(), ApplyOutcome::Applied);
    for kind in ["t:0", "s:0", "v:0", "l:0", "p:0"] {
        assert_eq!(server.command(&["TTL", &key(kind)]).unwrap(), "-1", "{kind}");
    }
    let mut staging = Box::pin(store.replace(PROPOSAL, Lane(0), Some(state.position), state.clone()));
    // Given up in the middle of it.
    let _ = tokio::time::timeout(Duration::from_millis(3), &mut staging).await;
    drop(staging);
    tokio::time::sleep(Duration::from_millis(100)).await;
    for key in server.command(&["KEYS", &format!("{}x:*", key(""))]).unwrap().lines().filter(|key| *key != left) {
        let ttl: i64 = server.command(&["TTL", key]).unwrap().parse().unwrap();
        assert!((1..=120).contains(&ttl), "{key} {ttl}");
    }
    assert_same_state(&store.load_lane(PROPOSAL, Lane(0)).await.unwrap().unwrap(), &LaneState { ..state });
}

/// A lane is loaded while another owner writes it: what comes out is a state the lane had, or nothing.
#[tokio::test]
async fn a_lane_is_loaded_of_one_instant() {
    let server = server();
    let rules = rules(VotingSystem::SingleChoice);
    let (writer, reader) = (open_one_lane(config(&server)).await, open_one_lane(config(&server)).await);
    let verdicts: Vec<_> = std::iter::repeat_n(some_verdicts(), 10).flatten().collect();
    let mut owner = Owner::new(Lane(0), rules);
    let mut loaded = 0;
    while owner.next_offset < verdicts.len() as u64 {
        let write = async {
            for _ in 0..3 {
                owner.work(&writer, PROPOSAL, &verdicts, 1).await;
            }
        };
        let (state, ()) = tokio::join!(reader.load_lane(PROPOSAL, Lane(0)), write);
        match state {
            Ok(Some(state)) => {
                assert_eq!(state.position.log, LOG);
                let mut expected = Owner::new(Lane(0), rules);
                expected.fold(&verdicts, usize::try_from(state.position.next_offset).unwrap());
                assert_same_state(&state, &expected.state());
                loaded += 1;
            }
            Ok(None) | Err(StoreError::Unavailable { .. }) => {}
            Err(error) => panic!("{error:?}"),
        }
    }
    assert!(loaded > 0);
}

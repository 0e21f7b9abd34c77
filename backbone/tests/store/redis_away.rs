//! Redis is away for a while, or somewhere else.

use std::time::{Duration, Instant};

use pnyx_backbone::store::{ApplyOutcome, RedisAddress, RedisConfig, Store, StoreError};
use pnyx_core::{id::Lane, proposal::VotingSystem};
use pnyx_testbed::{Proxy, RedisSentinel};

use crate::{
    owners::rules,
    redis_rig::{PROPOSAL, address, config, eventually, open, server},
    suite::{batch, changed},
};

/// Longest time until a call fails while Redis is away, with room for a machine that is busy with other tests.
const FAILS_WITHIN: Duration = Duration::from_secs(3);

/// Longest time until calls work again after Redis is back.
const WORKS_WITHIN: Duration = Duration::from_secs(10);

async fn open_one_lane(config: RedisConfig) -> Store {
    let store = open(config).await;
    store.register(PROPOSAL, rules(VotingSystem::SingleChoice), 1).await.unwrap();
    assert_eq!(store.apply(PROPOSAL, Lane(0), batch(0, 1)).await.unwrap(), ApplyOutcome::Applied);
    store
}

async fn assert_unavailable(store: &Store) {
    for _ in 0..3 {
        let started = Instant::now();
        let error = store.view(PROPOSAL).await.unwrap_err();
        assert!(matches!(error, StoreError::Unavailable { .. }), "{error:?}");
        assert!(started.elapsed() < FAILS_WITHIN, "{:?}", started.elapsed());
        let error = store.apply(PROPOSAL, Lane(0), batch(1, 2)).await.unwrap_err();
        assert!(matches!(error, StoreError::Unavailable { .. }), "{error:?}");
    }
    let error = store.register(PROPOSAL, rules(VotingSystem::SingleChoice), 1).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error:?}");
}

async fn works_again(store: &Store) {
    let view = async || store.view(PROPOSAL).await.ok();
    eventually(WORKS_WITHIN, view).await.expect("it stays registered");
}

#[tokio::test]
async fn calls_fail_while_redis_is_down_and_work_again_afterwards() {
    let server = server();
    let store = open_one_lane(config(&server)).await;
    let mut changes = store.changes(PROPOSAL).unwrap();
    server.kill().unwrap();
    assert_unavailable(&store).await;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    changes.mark_unchanged();
    server.restart().unwrap();
    works_again(&store).await;
    // Nothing was saved: whoever watches hears of it, and the lane starts anew.
    changed(&mut changes).await;
    assert_eq!(store.view(PROPOSAL).await.unwrap().unwrap().positions, [None]);
    assert_eq!(store.apply(PROPOSAL, Lane(0), batch(0, 1)).await.unwrap(), ApplyOutcome::Applied);
}

#[tokio::test]
async fn a_redis_that_does_not_answer_is_given_up() {
    let server = server();
    let store = open_one_lane(config(&server)).await;
    server.pause().unwrap();
    assert_unavailable(&store).await;
    server.resume().unwrap();
    works_again(&store).await;
    // A batch whose answer was not waited for was applied once or not at all.
    let position = store.lane_position(PROPOSAL, Lane(0)).await.unwrap().unwrap();
    assert!((1..=2).contains(&position.next_offset), "{position:?}");
}

/// The network swallows everything: the subscription is dead without knowing it.
#[tokio::test]
async fn changes_are_heard_of_although_messages_are_lost() {
    let server = server();
    let proxy = Proxy::start(server.address().parse().unwrap()).unwrap();
    let near = open_one_lane(config(&server)).await;
    let far = open(RedisConfig::new(RedisAddress::Single(address(&proxy.address().to_string())))).await;
    far.register(PROPOSAL, rules(VotingSystem::SingleChoice), 1).await.unwrap();
    let mut changes = far.changes(PROPOSAL).unwrap();
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    proxy.cut();
    changes.mark_unchanged();
    assert_eq!(near.apply(PROPOSAL, Lane(0), batch(1, 2)).await.unwrap(), ApplyOutcome::Applied);
    assert_unavailable(&far).await;
    proxy.restore().unwrap();
    changed(&mut changes).await;
    works_again(&far).await;
    assert_eq!(far.lane_position(PROPOSAL, Lane(0)).await.unwrap().unwrap().next_offset, 2);
}

#[tokio::test]
async fn a_failover_is_followed() {
    let sentinel = RedisSentinel::start().unwrap();
    let sentinels = sentinel.sentinels().iter().map(|sentinel| address(&sentinel.to_string())).collect();
    let master = sentinel.name().to_owned();
    let store =
        open_one_lane(RedisConfig::new(RedisAddress::Sentinel { master, sentinels, password_file: None })).await;
    let before = sentinel.primary().unwrap();
    let failed = sentinel.servers().iter().find(|server| server.address() == before).unwrap();
    // Paused and not killed: it comes back believing that it is the master, and is made a replica while it is used.
    failed.pause().unwrap();
    sentinel.wait_for_another_primary(&before, Duration::from_secs(30)).unwrap();
    works_again(&store).await;
    let next = store.lane_position(PROPOSAL, Lane(0)).await.unwrap().map_or(0, |position| position.next_offset);
    assert_eq!(store.apply(PROPOSAL, Lane(0), batch(next, next + 1)).await.unwrap(), ApplyOutcome::Applied);
    failed.resume().unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(store.apply(PROPOSAL, Lane(0), batch(next + 1, next + 2)).await.unwrap(), ApplyOutcome::Applied);
}

/// Nobody tells a server's clients that it became a replica, until they write.
#[tokio::test]
async fn a_master_that_becomes_a_replica_is_left() {
    let (one, other) = (server(), server());
    let store = open_one_lane(config(&one)).await;
    let other = other.address();
    let (host, port) = other.rsplit_once(':').unwrap();
    one.command(&["REPLICAOF", host, port]).unwrap();
    let refused = async || store.apply(PROPOSAL, Lane(0), batch(1, 2)).await.err();
    let error = eventually(WORKS_WITHIN, refused).await;
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error:?}");
    one.command(&["REPLICAOF", "NO", "ONE"]).unwrap();
    works_again(&store).await;
}

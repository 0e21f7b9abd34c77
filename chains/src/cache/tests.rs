//! The cache: bounded, right, and nothing looked up twice.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use alloy_primitives::U256;
use pnyx_core::power::Power;
use tokio::sync::Notify;

use super::*;

fn voter(number: u32) -> Voter {
    let mut bytes = [0; 20];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    Voter::new(bytes)
}

/// A power that belongs to the voter alone.
fn power_of(voter: Voter) -> VoterPower {
    let number = u32::from_be_bytes(*voter.as_bytes().first_chunk().unwrap());
    match number % 5 {
        0 => VoterPower::Unavailable,
        1 => VoterPower::Known(Power::max()),
        _ => VoterPower::Known(Power::from_units(U256::from(number)).unwrap()),
    }
}

fn cache(bytes_max: usize) -> PowerCache {
    PowerCache::new(bytes_max, CacheMetrics::default())
}

async fn look_up(cache: &PowerCache, voters: &[Voter], asked: &AtomicUsize) -> Vec<VoterPower> {
    let found = cache.powers(voters, async |open: Vec<Voter>| {
        asked.fetch_add(open.len(), Ordering::Relaxed);
        Ok::<_, ()>(open.into_iter().map(power_of).collect())
    });
    found.await.unwrap()
}

#[tokio::test]
async fn a_voter_is_looked_up_once() {
    let (cache, asked) = (cache(CACHE_BYTES_DEFAULT), AtomicUsize::new(0));
    let voters: Vec<Voter> = (0..100).chain(0..50).map(voter).collect();
    let expected: Vec<VoterPower> = voters.iter().copied().map(power_of).collect();
    assert_eq!(look_up(&cache, &voters, &asked).await, expected);
    assert_eq!(look_up(&cache, &voters, &asked).await, expected);
    assert_eq!(asked.into_inner(), 100);
    assert_eq!((cache.metrics.misses.get(), cache.metrics.hits.get()), (100, 150));
}

#[tokio::test]
async fn failures_are_forgotten() {
    let cache = cache(CACHE_BYTES_DEFAULT);
    let failed = cache.powers(&[voter(7)], async |_| Err::<Vec<VoterPower>, _>("no endpoint")).await;
    assert_eq!(failed, Err("no endpoint"));
    let asked = AtomicUsize::new(0);
    assert_eq!(look_up(&cache, &[voter(7)], &asked).await, [power_of(voter(7))]);
    assert_eq!(asked.into_inner(), 1);
}

#[tokio::test]
async fn the_same_look_up_is_not_made_twice_at_once() {
    let cache = Arc::new(cache(CACHE_BYTES_DEFAULT));
    let (started, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let first = tokio::spawn({
        let (cache, started, go) = (Arc::clone(&cache), Arc::clone(&started), Arc::clone(&go));
        async move {
            let voters = [voter(2), voter(3)];
            let found = cache.powers(&voters, async |open: Vec<Voter>| {
                started.notify_one();
                go.notified().await;
                Ok::<_, ()>(open.into_iter().map(power_of).collect())
            });
            found.await.unwrap()
        }
    });
    started.notified().await;
    let asked = Arc::new(AtomicUsize::new(0));
    let second = tokio::spawn({
        let (cache, asked) = (Arc::clone(&cache), Arc::clone(&asked));
        async move { look_up(&cache, &[voter(3), voter(4)], &asked).await }
    });
    while asked.load(Ordering::Relaxed) == 0 {
        tokio::task::yield_now().await;
    }
    go.notify_one();
    assert_eq!(second.await.unwrap(), [power_of(voter(3)), power_of(voter(4))]);
    assert_eq!(first.await.unwrap(), [power_of(voter(2)), power_of(voter(3))]);
    assert_eq!(asked.load(Ordering::Relaxed), 1, "only the fourth was new");
    assert_eq!(cache.metrics.joined.get(), 1);
}

#[tokio::test]
async fn whoever_waits_looks_up_what_the_other_gave_up() {
    let cache = Arc::new(cache(CACHE_BYTES_DEFAULT));
    let started = Arc::new(Notify::new());
    let first = tokio::spawn({
        let (cache, started) = (Arc::clone(&cache), Arc::clone(&started));
        async move {
            let voters = [voter(2)];
            let never = cache.powers(&voters, async |_: Vec<Voter>| {
                started.notify_one();
                std::future::pending::<Result<Vec<VoterPower>, ()>>().await
            });
            never.await
        }
    });
    started.notified().await;
    let asked = AtomicUsize::new(0);
    let voters = [voter(2)];
    let second = look_up(&cache, &voters, &asked);
    let (found, _) = tokio::join!(second, async { first.abort() });
    assert_eq!(found, [power_of(voter(2))]);
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn memory_is_bounded() {
    const BYTES: usize = 1_000_000;
    let (cache, asked) = (cache(BYTES), AtomicUsize::new(0));
    let mut most = 0;
    for first in (0..100_000).step_by(500) {
        let voters: Vec<Voter> = (first..first + 500).map(voter).collect();
        look_up(&cache, &voters, &asked).await;
        most = most.max(cache.bytes());
    }
    assert!((BYTES / 4..=BYTES).contains(&most), "{most}");
    assert_eq!(cache.metrics.bytes.get(), i64::try_from(cache.bytes()).unwrap());
    let gauge = cache.metrics.bytes.clone();
    drop(cache);
    assert_eq!(gauge.get(), 0);
}

#[tokio::test]
async fn voters_that_are_asked_for_stay() {
    let (cache, asked) = (cache(KnownPowers::bytes_for(10)), AtomicUsize::new(0));
    for number in 1..1_000 {
        look_up(&cache, &[voter(0), voter(number)], &asked).await;
    }
    assert_eq!(asked.into_inner(), 1_000);
}

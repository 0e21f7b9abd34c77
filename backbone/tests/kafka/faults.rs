//! Brokers die and hang; nothing that was acknowledged is lost, and everything goes on by itself.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use pnyx_backbone::log::{AppendError, AppendTo, Log, LogError, RECORD_BYTES_MAX, kafka::KafkaConfig};
use pnyx_testbed::{KafkaCluster, KafkaOptions, Listener};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

use crate::{HANG, ballots, config_of_one, open, verdicts};

/// A record is given up after 4 s; the rest is what a busy machine takes.
const GIVEN_UP: Duration = Duration::from_secs(8);

/// Appends numbered records one after the other until told to stop; returns those that were acknowledged, and how many
/// failed.
fn append_until(log: &Log, stop: &Arc<AtomicBool>) -> JoinHandle<(BTreeSet<Vec<u8>>, usize)> {
    let (log, stop) = (log.clone(), stop.clone());
    tokio::spawn(async move {
        let (mut acknowledged, mut failed) = (BTreeSet::new(), 0);
        for number in 0_u64.. {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            let value = number.to_be_bytes().to_vec();
            let began = Instant::now();
            match log.append(&ballots(), AppendTo::Any, value.clone()).await {
                Ok(_) => drop(acknowledged.insert(value)),
                Err(AppendError::Failed { .. }) => failed += 1,
                Err(other) => panic!("{other:?}"),
            }
            assert!(began.elapsed() < GIVEN_UP, "{:?}", began.elapsed());
            sleep(Duration::from_millis(2)).await;
        }
        (acknowledged, failed)
    })
}

async fn append_again(log: &Log) {
    let began = Instant::now();
    while let Err(error) = log.append(&ballots(), AppendTo::Any, b"again".to_vec()).await {
        assert!(matches!(error, AppendError::Failed { .. }), "{error:?}");
        assert!(began.elapsed() < HANG, "{error:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_is_killed_and_comes_back() {
    let kafka = KafkaCluster::start(KafkaOptions::one()).unwrap();
    let log = open(config_of_one(kafka.bootstrap())).await;
    log.ensure_topic(&ballots(), 2).await.unwrap();
    log.ensure_topic(&verdicts(), 2).await.unwrap();
    let mut consumer = log.subscribe(&ballots(), "verifier").unwrap();
    let member = log.join("tally").unwrap();
    member.follow(BTreeSet::from([verdicts()])).await.unwrap();
    let reading = log.clone();
    let readers: Vec<_> = (0..2)
        .map(|partition| {
            let mut reader = reading.reader(&ballots(), partition, 0).unwrap();
            tokio::spawn(async move {
                let mut read = Vec::new();
                loop {
                    match reader.next_batch(100, usize::MAX).await {
                        Ok(records) => read.extend(records),
                        Err(LogError::Closed) => return read,
                        Err(error) => panic!("{error:?}"),
                    }
                }
            })
        })
        .collect();
    let stop = Arc::new(AtomicBool::new(false));
    let appender = append_until(&log, &stop);
    sleep(Duration::from_secs(1)).await;

    kafka.kill(1).unwrap();
    sleep(Duration::from_secs(5)).await;
    let unanswered = log.ends(&ballots()).await;
    assert!(matches!(unanswered, Err(LogError::Unavailable { .. })), "{unanswered:?}");
    kafka.restart(1).unwrap();
    append_again(&log).await;
    assert!(log.is_writable());
    sleep(Duration::from_secs(1)).await;
    stop.store(true, Ordering::Relaxed);
    let (acknowledged, failed) = appender.await.unwrap();
    assert!(failed > 0, "a broker that is away acknowledges nothing");

    // The group sees all of it, from wherever it was.
    let mut by_group = BTreeSet::new();
    while !acknowledged.is_subset(&by_group) {
        let batch = timeout(HANG, consumer.next_batch(1_000, &BTreeSet::new())).await.unwrap().unwrap();
        let next_offset = batch.records.last().unwrap().offset + 1;
        consumer.commit(batch.partition, next_offset).await.unwrap();
        by_group.extend(batch.records.into_iter().map(|record| record.value));
    }
    let mut assigned = member.assigned();
    timeout(HANG, assigned.wait_for(|assigned| assigned.len() == 2)).await.unwrap().unwrap();
    let ends = log.ends(&ballots()).await.unwrap();
    let began = Instant::now();
    while log.committed(&ballots(), "verifier").await.unwrap() != ends {
        assert!(began.elapsed() < HANG);
        if let Ok(batch) = timeout(Duration::from_millis(100), consumer.next_batch(1_000, &BTreeSet::new())).await {
            let batch = batch.unwrap();
            consumer.commit(batch.partition, batch.records.last().unwrap().offset + 1).await.unwrap();
        }
    }

    log.close().await;
    let mut read = BTreeSet::new();
    for reader in readers {
        let records = reader.await.unwrap();
        assert!(records.iter().map(|record| record.offset).eq(0..records.len() as u64), "none left out, none twice");
        read.extend(records.into_iter().map(|record| record.value));
    }
    assert!(acknowledged.is_subset(&read));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_hangs_and_goes_on() {
    let kafka = KafkaCluster::start(KafkaOptions::one()).unwrap();
    let log = open(config_of_one(kafka.bootstrap())).await;
    log.ensure_topic(&ballots(), 2).await.unwrap();
    append_again(&log).await;
    let mut reader = log.reader(&ballots(), 0, 0).unwrap();
    reader.read_available(10).await.unwrap();

    kafka.pause(1).unwrap();
    let began = Instant::now();
    let given_up = log.append(&ballots(), AppendTo::Any, b"nobody answers".to_vec()).await;
    assert!(matches!(given_up, Err(AppendError::Failed { .. })), "{given_up:?}");
    assert!(began.elapsed() < GIVEN_UP, "{:?}", began.elapsed());
    let read = timeout(HANG, reader.read_available(10)).await.unwrap();
    assert!(matches!(read, Err(LogError::Unavailable { .. })), "{read:?}");

    // What waits is bounded: the rest is refused at once.
    let appends: Vec<_> = (0..100)
        .map(|_| {
            let log = log.clone();
            tokio::spawn(async move { log.append(&ballots(), AppendTo::Any, vec![0; RECORD_BYTES_MAX]).await })
        })
        .collect();
    let (mut refused, mut given_up) = (0, 0);
    for append in appends {
        match append.await.unwrap() {
            Err(AppendError::Overloaded) => refused += 1,
            Err(AppendError::Failed { .. }) => given_up += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((refused, given_up), (36, 64), "64 MiB may wait");

    kafka.resume(1).unwrap();
    // A broker that hung is fenced for a moment, and then none is there to hold a copy.
    timeout(HANG, log.ensure_topic(&verdicts(), 2)).await.unwrap().unwrap();
    append_again(&log).await;
    assert!(log.is_writable());
    let ends = log.ends(&ballots()).await.unwrap();
    while reader.position() < ends[0] {
        timeout(HANG, reader.next_batch(100, usize::MAX)).await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_broker_of_three_is_killed() {
    let kafka = KafkaCluster::start(KafkaOptions::three()).unwrap();
    let log = open(KafkaConfig::new(kafka.bootstrap())).await;
    log.ensure_topic(&ballots(), 3).await.unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let appender = append_until(&log, &stop);
    let mut consumer = log.subscribe(&ballots(), "verifier").unwrap();
    sleep(Duration::from_secs(1)).await;
    kafka.kill(1).unwrap();
    sleep(Duration::from_secs(6)).await;
    append_again(&log).await;
    let ends = log.ends(&ballots()).await.unwrap();
    assert_eq!(ends.len(), 3);
    // A topic gets its three copies from the brokers that belong to the cluster; the third fills its own when it is back.
    timeout(HANG, log.ensure_topic(&verdicts(), 2)).await.unwrap().unwrap();
    log.append(&verdicts(), AppendTo::Partition(1), b"two of three have it".to_vec()).await.unwrap();
    kafka.restart(1).unwrap();
    stop.store(true, Ordering::Relaxed);
    let (acknowledged, _) = appender.await.unwrap();
    let mut by_group = BTreeSet::new();
    while !acknowledged.is_subset(&by_group) {
        let batch = timeout(HANG, consumer.next_batch(1_000, &BTreeSet::new())).await.unwrap().unwrap();
        by_group.extend(batch.records.into_iter().map(|record| record.value));
    }
    let mut read = BTreeSet::new();
    for partition in 0..3 {
        let mut reader = log.reader(&ballots(), partition, 0).unwrap();
        loop {
            let records = reader.read_available(10_000).await.unwrap();
            if records.is_empty() {
                break;
            }
            read.extend(records.into_iter().map(|record| record.value));
        }
    }
    assert!(acknowledged.is_subset(&read));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_is_cut_off_and_comes_back() {
    let kafka = KafkaCluster::start(KafkaOptions::one().routes(1)).unwrap();
    let near = open(config_of_one(kafka.bootstrap())).await;
    let far = open(config_of_one(kafka.bootstrap_of(Listener::Route(0)))).await;
    far.ensure_topic(&verdicts(), 2).await.unwrap();
    far.ensure_topic(&ballots(), 1).await.unwrap();
    let (at_near, at_far) = (near.join("tally").unwrap(), far.join("tally").unwrap());
    at_far.follow(BTreeSet::from([verdicts()])).await.unwrap();
    let mut far_owns = at_far.assigned();
    timeout(HANG, far_owns.wait_for(|assigned| assigned.len() == 2)).await.unwrap().unwrap();
    at_near.follow(BTreeSet::from([verdicts()])).await.unwrap();
    timeout(HANG, far_owns.wait_for(|assigned| assigned.len() == 1)).await.unwrap().unwrap();
    let mut reader = far.reader(&ballots(), 0, 0).unwrap();

    kafka.route(0).cut();
    let mut near_owns = at_near.assigned();
    timeout(HANG, near_owns.wait_for(|assigned| assigned.len() == 2)).await.unwrap().unwrap();
    near.append(&ballots(), AppendTo::Any, b"meanwhile".to_vec()).await.unwrap();
    let given_up = far.append(&ballots(), AppendTo::Any, b"cut off".to_vec()).await;
    assert!(matches!(given_up, Err(AppendError::Failed { .. })), "{given_up:?}");

    kafka.route(0).restore().unwrap();
    append_again(&far).await;
    let read = timeout(HANG, reader.next_batch(1, 1)).await.unwrap().unwrap();
    assert_eq!(read[0].value, b"meanwhile");
    timeout(HANG, far_owns.wait_for(|assigned| assigned.len() == 1)).await.unwrap().unwrap();
    timeout(HANG, near_owns.wait_for(|assigned| assigned.len() == 1)).await.unwrap().unwrap();
}

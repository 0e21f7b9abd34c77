//! What holds of every log.

use std::{collections::BTreeSet, time::Duration};

use pnyx_backbone::log::{AppendError, AppendTo, GroupConsumer, Log, LogError, LogRecord, RECORD_BYTES_MAX, Topic};
use tokio::time::{sleep, timeout};

use crate::{HANG, Place, ballots, values, verdicts};

pub(crate) async fn records_come_back_as_they_were_and_survive_a_restart(place: &Place) {
    let log = place.open().await;
    let identity = log.identity();
    log.ensure_topic(&ballots(), 2).await.unwrap();
    let first = log.append(&ballots(), AppendTo::Partition(1), b"one".to_vec()).await.unwrap();
    let batch = log.append_batch(&ballots(), vec![(1, b"two".to_vec()), (0, b"".to_vec())]).await.unwrap();
    assert_eq!((first.place.partition, first.place.offset), (1, 0));
    assert_eq!((batch[0].place.partition, batch[0].place.offset), (1, 1));
    assert_eq!((batch[1].place.partition, batch[1].place.offset), (0, 0));
    let before = log.reader(&ballots(), 1, 0).unwrap().read_available(10).await.unwrap();
    assert_eq!(values(&before), ["one", "two"]);
    assert_eq!(before[0].appended_at, first.appended_at);
    drop(log);

    let log = place.open().await;
    assert_eq!(log.identity(), identity);
    assert_eq!(log.ends(&ballots()).await.unwrap(), [1, 2]);
    assert_eq!(log.reader(&ballots(), 1, 0).unwrap().read_available(10).await.unwrap(), before);
    let later = log.append(&ballots(), AppendTo::Partition(1), b"three".to_vec()).await.unwrap();
    assert_eq!(later.place.offset, 2);
    assert!(later.appended_at >= batch[0].appended_at);
}

pub(crate) async fn a_reader_waits_for_what_is_not_there_yet(place: &Place) {
    let log = place.open().await;
    log.ensure_topic(&ballots(), 1).await.unwrap();
    let mut reader = log.reader(&ballots(), 0, 1).unwrap();
    assert_eq!(reader.read_available(10).await.unwrap(), []);
    log.append(&ballots(), AppendTo::Any, b"zero".to_vec()).await.unwrap();
    let waiting = timeout(Duration::from_millis(50), reader.next_batch(10, 1000)).await;
    assert!(waiting.is_err(), "offset 1 does not exist yet");
    let appending = log.clone();
    let appender = tokio::spawn(async move { appending.append(&ballots(), AppendTo::Any, b"one".to_vec()).await });
    let records = timeout(HANG, reader.next_batch(10, 1000)).await.unwrap().unwrap();
    assert_eq!(values(&records), ["one"]);
    assert_eq!(reader.position(), 2);
    appender.await.unwrap().unwrap();
}

pub(crate) async fn batches_end_at_their_bounds(place: &Place) {
    let log = place.open().await;
    log.ensure_topic(&ballots(), 1).await.unwrap();
    // More than are read in place, so that both ways of reading are taken.
    let records = (0..1_000).map(|number: u32| (0, number.to_be_bytes().to_vec())).collect();
    log.append_batch(&ballots(), records).await.unwrap();
    let mut reader = log.reader(&ballots(), 0, 0).unwrap();
    assert_eq!(reader.next_batch(300, usize::MAX).await.unwrap().len(), 300);
    assert_eq!(reader.next_batch(usize::MAX, 4 * 7).await.unwrap().len(), 7);
    assert_eq!(reader.next_batch(usize::MAX, 0).await.unwrap().len(), 1, "a batch is never empty");
    let rest = reader.next_batch(usize::MAX, usize::MAX).await.unwrap();
    assert_eq!(rest.len(), 692);
    let numbers: Vec<_> = rest.iter().map(|record| record.value.clone()).collect();
    assert_eq!(numbers, (308..1_000).map(|number: u32| number.to_be_bytes().to_vec()).collect::<Vec<_>>());
}

pub(crate) async fn records_of_every_size_can_be_read_from_every_offset(place: &Place) {
    let log = place.open().await;
    log.ensure_topic(&ballots(), 2).await.unwrap();
    // Small ones share an entry of the log's files, large ones fill one or more; both meet here.
    let lengths = [0, 1, 600, 70_000, 5, 65_535, 65_536, 2, RECORD_BYTES_MAX, 3, 30_000, 30_000, 30_000, 0];
    let all: Vec<_> = (0_u8..).zip(lengths).map(|(number, length)| vec![number; length]).collect();
    for half in all.chunks(all.len() / 2) {
        let records = half.iter().flat_map(|value| [(0, value.clone()), (1, b"other".to_vec())]).collect();
        log.append_batch(&ballots(), records).await.unwrap();
    }
    assert_readable(&log, &all).await;
    drop(log);
    assert_readable(&place.open().await, &all).await;
}

/// Reads partition 0 from every offset, in batches of several sizes.
async fn assert_readable(log: &Log, all: &[Vec<u8>]) {
    for from in 0..all.len() {
        for records_max in [1, 3, usize::MAX] {
            let mut reader = log.reader(&ballots(), 0, from as u64).unwrap();
            let mut read = Vec::new();
            while read.len() < all.len() - from {
                read.extend(reader.next_batch(records_max, usize::MAX).await.unwrap());
            }
            assert!(read.iter().map(|record| record.offset).eq(from as u64..all.len() as u64));
            assert!(read.iter().map(|record| &record.value).eq(&all[from..]));
        }
    }
}

pub(crate) async fn concurrent_appends_get_dense_offsets_and_times_that_never_fall(place: &Place) {
    const APPENDERS: usize = 32;
    const EACH: usize = 50;
    const PARTITIONS: u32 = 3;
    let log = place.open().await;
    log.ensure_topic(&ballots(), PARTITIONS).await.unwrap();
    let appenders = (0..APPENDERS).map(|appender| {
        let log = log.clone();
        tokio::spawn(async move {
            let mut appended = Vec::new();
            for number in 0..EACH {
                let value = format!("{appender}/{number}").into_bytes();
                appended.push((log.append(&ballots(), AppendTo::Any, value.clone()).await.unwrap(), value));
            }
            appended
        })
    });
    let mut acknowledged = Vec::new();
    for appender in appenders.collect::<Vec<_>>() {
        acknowledged.extend(appender.await.unwrap());
    }
    let ends = log.ends(&ballots()).await.unwrap();
    assert_eq!(ends.iter().sum::<u64>(), (APPENDERS * EACH) as u64);
    assert!(ends.iter().all(|end| *end > 0), "records are spread: {ends:?}");
    let mut read = Vec::new();
    for partition in 0..PARTITIONS {
        let mut reader = log.reader(&ballots(), partition, 0).unwrap();
        let records = reader.read_available(usize::MAX).await.unwrap();
        assert!(records.iter().map(|record| record.offset).eq(0..ends[partition as usize]));
        assert!(records.is_sorted_by_key(|record| record.appended_at));
        read.push(records);
    }
    for (appended, value) in acknowledged {
        let record = &read[appended.place.partition as usize][usize::try_from(appended.place.offset).unwrap()];
        assert_eq!((record.appended_at, &record.value), (appended.appended_at, &value));
    }
}

pub(crate) async fn what_cannot_be_appended_is_refused(place: &Place) {
    let log = place.open().await;
    let unknown = log.append(&ballots(), AppendTo::Any, vec![]).await;
    assert!(matches!(unknown, Err(AppendError::UnknownTopic { .. })), "{unknown:?}");
    log.ensure_topic(&ballots(), 1).await.unwrap();
    let beyond = log.append(&ballots(), AppendTo::Partition(1), vec![]).await;
    assert!(matches!(beyond, Err(AppendError::UnknownPartition { partition: 1, .. })), "{beyond:?}");
    let large = log.append(&ballots(), AppendTo::Any, vec![0; RECORD_BYTES_MAX + 1]).await;
    assert!(matches!(large, Err(AppendError::TooLarge { .. })), "{large:?}");
    log.append(&ballots(), AppendTo::Any, vec![0; RECORD_BYTES_MAX]).await.unwrap();
    assert!(matches!(log.reader(&ballots(), 1, 0), Err(LogError::UnknownPartition { .. })));
    assert!(matches!(log.ensure_topic(&verdicts(), 0).await, Err(LogError::NoPartitions { .. })));
    assert_eq!(log.ends(&ballots()).await.unwrap(), [1]);
}

pub(crate) async fn topics_grow_and_never_shrink(place: &Place) {
    let log = place.open().await;
    assert!(matches!(log.grow_topic(&ballots(), 2).await, Err(LogError::UnknownTopic { .. })));
    log.ensure_topic(&ballots(), 2).await.unwrap();
    log.ensure_topic(&ballots(), 1).await.unwrap();
    assert_eq!(log.partitions(&ballots()).await.unwrap(), 2);
    log.grow_topic(&ballots(), 4).await.unwrap();
    log.grow_topic(&ballots(), 3).await.unwrap();
    log.ensure_topic(&verdicts(), 1).await.unwrap();
    log.append(&ballots(), AppendTo::Partition(3), b"new".to_vec()).await.unwrap();
    drop(log);
    let log = place.open().await;
    assert_eq!(log.ends(&ballots()).await.unwrap(), [0, 0, 0, 1]);
    assert_eq!(log.ends(&verdicts()).await.unwrap(), [0]);
}

pub(crate) async fn a_group_resumes_where_it_committed(place: &Place) {
    let log = place.open().await;
    log.ensure_topic(&ballots(), 1).await.unwrap();
    for value in ["a", "b", "c"] {
        log.append(&ballots(), AppendTo::Any, value.into()).await.unwrap();
    }
    let mut consumer = log.subscribe(&ballots(), "verifier").unwrap();
    assert_eq!(values(&read(&mut consumer, 2).await), ["a", "b"]);
    assert_eq!(values(&read(&mut consumer, 1).await), ["c"]);
    consumer.commit(0, 2).await.unwrap();
    consumer.commit(0, 1).await.unwrap();
    wait_committed(&log, &ballots(), &[2]).await;
    assert_eq!(log.committed(&ballots(), "other").await.unwrap(), [0]);
    log.close().await;
    drop((consumer, log));

    let log = place.open().await;
    assert_eq!(log.committed(&ballots(), "verifier").await.unwrap(), [2]);
    let mut consumer = log.subscribe(&ballots(), "verifier").unwrap();
    assert_eq!(
        values(&timeout(HANG, consumer.next_batch(10, &BTreeSet::new())).await.unwrap().unwrap().records),
        ["c"]
    );
}

pub(crate) async fn partitions_that_are_busy_hold_no_others_back(place: &Place) {
    let log = place.open().await;
    log.ensure_topic(&ballots(), 2).await.unwrap();
    let records = [(0, "a"), (0, "b"), (1, "c"), (0, "d")].map(|(partition, value)| (partition, value.into()));
    log.append_batch(&ballots(), records.to_vec()).await.unwrap();
    let mut consumer = log.subscribe(&ballots(), "verifier").unwrap();
    let busy = BTreeSet::from([0]);
    let free = timeout(HANG, consumer.next_batch(1, &busy)).await.unwrap().unwrap();
    assert_eq!((free.partition, values(&free.records)), (1, vec!["c".to_owned()]));
    let waiting = timeout(Duration::from_millis(300), consumer.next_batch(1, &busy)).await;
    assert!(waiting.is_err(), "nothing of a busy partition is read");
    assert_eq!(values(&read(&mut consumer, 3).await), ["a", "b", "d"], "nor lost");
}

/// As many records as asked for, in batches of at most as many.
async fn read(consumer: &mut GroupConsumer, records: usize) -> Vec<LogRecord> {
    let mut read = Vec::new();
    while read.len() < records {
        let batch = timeout(HANG, consumer.next_batch(records - read.len(), &BTreeSet::new())).await.unwrap().unwrap();
        read.extend(batch.records);
    }
    read
}

/// Until the verifiers' group has committed these offsets: a commit may take a moment.
pub(crate) async fn wait_committed(log: &Log, topic: &Topic, expected: &[u64]) {
    let waiting = async {
        while log.committed(topic, "verifier").await.unwrap() != expected {
            sleep(Duration::from_millis(10)).await;
        }
    };
    let done = timeout(HANG, waiting).await;
    assert!(done.is_ok(), "{:?} is committed, not {expected:?}", log.committed(topic, "verifier").await);
}

pub(crate) async fn closing_finishes_what_is_queued_and_wakes_who_waits(place: &Place) {
    let log = place.open().await;
    log.ensure_topic(&ballots(), 1).await.unwrap();
    let mut reader = log.reader(&ballots(), 0, 100).unwrap();
    let mut consumer = log.subscribe(&ballots(), "verifier").unwrap();
    consumer.commit(0, 100).await.unwrap();
    let waiting_reader = tokio::spawn(async move { reader.next_batch(1, 1).await });
    let waiting_member = tokio::spawn(async move { consumer.next_batch(1, &BTreeSet::new()).await });
    tokio::task::yield_now().await;
    log.close().await;
    assert!(matches!(timeout(HANG, waiting_reader).await.unwrap().unwrap(), Err(LogError::Closed)));
    assert!(matches!(timeout(HANG, waiting_member).await.unwrap().unwrap(), Err(LogError::Closed)));
    assert!(matches!(log.append(&ballots(), AppendTo::Any, vec![]).await, Err(AppendError::Closed)));
    assert!(!log.is_writable());
}

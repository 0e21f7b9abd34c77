//! What holds of the embedded log alone.

use std::collections::BTreeSet;

use pnyx_backbone::log::{AppendError, AppendTo, EmbeddedLog, OpenError, RECORD_BYTES_MAX};
use tokio::time::timeout;

use crate::{HANG, Place, ballots, values};

#[tokio::test]
async fn a_full_queue_refuses_at_once() {
    let place = Place::embedded();
    let log = place.open().await;
    log.ensure_topic(&ballots(), 1).await.unwrap();
    // Two of these fill the queue, and the writer needs far longer for one than the loop for all.
    let batch = || vec![(0, vec![0; RECORD_BYTES_MAX]); 40];
    let appends: Vec<_> = (0..4)
        .map(|_| {
            let (log, batch) = (log.clone(), batch());
            tokio::spawn(async move { log.append_batch(&ballots(), batch).await })
        })
        .collect();
    let mut outcomes = Vec::new();
    for append in appends {
        outcomes.push(append.await.unwrap());
    }
    let appended = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    let shed = outcomes.iter().filter(|outcome| matches!(outcome, Err(AppendError::Overloaded))).count();
    assert_eq!(appended + shed, 4, "{outcomes:?}");
    assert!(appended >= 1 && shed >= 1, "{appended} appended, {shed} shed");
    assert_eq!(log.ends(&ballots()).await.unwrap(), [40 * appended as u64], "what was refused is not there");
}

#[tokio::test]
async fn members_share_partitions_and_take_over() {
    let place = Place::embedded();
    let log = place.open().await;
    log.ensure_topic(&ballots(), 2).await.unwrap();
    let mut first = log.subscribe(&ballots(), "verifier").unwrap();
    let mut second = log.subscribe(&ballots(), "verifier").unwrap();
    log.append(&ballots(), AppendTo::Partition(0), b"p0".to_vec()).await.unwrap();
    log.append(&ballots(), AppendTo::Partition(1), b"p1".to_vec()).await.unwrap();
    let (one, other) =
        (first.next_batch(10, &BTreeSet::new()).await.unwrap(), second.next_batch(10, &BTreeSet::new()).await.unwrap());
    assert_eq!((one.partition, other.partition), (0, 1));
    first.commit(0, 1).await.unwrap();
    first.commit(1, 1).await.unwrap();
    assert_eq!(log.committed(&ballots(), "verifier").await.unwrap(), [1, 0], "partition 1 is the other's");
    let waiting = tokio::spawn(async move {
        let batch = first.next_batch(10, &BTreeSet::new()).await;
        (first, batch)
    });
    tokio::task::yield_now().await;
    drop(second);
    let (mut first, batch) = timeout(HANG, waiting).await.unwrap().unwrap();
    let batch = batch.unwrap();
    assert_eq!(
        (batch.partition, values(&batch.records)),
        (1, vec!["p1".to_owned()]),
        "what was not committed comes again"
    );

    let waiting = tokio::spawn(async move { first.next_batch(10, &BTreeSet::new()).await });
    log.grow_topic(&ballots(), 3).await.unwrap();
    log.append(&ballots(), AppendTo::Partition(2), b"p2".to_vec()).await.unwrap();
    let batch = timeout(HANG, waiting).await.unwrap().unwrap().unwrap();
    assert_eq!((batch.partition, values(&batch.records)), (2, vec!["p2".to_owned()]));
}

#[tokio::test]
async fn busy_partitions_do_not_starve_others() {
    let place = Place::embedded();
    let log = place.open().await;
    log.ensure_topic(&ballots(), 3).await.unwrap();
    let records = (0..30).map(|number| (number % 3, vec![0])).collect();
    log.append_batch(&ballots(), records).await.unwrap();
    let mut consumer = log.subscribe(&ballots(), "verifier").unwrap();
    let mut served = Vec::new();
    for _ in 0..6 {
        served.push(consumer.next_batch(1, &BTreeSet::new()).await.unwrap().partition);
    }
    served.sort_unstable();
    assert_eq!(served, [0, 0, 1, 1, 2, 2]);
}

#[test]
fn a_directory_is_open_once() {
    let dir = tempfile::tempdir().unwrap();
    let log = EmbeddedLog::open(dir.path()).unwrap();
    let second = EmbeddedLog::open(dir.path()).unwrap_err();
    assert!(matches!(second, OpenError::InUse { .. }));
    let expected = format!(
        "data directory {} is in use by process {}; stop it or choose another with --data",
        dir.path().display(),
        std::process::id()
    );
    assert_eq!(second.to_string(), expected);
    drop(log);
    EmbeddedLog::open(dir.path()).unwrap();
}

//! TLS and passwords: what is right works, what is wrong is named within ten seconds, and files may change.

use std::{collections::BTreeSet, fs, path::PathBuf, time::Duration};

use pnyx_backbone::{
    log::{
        AppendTo, OpenError,
        kafka::{
            KafkaConfig, KafkaLog, KafkaOpenError, KafkaSasl, KafkaTls, KafkaTlsClient, KafkaUsername, SaslMechanism,
        },
    },
    telemetry::{Metrics, chain},
};
use pnyx_testbed::{Authority, Issued, KafkaCluster, KafkaOptions, Listener};
use tempfile::TempDir;
use tokio::time::{Instant, sleep, timeout};

use crate::{HANG, ballots, config_of_one, metric, open};

const PASSWORD: &str = "down-the-rabbit-hole";

fn password_file(dir: &TempDir, password: &str) -> PathBuf {
    let path = dir.path().join("password");
    fs::write(&path, format!("{password}\n")).unwrap();
    path
}

fn secured(kafka: &KafkaCluster, authority: &Authority, username: &str, password_file: PathBuf) -> KafkaConfig {
    let mut config = config_of_one(kafka.bootstrap_of(Listener::ScramTls));
    config.tls = Some(KafkaTls { ca_file: Some(authority.certificate().to_owned()), client: None });
    config.sasl = Some(KafkaSasl {
        mechanism: SaslMechanism::ScramSha512,
        username: KafkaUsername::Value(username.to_owned()),
        password_file,
    });
    config
}

/// Opening fails within ten seconds and shows no password.
async fn refused(config: KafkaConfig) -> (OpenError, String) {
    let began = Instant::now();
    let error = KafkaLog::open(config.clone()).await.unwrap_err();
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    let words = chain(&error);
    for shown in [words.clone(), format!("{error:?}"), format!("{config:?}")] {
        assert!(!shown.contains(PASSWORD) && !shown.contains("guess"), "{shown}");
    }
    (error, words)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_credentials_are_named() {
    let authority = Authority::new().unwrap();
    let options = KafkaOptions::one()
        .tls(&authority.issue("broker").unwrap())
        .scram_user("alice", PASSWORD)
        .scram_user_without_rights("mallory", PASSWORD);
    let kafka = KafkaCluster::start(options).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let good = secured(&kafka, &authority, "alice", password_file(&dir, PASSWORD));
    let log = open(good.clone()).await;
    log.ensure_topic(&ballots(), 1).await.unwrap();
    log.append(&ballots(), AppendTo::Any, b"over TLS".to_vec()).await.unwrap();
    let read = log.reader(&ballots(), 0, 0).unwrap().read_available(1).await.unwrap();
    assert_eq!(read[0].value, b"over TLS");

    let stranger = Authority::new().unwrap();
    let mut config = good.clone();
    config.tls = Some(KafkaTls { ca_file: Some(stranger.certificate().to_owned()), client: None });
    let (error, words) = refused(config).await;
    assert!(matches!(error, OpenError::Kafka(KafkaOpenError::Tls { .. })), "{error:?}");
    assert!(words.contains("certificate verify failed"), "{words}");

    let other = tempfile::tempdir().unwrap();
    let (error, words) = refused(secured(&kafka, &authority, "alice", password_file(&other, "guess"))).await;
    assert!(matches!(error, OpenError::Kafka(KafkaOpenError::Credentials { .. })), "{error:?}");
    assert!(words.contains("does not accept the credentials"), "{words}");

    let (_, words) = refused(secured(&kafka, &authority, "mallory", password_file(&dir, PASSWORD))).await;
    assert!(words.contains("uthorization"), "{words}");

    let mut config = good.clone();
    config.tls = None;
    let (error, words) = refused(config).await;
    assert!(matches!(error, OpenError::Kafka(KafkaOpenError::Unreachable { .. })), "{error:?}");
    assert!(words.contains("does this listener want TLS?"), "{words}");

    let mut config = good.clone();
    config.tls = None;
    config.sasl.as_mut().unwrap().mechanism = SaslMechanism::Plain;
    let (_, words) = refused(config).await;
    assert!(words.contains("use it over TLS"), "{words}");

    let (_, words) = refused(secured(&kafka, &authority, "alice", dir.path().join("nothing"))).await;
    assert!(words.contains("the password ") && words.contains("No such file"), "{words}");
    log.append(&ballots(), AppendTo::Any, b"still".to_vec()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_changes_is_taken_over() {
    let authority = Authority::new().unwrap();
    let options = KafkaOptions::one().mutual_tls(&authority.issue("broker").unwrap());
    let kafka = KafkaCluster::start(options).unwrap();
    let own: Issued = authority.issue("ingest").unwrap();
    let mut config = config_of_one(kafka.bootstrap_of(Listener::Tls));
    config.tls = Some(KafkaTls {
        ca_file: Some(own.authority().to_owned()),
        client: Some(KafkaTlsClient { certificate_file: own.certificate().to_owned(), key_file: own.key().to_owned() }),
    });
    let mut without = config.clone();
    without.tls.as_mut().unwrap().client = None;
    refused(without).await;

    let log = open(config).await;
    let metrics = Metrics::new();
    log.register_metrics(&metrics);
    log.ensure_topic(&ballots(), 1).await.unwrap();
    let mut reader = log.reader(&ballots(), 0, 0).unwrap();
    let mut consumer = log.subscribe(&ballots(), "verifier").unwrap();
    log.append(&ballots(), AppendTo::Any, b"before".to_vec()).await.unwrap();
    assert_eq!(timeout(HANG, reader.next_batch(1, 1)).await.unwrap().unwrap()[0].value, b"before");
    let batch = timeout(HANG, consumer.next_batch(1, &BTreeSet::new())).await.unwrap().unwrap();
    consumer.commit(batch.partition, 1).await.unwrap();
    assert_eq!(metric(&metrics, "pnyx_log_clients_replaced_total"), 0);

    // The new one keeps the names of the files.
    sleep(Duration::from_millis(20)).await;
    authority.issue("ingest").unwrap();
    let began = Instant::now();
    // The readers' client and the producer.
    while metric(&metrics, "pnyx_log_clients_replaced_total") < 2 {
        assert!(began.elapsed() < HANG);
        log.append(&ballots(), AppendTo::Any, b"meanwhile".to_vec()).await.unwrap();
        sleep(Duration::from_millis(20)).await;
    }
    log.append(&ballots(), AppendTo::Any, b"after".to_vec()).await.unwrap();
    let (mut by_reader, mut by_group) = (Vec::new(), Vec::new());
    while by_reader.last().is_none_or(|value| value != b"after") {
        let records = timeout(HANG, reader.next_batch(100, usize::MAX)).await.unwrap().unwrap();
        by_reader.extend(records.into_iter().map(|record| record.value));
    }
    while by_group.last().is_none_or(|value| value != b"after") {
        let batch = timeout(HANG, consumer.next_batch(100, &BTreeSet::new())).await.unwrap().unwrap();
        by_group.extend(batch.records.into_iter().map(|record| record.value));
    }
    let ends = log.ends(&ballots()).await.unwrap();
    assert_eq!(by_reader.len() as u64 + 1, ends[0], "nothing is left out or read twice");
}

//! A Redis that cannot be used is refused with the reason, soon, and without a secret in it.

use std::time::{Duration, Instant};

use pnyx_backbone::{
    store::{ApplyOutcome, RedisAddress, RedisConfig, RedisConnectError, RedisStore, RedisTls, Store},
    telemetry::chain,
};
use pnyx_core::{id::Lane, proposal::VotingSystem};
use pnyx_testbed::{Authority, RedisOptions, RedisServer};

use crate::{
    owners::rules,
    redis_rig::{LEAST_RIGHTS, PROPOSAL, address, config, file, install_crypto, server},
    suite::batch,
};

/// A person waits for no longer.
const LIMIT: Duration = Duration::from_secs(10);

const SECRET: &str = "open-sesame";

async fn refusal(config: RedisConfig) -> (RedisConnectError, String) {
    let started = Instant::now();
    let error = RedisStore::connect(config.clone()).await.unwrap_err();
    assert!(started.elapsed() < LIMIT, "{:?}", started.elapsed());
    let text = chain(&error);
    assert!(!text.contains(SECRET) && !format!("{error:?}{config:?}").contains(SECRET), "{text}");
    (error, text)
}

#[tokio::test]
async fn nobody_there() {
    let (error, text) = refusal(RedisConfig::new(RedisAddress::Single(address("127.0.0.1:1")))).await;
    assert!(matches!(error, RedisConnectError::Unreachable { .. }), "{text}");
    assert!(text.contains("127.0.0.1:1") && text.contains("refused"), "{text}");
    let sentinels = vec![address("127.0.0.1:1"), address("127.0.0.1:2")];
    let master = "pnyx".to_owned();
    let sentinel = RedisAddress::Sentinel { master, sentinels, password_file: None };
    let (error, text) = refusal(RedisConfig::new(sentinel)).await;
    assert!(matches!(error, RedisConnectError::NoMaster { .. }), "{text}");
    let (error, text) = refusal(RedisConfig::new(RedisAddress::Cluster { nodes: vec![address("127.0.0.1:1")] })).await;
    assert!(matches!(error, RedisConnectError::Unreachable { .. }), "{text}");
    let (error, _) = refusal(RedisConfig::new(RedisAddress::Cluster { nodes: Vec::new() })).await;
    assert!(matches!(error, RedisConnectError::NoServer));
}

#[tokio::test]
async fn somebody_who_does_not_answer() {
    let server = server();
    server.pause().unwrap();
    let (error, text) = refusal(config(&server)).await;
    server.resume().unwrap();
    assert!(matches!(error, RedisConnectError::TimedOut { .. }), "{text}");
}

#[tokio::test]
async fn wrong_passwords() {
    let server = RedisServer::start(RedisOptions::new().password("right")).unwrap();
    let (error, text) = refusal(config(&server)).await;
    assert!(matches!(error, RedisConnectError::Authentication { .. }), "{text}");
    let wrong = file(SECRET);
    let password_file = Some(wrong.path().to_owned());
    let (error, text) = refusal(RedisConfig { password_file, ..config(&server) }).await;
    assert!(matches!(error, RedisConnectError::Authentication { .. }), "{text}");
    let missing = RedisConfig { password_file: Some("/no/such/file".into()), ..config(&server) };
    let (error, text) = refusal(missing).await;
    assert!(matches!(error, RedisConnectError::PasswordFile { .. }), "{text}");
}

#[tokio::test]
async fn missing_rights() {
    let no_info = LEAST_RIGHTS.replace("+info ", "");
    let no_function = LEAST_RIGHTS.replace("+fcall ", "");
    let options = RedisOptions::new().user("none", SECRET, &no_info).user("some", SECRET, &no_function);
    let server = RedisServer::start(options).unwrap();
    let password = file(SECRET);
    let as_user = |name: &str| RedisConfig {
        username: Some(name.to_owned()),
        password_file: Some(password.path().to_owned()),
        ..config(&server)
    };
    let (error, text) = refusal(as_user("none")).await;
    assert!(matches!(error, RedisConnectError::MissingRight { .. }), "{text}");
    assert!(text.contains("info"), "{text}");
    let (error, text) = refusal(as_user("some")).await;
    assert!(matches!(error, RedisConnectError::MissingRight { .. }), "{text}");
    assert!(text.contains("fcall"), "{text}");
}

#[tokio::test]
async fn servers_that_would_lose_or_refuse_writes() {
    let options = RedisOptions::new().setting("maxmemory", "100mb").setting("maxmemory-policy", "allkeys-lru");
    let evicting = RedisServer::start(options).unwrap();
    let (error, text) = refusal(config(&evicting)).await;
    assert!(matches!(error, RedisConnectError::Evicts { .. }), "{text}");
    assert!(text.contains("allkeys-lru") && text.contains("noeviction"), "{text}");
    let (master, replica) = (server(), server());
    let master = master.address();
    let (host, port) = master.rsplit_once(':').unwrap();
    replica.command(&["REPLICAOF", host, port]).unwrap();
    let (error, text) = refusal(config(&replica)).await;
    assert!(matches!(error, RedisConnectError::NotMaster { .. }), "{text}");
}

#[tokio::test]
async fn tls() {
    install_crypto();
    let (authority, stranger) = (Authority::new().unwrap(), Authority::new().unwrap());
    let issued = authority.issue("localhost").unwrap();
    let server = RedisServer::start(RedisOptions::new().mutual_tls(&issued)).unwrap();
    let at = RedisAddress::Single(address(&server.tls_address().to_string()));
    let good = RedisTls {
        ca_file: Some(authority.certificate().to_owned()),
        certificate_file: Some(issued.certificate().to_owned()),
        key_file: Some(issued.key().to_owned()),
    };
    let with = |tls: RedisTls| RedisConfig { tls: Some(tls), ..RedisConfig::new(at.clone()) };
    let store = Store::Redis(RedisStore::connect(with(good.clone())).await.unwrap());
    store.register(PROPOSAL, rules(VotingSystem::SingleChoice), 1).await.unwrap();
    let mut changes = store.changes(PROPOSAL).unwrap();
    assert_eq!(store.apply(PROPOSAL, Lane(0), batch(0, 1)).await.unwrap(), ApplyOutcome::Applied);
    crate::suite::changed(&mut changes).await;

    let (_, text) = refusal(with(RedisTls { ca_file: Some(stranger.certificate().to_owned()), ..good.clone() })).await;
    assert!(text.contains("certificate"), "{text}");
    let (_, text) = refusal(with(RedisTls { certificate_file: None, key_file: None, ..good.clone() })).await;
    assert!(text.contains("ertificate"), "{text}");
    let (error, text) = refusal(with(RedisTls { key_file: None, ..good.clone() })).await;
    assert!(matches!(error, RedisConnectError::TlsPair), "{text}");
    let (error, text) = refusal(with(RedisTls { ca_file: Some("/no/such/file".into()), ..good })).await;
    assert!(matches!(error, RedisConnectError::TlsFile { .. }), "{text}");
}

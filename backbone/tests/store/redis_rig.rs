//! Redis servers for tests, and what is looked at in them.

use std::{io::Write as _, str::FromStr as _, sync::Once, time::Duration};

use pnyx_backbone::store::{HostPort, RedisAddress, RedisConfig, RedisStore, Store};
use pnyx_core::id::ProposalId;
use pnyx_testbed::{RedisOptions, RedisServer};
use tempfile::NamedTempFile;

pub(crate) const PROPOSAL: ProposalId = ProposalId::new([1; 32]);

/// The right that the module's documentation says a user needs.
pub(crate) const LEAST_RIGHTS: &str = "resetkeys ~pnyx:1:* resetchannels &pnyx:1:changes -@all +info +ping +fcall \
    +function|load +multi +exec +get +mget +set +getrange +setrange +bitfield +hset +hget +hmget +hgetall +hscan +hlen \
    +hincrby +hdel +zadd +zcard +zrangebylex +rename +unlink +expire +persist +time +publish +subscribe +unsubscribe";

pub(crate) fn server() -> RedisServer {
    RedisServer::start(RedisOptions::new()).unwrap()
}

pub(crate) fn address(text: &str) -> HostPort {
    HostPort::from_str(text).unwrap()
}

pub(crate) fn config(server: &RedisServer) -> RedisConfig {
    RedisConfig::new(RedisAddress::Single(address(&server.address())))
}

pub(crate) async fn open(config: RedisConfig) -> Store {
    Store::Redis(RedisStore::connect(config).await.unwrap())
}

pub(crate) fn file(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

/// Rustls asks for a provider once a process.
pub(crate) fn install_crypto() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| rustls::crypto::ring::default_provider().install_default().unwrap());
}

/// A key of the proposal that all tests use.
pub(crate) fn key(kind: &str) -> String {
    format!("pnyx:1:{{{}}}:{kind}", "01".repeat(32))
}

/// Asks until it holds.
pub(crate) async fn eventually<T>(limit: Duration, mut attempt: impl AsyncFnMut() -> Option<T>) -> T {
    let started = std::time::Instant::now();
    loop {
        if let Some(value) = attempt().await {
            return value;
        }
        assert!(started.elapsed() < limit, "not within {limit:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

//! Reads from every replica of the read API, riding through restarts: what is compared is what it serves once it answers.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::Value;

use crate::client::Platform;

/// How long to wait before a replica that did not answer is asked again.
const RETRY_INTERVAL: Duration = Duration::from_millis(200);

/// Requests of one reader at once: it asks one after the other.
const CONNECTIONS: usize = 1;

/// A replica of the read API.
pub(super) struct Replica {
    /// Its base URL, as it was given.
    pub(super) url: String,
    platform: Platform,
}

/// All replicas; they must say the same.
pub(super) struct Readers {
    replicas: Vec<Replica>,
    /// How long a replica may be away, and how long counting may take.
    patience: Duration,
}

impl Readers {
    /// Readers of the replicas at `urls`, of which there is at least one.
    pub(super) fn new(urls: &[String], patience: Duration) -> anyhow::Result<Self> {
        let replica = |url: &String| Ok(Replica { url: url.clone(), platform: Platform::new(url, CONNECTIONS)? });
        let replicas: Vec<Replica> = urls.iter().map(replica).collect::<anyhow::Result<_>>()?;
        anyhow::ensure!(!replicas.is_empty(), "no replica of the read API is named");
        Ok(Self { replicas, patience })
    }

    /// The first, without patience: a platform that is not there is said so at once.
    pub(super) fn first(&self) -> &Platform {
        &self.replicas[0].platform
    }

    /// All.
    pub(super) fn replicas(&self) -> &[Replica] {
        &self.replicas
    }

    /// How long a replica may be away, and how long counting may take.
    pub(super) const fn patience(&self) -> Duration {
        self.patience
    }

    /// `GET path` of a replica, asked again while it does not answer.
    pub(super) async fn get(&self, replica: &Replica, path: &str) -> anyhow::Result<Value> {
        let start = Instant::now();
        loop {
            match replica.platform.get(path).await {
                Ok(value) => return Ok(value),
                Err(error) if start.elapsed() > self.patience => {
                    return Err(error).with_context(|| format!("asked for {} s", self.patience.as_secs()));
                }
                Err(_) => tokio::time::sleep(RETRY_INTERVAL).await,
            }
        }
    }

    /// `GET path` of a replica, again and again until it says what is waited for, or `None` after `limit`.
    pub(super) async fn get_until<T>(
        &self,
        replica: &Replica,
        path: &str,
        limit: Duration,
        is_there: impl Fn(&Value) -> Option<T>,
    ) -> anyhow::Result<Result<T, Value>> {
        let start = Instant::now();
        loop {
            let value = self.get(replica, path).await?;
            match is_there(&value) {
                Some(found) => return Ok(Ok(found)),
                None if start.elapsed() > limit => return Ok(Err(value)),
                None => tokio::time::sleep(RETRY_INTERVAL).await,
            }
        }
    }
}

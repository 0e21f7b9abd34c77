//! The store in Redis, shared by all processes.
//!
//! Each lane is a string with its position, counters and totals, a hash of its standing ballots, two sorted sets that order
//! them by voter and by power, a hash of the places it has seen, and for ranked choice a hash of its rankings (`keys`,
//! `words`, `ballot`). A batch is one call of a Redis Function (`library.lua`), which compares the position, writes all
//! of it, and publishes that the proposal changed. Nothing is read before it, so a batch costs one round trip, and Redis
//! loses or keeps position and totals together because they are one value.
//!
//! Who reads or writes a proposal registers it first: what its bytes mean follows from its counting rules.
//!
//! The ACL user needs no more than this, `pnyx` being the key prefix:
//!
//! ```text
//! user pnyx on >password resetkeys ~pnyx:1:* resetchannels &pnyx:1:changes -@all +info +ping +fcall +function|load
//!   +multi +exec +get +mget +set +getrange +setrange +bitfield +hset +hget +hmget +hgetall +hscan +hlen +hincrby +hdel
//!   +zadd +zcard +zrangebylex +rename +unlink +expire +persist +time +publish +subscribe +unsubscribe
//! ```
//!
//! In a cluster also `+cluster|slots`; sentinels are asked as their default user, or with a password of their own.

mod ballot;
mod changes;
mod config;
mod connect;
mod connection;
mod keys;
mod library;
mod load;
mod metrics;
mod pages;
mod view;
mod words;
mod write;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, PoisonError, RwLock, atomic::AtomicU64},
};

use pnyx_core::{
    counting::CountingRules,
    id::{Lane, ProposalId},
};
use redis::RedisError;
use tokio::{sync::watch, task::AbortHandle};
use tracing::warn;

use self::{
    connection::{CallError, Connection},
    keys::{LaneKeys, ProposalKeys},
    metrics::RedisMetrics,
};
use super::{LanePosition, StoreError};
use crate::telemetry::Metrics;

pub use config::{HostPort, KeyPrefix, RedisAddress, RedisConfig, RedisConfigError, RedisTls};
pub use connect::RedisConnectError;

/// The state in a Redis. Clones share the connection and what is registered.
#[derive(Clone)]
pub struct RedisStore {
    inner: Arc<Inner>,
}

struct Inner {
    connection: Connection,
    prefix: KeyPrefix,
    channel: String,
    proposals: Arc<Proposals>,
    metrics: RedisMetrics,
    tasks: [AbortHandle; 2],
}

/// What is registered in this process.
type Proposals = RwLock<BTreeMap<ProposalId, Arc<Registered>>>;

/// A proposal as this process knows it.
#[derive(Debug)]
struct Registered {
    proposal: ProposalId,
    rules: CountingRules,
    lanes: u16,
    keys: ProposalKeys,
    version: watch::Sender<u64>,
    /// Changes that were heard of, so that the poll knows when one was not.
    messages: AtomicU64,
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore").field("prefix", &self.inner.prefix).finish_non_exhaustive()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl RedisStore {
    /// Connects and checks the server, within 10 s. The connection is kept from then on: calls fail while Redis is away
    /// and work again once it is back.
    ///
    /// # Errors
    /// If there is no Redis, or none that could be used, with the reason.
    pub async fn connect(config: RedisConfig) -> Result<Self, RedisConnectError> {
        let metrics = RedisMetrics::default();
        let connection = Connection::open(config.clone(), metrics.clone()).await?;
        let proposals = Arc::new(Proposals::default());
        let (prefix, channel) = (config.key_prefix.clone(), keys::changes_channel(&config.key_prefix));
        let tasks = changes::follow(config, connection.clone(), Arc::clone(&proposals));
        Ok(Self { inner: Arc::new(Inner { connection, prefix, channel, proposals, metrics, tasks }) })
    }

    /// Registers the store's metrics.
    pub fn register_metrics(&self, metrics: &Metrics) {
        metrics.register(|registry| self.inner.metrics.register(registry));
    }

    pub(super) async fn register(
        &self,
        proposal: ProposalId,
        rules: CountingRules,
        lanes: u16,
    ) -> Result<(), StoreError> {
        let registered = self.register_here(proposal, rules, lanes)?;
        let descriptor = format!("{} {} {lanes}", rules.system.name(), rules.choice_count);
        let mut command = redis::cmd("SET");
        command.arg(registered.keys.descriptor()).arg(&descriptor).arg("GET");
        let before: Option<String> = self.query(&registered, &command).await?;
        // All processes of one log agree on a definition, so this is what another log left here. Its lanes are fenced by
        // their log's identity and replaced.
        if let Some(before) = before.filter(|before| *before != descriptor) {
            warn!(%proposal, before, now = descriptor, "the store knew this proposal by another log's definition");
        }
        Ok(())
    }

    pub(super) fn changes(&self, proposal: ProposalId) -> Result<watch::Receiver<u64>, StoreError> {
        Ok(self.registered(proposal)?.version.subscribe())
    }

    /// In this process it is known even while Redis is away, so that readers are told that, and not that they ask for
    /// something unknown.
    fn register_here(
        &self,
        proposal: ProposalId,
        rules: CountingRules,
        lanes: u16,
    ) -> Result<Arc<Registered>, StoreError> {
        let mut proposals = self.inner.proposals.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = proposals.get(&proposal) {
            let same = known.rules == rules && known.lanes == lanes;
            return if same { Ok(Arc::clone(known)) } else { Err(StoreError::RegisteredOtherwise { proposal }) };
        }
        let keys = ProposalKeys::new(&self.inner.prefix, proposal);
        let (version, messages) = (watch::Sender::new(0), AtomicU64::new(0));
        let registered = Arc::new(Registered { proposal, rules, lanes, keys, version, messages });
        proposals.insert(proposal, Arc::clone(&registered));
        Ok(registered)
    }

    fn registered(&self, proposal: ProposalId) -> Result<Arc<Registered>, StoreError> {
        let proposals = self.inner.proposals.read().unwrap_or_else(PoisonError::into_inner);
        proposals.get(&proposal).cloned().ok_or(StoreError::UnknownProposal { proposal })
    }

    async fn query<T: redis::FromRedisValue>(
        &self,
        registered: &Registered,
        command: &redis::Cmd,
    ) -> Result<T, StoreError> {
        self.inner.connection.query(command).await.map_err(|error| registered.failed(error))
    }

    async fn query_all<T: redis::FromRedisValue>(
        &self,
        registered: &Registered,
        commands: &redis::Pipeline,
    ) -> Result<T, StoreError> {
        self.inner.connection.query_all(commands).await.map_err(|error| registered.failed(error))
    }
}

impl Registered {
    fn lane(&self, lane: Lane) -> Result<LaneKeys, StoreError> {
        if lane.0 < self.lanes {
            Ok(self.keys.lane(lane))
        } else {
            Err(StoreError::UnknownLane { proposal: self.proposal, lane })
        }
    }

    /// The keys of all lanes.
    fn all_lanes(&self) -> Vec<LaneKeys> {
        (0..self.lanes).map(|lane| self.keys.lane(Lane(lane))).collect()
    }

    /// The position at the head of a lane's string, which is empty where the store has nothing.
    fn position(&self, bytes: &[u8]) -> Result<Option<LanePosition>, StoreError> {
        if bytes.is_empty() {
            return Ok(None);
        }
        words::decode_position(bytes).map(Some).map_err(|problem| self.damaged(problem))
    }

    fn damaged(&self, problem: impl Into<String>) -> StoreError {
        StoreError::Damaged { proposal: self.proposal, problem: problem.into() }
    }

    fn failed(&self, error: CallError) -> StoreError {
        match error {
            CallError::Redis(error) if error.code() == Some("WRONGTYPE") => self.damaged(describe(&error)),
            error @ (CallError::NoConnection { .. }
            | CallError::Replacing
            | CallError::TimedOut
            | CallError::Redis(_)) => StoreError::Unavailable { source: Arc::new(error) },
        }
    }
}

fn describe(error: &RedisError) -> String {
    format!("a key has a type of its own ({error})")
}

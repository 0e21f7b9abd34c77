//! The connection that is kept: replaced whenever it fails, by a task of its own, so that no caller waits for longer than
//! its limit and none has to reconnect. Each attempt reads the configuration's files and asks the sentinels again.
//!
//! `redis::aio::ConnectionManager` would reconnect too, but to the address it was given, and while callers wait.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use redis::{Cmd, ErrorKind, FromRedisValue, Pipeline, RedisError, RedisResult, ServerErrorKind};
use thiserror::Error;
use tokio::{
    sync::watch,
    task::AbortHandle,
    time::{self, timeout},
};
use tracing::{info, warn};

use super::{
    config::RedisConfig,
    connect::{self, ANSWER_LIMIT, CONNECT_LIMIT, Link, RedisConnectError},
    metrics::RedisMetrics,
};
use crate::telemetry;

/// Longest wait of a call for a connection that is being replaced: enough for a reconnection to a server that is there.
const LINK_LIMIT: Duration = Duration::from_millis(400);

/// Pauses between attempts to connect: the first short, since most interruptions are, then longer up to the second.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// While Redis is away, its absence is logged once in this time.
const COMPLAINT_INTERVAL: Duration = Duration::from_secs(30);

/// Why a call failed.
#[derive(Debug, Error)]
pub(super) enum CallError {
    /// There is no connection now.
    #[error("there is no connection to Redis")]
    NoConnection {
        /// Why the last attempt failed.
        #[source]
        source: Arc<RedisConnectError>,
    },
    /// The connection was just lost.
    #[error("the connection to Redis is being replaced")]
    Replacing,
    /// No answer in time.
    #[error("Redis did not answer within {} ms", ANSWER_LIMIT.as_millis())]
    TimedOut,
    /// An answer, or the end of the connection.
    #[error("Redis did not do it")]
    Redis(#[from] RedisError),
}

/// Keeps a connection. Clones share it; it is closed with the last of them.
#[derive(Clone)]
pub(super) struct Connection {
    inner: Arc<Inner>,
}

struct Inner {
    state: watch::Receiver<State>,
    /// The number of the newest link that failed.
    broken: watch::Sender<u64>,
    keeper: AbortHandle,
    metrics: RedisMetrics,
}

#[derive(Clone)]
enum State {
    Up { number: u64, link: Link },
    Down { problem: Option<Arc<RedisConnectError>> },
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

impl Connection {
    /// Connects once; from then on the connection is kept.
    pub(super) async fn open(config: RedisConfig, metrics: RedisMetrics) -> Result<Self, RedisConnectError> {
        let link = connect_within(&config).await?;
        let (states, state) = watch::channel(State::Up { number: 1, link });
        let (broken, broken_seen) = watch::channel(0);
        let keeper = Keeper { config, states, broken: broken_seen, metrics: metrics.clone() };
        let keeper = tokio::spawn(keeper.run()).abort_handle();
        Ok(Self { inner: Arc::new(Inner { state, broken, keeper, metrics }) })
    }

    /// Asks one thing.
    pub(super) async fn query<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, CallError> {
        let (number, link) = self.link().await?;
        self.judge(number, timeout(ANSWER_LIMIT, link.query(command)).await)
    }

    /// Asks several things at once.
    pub(super) async fn query_all<T: FromRedisValue>(&self, commands: &Pipeline) -> Result<T, CallError> {
        let (number, link) = self.link().await?;
        self.judge(number, timeout(ANSWER_LIMIT, link.query_all(commands)).await)
    }

    async fn link(&self) -> Result<(u64, Link), CallError> {
        let mut state = self.inner.state.clone();
        let broken = *self.inner.broken.borrow();
        let up =
            timeout(LINK_LIMIT, state.wait_for(|state| matches!(state, State::Up { number, .. } if *number > broken)));
        if let Ok(Ok(state)) = up.await
            && let State::Up { number, link } = &*state
        {
            return Ok((*number, link.clone()));
        }
        self.inner.metrics.failed_calls.inc();
        match &*self.inner.state.borrow() {
            State::Down { problem: Some(source) } => Err(CallError::NoConnection { source: Arc::clone(source) }),
            State::Down { problem: None } | State::Up { .. } => Err(CallError::Replacing),
        }
    }

    fn judge<T>(&self, number: u64, answer: Result<RedisResult<T>, time::error::Elapsed>) -> Result<T, CallError> {
        let error = match answer {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) if !needs_another_connection(&error) => return Err(error.into()),
            Ok(Err(error)) => CallError::Redis(error),
            Err(_) => CallError::TimedOut,
        };
        self.inner.metrics.failed_calls.inc();
        self.inner.broken.send_if_modified(|broken| std::mem::replace(broken, number.max(*broken)) < number);
        Err(error)
    }
}

/// Whether the server behind the connection is gone, or is not the master any more.
fn needs_another_connection(error: &RedisError) -> bool {
    match error.kind() {
        ErrorKind::Io | ErrorKind::Parse | ErrorKind::AuthenticationFailed | ErrorKind::ClusterConnectionNotFound => {
            true
        }
        ErrorKind::Server(kind) => matches!(kind, ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown),
        _ => error.is_unrecoverable_error(),
    }
}

async fn connect_within(config: &RedisConfig) -> Result<Link, RedisConnectError> {
    // The parts have limits of their own; this bounds their sum.
    match timeout(CONNECT_LIMIT, connect::connect(config)).await {
        Ok(connected) => connected,
        Err(_) => Err(RedisConnectError::TimedOut { address: format!("{:?}", config.address), limit: CONNECT_LIMIT }),
    }
}

/// Replaces the connection.
struct Keeper {
    config: RedisConfig,
    states: watch::Sender<State>,
    broken: watch::Receiver<u64>,
    metrics: RedisMetrics,
}

impl Keeper {
    async fn run(mut self) {
        let mut number = 1;
        while self.broken.wait_for(|broken| *broken >= number).await.is_ok() {
            self.states.send_replace(State::Down { problem: None });
            let link = self.connect().await;
            number += 1;
            self.metrics.reconnections.inc();
            self.states.send_replace(State::Up { number, link });
        }
    }

    async fn connect(&self) -> Link {
        let lost = Instant::now();
        let mut complained: Option<Instant> = None;
        let mut pause = PAUSE_MIN;
        loop {
            match connect_within(&self.config).await {
                Ok(link) => {
                    info!(after_ms = lost.elapsed().as_millis(), "connected to Redis again");
                    return link;
                }
                Err(problem) => {
                    if complained.is_none_or(|complained| complained.elapsed() >= COMPLAINT_INTERVAL) {
                        warn!(error = telemetry::chain(&problem), "Redis is away");
                        complained = Some(Instant::now());
                    }
                    self.states.send_replace(State::Down { problem: Some(Arc::new(problem)) });
                }
            }
            time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }
}

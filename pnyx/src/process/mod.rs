//! The platform as processes of their own: the edge, verifier shards, tallies and the recount, which meet in Kafka and
//! Redis and nowhere else. Each is a thin composition of a component; what they share is here.

mod file;
mod settings;

#[cfg(test)]
mod operations_page;

pub mod ingest;
pub mod operator;
pub mod propose;
pub mod recount;
pub mod tally;
pub mod verifier;

mod archive;
pub(crate) mod chains;
pub(crate) mod traces;
pub(crate) mod words;

use std::{future::Future, process::ExitCode, time::Duration};

use anyhow::Context as _;
use axum::Router;
use pnyx_backbone::{
    health::{Check, Health},
    log::{KafkaConfig, KafkaLog, Log},
    proposals::Proposals,
    shutdown::Shutdown,
    store::{RedisAddress, RedisConfig, RedisStore, Store},
    telemetry::Metrics,
    traces::{TracesConfig, close as close_traces},
};

use self::settings::Serving;
use crate::{
    screen,
    serving::{Listener, watch_log},
};

/// Between SIGTERM and the end of taking requests: a balancer that asks for readiness every second has seen two refusals
/// by then, and a cluster has told its nodes.
const NOTICE: Duration = Duration::from_secs(3);

/// After the drain: what the log's client takes at most to send its last records and to leave its groups.
const CLOSING: Duration = Duration::from_secs(9);

/// The drain has at least this: a request in flight and its append.
const DRAIN_MIN: Duration = Duration::from_secs(3);

/// Shortest limit of an end: the pause for balancers, the drain, and closing the log.
const DRAIN_LIMIT_MIN: Duration = NOTICE.saturating_add(DRAIN_MIN).saturating_add(CLOSING);

/// A process that is starting or running.
struct Process {
    name: &'static str,
    shutdown: Shutdown,
    metrics: Metrics,
    health: Health,
    listener: Listener,
    /// Holds back readiness until the process serves.
    starting: Check,
    drain_limit: Duration,
}

/// What a start came to.
enum Started<T> {
    /// It can go on.
    Ready(T),
    /// It was asked to end before.
    AskedToEnd,
}

impl Process {
    /// Listens for signals and answers for health.
    async fn begin(name: &'static str, serving: Serving) -> anyhow::Result<Self> {
        let Serving { listen, drain_limit } = serving;
        let shutdown = Shutdown::new();
        shutdown.listen_for_signals(NOTICE).context("listening for signals")?;
        let metrics = Metrics::new();
        let health = Health::new(shutdown.clone(), metrics.clone());
        let starting = health.check("start");
        let listener = Listener::bind(listen, &health, &shutdown).await?;
        Ok(Self { name, shutdown, metrics, health, listener, starting, drain_limit })
    }

    /// Sends traces, if that is asked for.
    async fn trace(&self, config: Option<TracesConfig>) -> anyhow::Result<()> {
        traces::start(config, self.name, &self.metrics).await
    }

    /// Starts what the process is made of, unless it is asked to end meanwhile. Not ready before.
    async fn start<T>(&self, starting: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<Started<T>> {
        tokio::select! {
            () = self.shutdown.requested() => Ok(Started::AskedToEnd),
            started = starting => started.map(Started::Ready),
        }
    }

    /// Opens the log, warmed up, and reads what is decided.
    async fn open_log(&self, config: KafkaConfig) -> anyhow::Result<(Log, Proposals)> {
        let (log, proposals) = open_log(config, &self.shutdown).await?;
        log.register_metrics(&self.metrics);
        proposals.register_metrics(&self.metrics);
        watch_log(&log, &self.health, &self.shutdown);
        Ok((log, proposals))
    }

    /// Connects to the store.
    async fn open_store(&self, config: RedisConfig) -> anyhow::Result<Store> {
        let store = open_store(config).await?;
        store.register_metrics(&self.metrics);
        Ok(Store::Redis(store))
    }

    /// Serves until the process is asked to end or something fails for good, then finishes what is in flight.
    async fn run(self, log: Log, router: Router, what: &str) -> anyhow::Result<ExitCode> {
        self.finish(router, what, async move { log.close().await }).await
    }

    /// The same, for a process that has something else to close at its end.
    async fn finish(self, router: Router, what: &str, closing: impl Future<Output = ()>) -> anyhow::Result<ExitCode> {
        let Self { name, shutdown, metrics: _, health: _, listener, starting, drain_limit } = self;
        let url = listener.url();
        listener.serve(router, starting);
        screen::line(&format!(
            "ready · {what} {url} · health on {url}/readyz · SIGTERM ends it after what is in flight"
        ));
        let drained = shutdown.drained(drain_limit.saturating_sub(NOTICE + CLOSING)).await;
        // At the same time: neither may need what the other has left of the limit.
        tokio::join!(closing, close_traces());
        drained.with_context(|| format!("pnyx {name}"))?;
        screen::line(&format!("stopped · pnyx {name}"));
        Ok(ExitCode::SUCCESS)
    }
}

/// Opens the log and reads what is decided.
async fn open_log(config: KafkaConfig, shutdown: &Shutdown) -> anyhow::Result<(Log, Proposals)> {
    let servers = config.bootstrap_servers.clone();
    let log = KafkaLog::open(config).await.with_context(|| format!("opening the log in Kafka at {servers}"))?;
    let log = Log::Kafka(log);
    let proposals = Proposals::start(log.clone(), shutdown).await.context("reading what is decided")?;
    Ok((log, proposals))
}

async fn open_store(config: RedisConfig) -> anyhow::Result<RedisStore> {
    let address = redis_words(&config.address);
    RedisStore::connect(config).await.with_context(|| format!("connecting to the {address}"))
}

/// The first line of a process.
fn banner(name: &str, parts: &[String]) {
    screen::line(&format!("pnyx {name} · {}", parts.join(" · ")));
}

fn kafka_words(config: &KafkaConfig) -> String {
    format!("log: Kafka at {} (topics {}.…)", config.bootstrap_servers, config.topic_prefix)
}

fn redis_words(address: &RedisAddress) -> String {
    let list = |addresses: &[_]| addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    match address {
        RedisAddress::Single(address) => format!("store: Redis at {address}"),
        RedisAddress::Sentinel { master, sentinels, password_file: _ } => {
            format!("store: Redis {master} by the sentinels {}", list(sentinels))
        }
        RedisAddress::Cluster { nodes } => format!("store: Redis cluster by {}", list(nodes)),
    }
}

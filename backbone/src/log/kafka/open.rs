//! Opening the log: connect, check what the cluster promises, warm up, read which log it is.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use pnyx_core::{decisions::Decision, id::LogIdentity, wire::decision};
use rdkafka::{config::FromClientConfigAndContext as _, consumer::BaseConsumer};
use tokio::{task, time::timeout};

use super::{
    Shared,
    backlog::Backlog,
    config::KafkaConfig,
    delivery::DeliveryState,
    errors::{self, KafkaOpenError},
    events::{CauseKind, Events},
    metrics::KafkaMetrics,
    producer::Producer,
    reader::KafkaReader,
    settings::Settings,
    topics::{Cluster, Topics},
    watch,
};
use crate::log::{AppendTo, LogError, Topic};

/// How long the first answer of a broker may take. With what follows it stays below ten seconds, within which whoever
/// starts a process shall know what is wrong.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(7);

/// How long one attempt at it takes: after each, what the client has said is looked at.
const CONNECT_ATTEMPT: Duration = Duration::from_millis(500);

/// In what the library says when a broker ends the connection at the first request: it understood no word of it.
const ENDS_AT_ONCE: &str = "APIVERSION_QUERY";

/// Things a client may have said in that time.
const EVENTS_A_TURN: u32 = 32;

/// How long the first record may take to be read.
const IDENTITY_TIMEOUT: Duration = Duration::from_secs(8);

/// Opens the log.
pub(super) async fn open(config: KafkaConfig) -> Result<Arc<Shared>, KafkaOpenError> {
    let settings = Settings::new(config)?;
    let shared = match task::spawn_blocking(move || prepare(settings)).await {
        Ok(prepared) => prepared?,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => return Err(KafkaOpenError::Proposals { source: LogError::Closed }),
        },
    };
    match identify(&shared).await {
        Ok(identity) => {
            shared.identity.get_or_init(|| identity);
            Ok(shared)
        }
        Err(error) => {
            shared.begin_stop();
            thread::spawn(move || shared.stop());
            Err(error)
        }
    }
}

/// Connects a client for questions; fails as soon as the cause is known and will not go away.
pub(super) fn connect(settings: &Settings, events: &Events) -> Result<Cluster, KafkaOpenError> {
    let client = settings.questions()?;
    let consumer = BaseConsumer::from_config_and_context(&client, events.clone())
        .map_err(|error| KafkaOpenError::Client { problem: errors::words(&error) })?;
    let cluster = Cluster::new(consumer);
    let deadline = Instant::now() + CONNECT_TIMEOUT;
    loop {
        let answer = cluster.brokers(CONNECT_ATTEMPT);
        if answer.is_ok() {
            events.forget();
            return Ok(cluster);
        }
        // Each error ends a turn, and the most telling one may come last.
        (0..EVENTS_A_TURN).for_each(|_| cluster.serve(Duration::from_millis(1)));
        let cause = events.cause();
        let is_certain =
            cause.as_ref().is_some_and(|cause| matches!(cause.kind, CauseKind::Tls | CauseKind::Credentials));
        if is_certain || Instant::now() >= deadline {
            return Err(unreachable(settings, cause.map(|cause| cause.kind), events.cause_words()));
        }
    }
}

fn unreachable(settings: &Settings, kind: Option<CauseKind>, mut cause: String) -> KafkaOpenError {
    let bootstrap_servers = settings.config().bootstrap_servers.clone();
    if settings.config().tls.is_none() && cause.contains(ENDS_AT_ONCE) {
        cause.push_str(" (does this listener want TLS?)");
    }
    match kind {
        Some(CauseKind::Credentials) => KafkaOpenError::Credentials { bootstrap_servers, cause },
        Some(CauseKind::Tls) => KafkaOpenError::Tls { bootstrap_servers, cause },
        Some(CauseKind::Brokers | CauseKind::Connection | CauseKind::Name) | None => {
            KafkaOpenError::Unreachable { bootstrap_servers, cause }
        }
    }
}

/// Everything but which log it is.
fn prepare(settings: Settings) -> Result<Arc<Shared>, KafkaOpenError> {
    let metrics = KafkaMetrics::new();
    let events = Events::new("questions", metrics.clone());
    let cluster = connect(&settings, &events)?;
    let topics = Arc::new(Topics::default());
    let backlog = Arc::new(Backlog::new(metrics.clone()));
    let delivery = Arc::new(DeliveryState::new(backlog, topics.clone(), settings.clone()));
    // It gets warm while the topic is looked at.
    let producer = Producer::start(delivery, Events::new("producer", metrics))?;
    let checked = check_cluster(&settings, &cluster, &topics, &events).and_then(|()| producer.wait_warm());
    if let Err(error) = checked {
        producer.close();
        return Err(error);
    }
    let shared = Arc::new(Shared::new(settings, topics, producer, cluster, events));
    watch::spawn(&shared).map_err(|source| KafkaOpenError::Thread { source })?;
    Ok(shared)
}

fn check_cluster(
    settings: &Settings,
    cluster: &Cluster,
    topics: &Topics,
    events: &Events,
) -> Result<(), KafkaOpenError> {
    let config = settings.config();
    let asked = cluster.brokers(CONNECT_TIMEOUT);
    let brokers = asked.map_err(|error| unreachable(settings, None, errors::words(&error)))?;
    if brokers < usize::from(config.replication_factor) && !config.allow_unsafe_durability {
        let problem = format!("it has {brokers} brokers, too few for {} copies", config.replication_factor);
        return Err(KafkaOpenError::Durability { problem });
    }
    let proposals = Topic::proposals();
    let partitions = topics
        .ensure(cluster, settings, &proposals, 1, events)
        .and_then(|()| topics.look(cluster, settings, &proposals))
        .map_err(|source| KafkaOpenError::Proposals { source })?
        .partitions();
    if partitions > 1 {
        let problem = format!("it has {partitions} partitions, it must have 1");
        return Err(KafkaOpenError::Proposals { source: LogError::Settings { topic: proposals, problem } });
    }
    Ok(())
}

/// Which log it is: what its first record says. Whoever finds no record writes one; whichever came first stands.
async fn identify(shared: &Arc<Shared>) -> Result<LogIdentity, KafkaOpenError> {
    let proposals = Topic::proposals();
    let unusable = |source| KafkaOpenError::Proposals { source };
    let asked = proposals.clone();
    let ends = shared.ask(move |shared, cluster| shared.topics.ends(cluster, &shared.settings, &asked)).await;
    if ends.map_err(unusable)?.first().is_none_or(|end| *end == 0) {
        let known = shared.known(&proposals).await.map_err(unusable)?;
        let first = decision::encode(&Decision::Log(LogIdentity(rand::random())));
        let appended = shared.producer.append(&known, AppendTo::Partition(0), &first).await;
        appended.map_err(|source| KafkaOpenError::Begin { source })?;
    }
    let mut reader = KafkaReader::new(shared.clone(), proposals.clone(), 0, 0);
    let first = timeout(IDENTITY_TIMEOUT, reader.next_batch(1, 1)).await.unwrap_or_else(|_| {
        let source = errors::problem("its first record did not come");
        Err(LogError::Unavailable { topic: proposals.clone(), source })
    });
    let first = first.map_err(unusable)?.into_iter().next();
    match first.map(|record| decision::decode(&record.value)) {
        Some(Ok(Decision::Log(identity))) => Ok(identity),
        _ => Err(KafkaOpenError::NotALog { name: shared.settings.topic_name(&proposals) }),
    }
}

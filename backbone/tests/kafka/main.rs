//! The log on Kafka when brokers die, hang or do not know us: each test has a cluster of its own.
#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

mod faults;
mod security;

use std::time::Duration;

use pnyx_backbone::{
    log::{
        Log, Topic,
        kafka::{KafkaConfig, KafkaLog},
    },
    telemetry::Metrics,
};
use pnyx_core::id::ProposalId;

/// Far more than any step of these tests takes: reaching it means that something hangs.
const HANG: Duration = Duration::from_secs(60);

/// One broker, whatever it may lose.
fn config_of_one(bootstrap_servers: String) -> KafkaConfig {
    let mut config = KafkaConfig::new(bootstrap_servers);
    config.replication_factor = 1;
    config.min_insync_replicas = 1;
    config.allow_unsafe_durability = true;
    config
}

async fn open(config: KafkaConfig) -> Log {
    Log::Kafka(KafkaLog::open(config).await.unwrap())
}

fn ballots() -> Topic {
    Topic::ballots(ProposalId::new([7; 32]))
}

fn verdicts() -> Topic {
    Topic::verdicts(ProposalId::new([7; 32]))
}

/// The value of a metric without labels.
fn metric(metrics: &Metrics, name: &str) -> u64 {
    let text = metrics.encode();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{name} is missing in\n{text}")).parse().unwrap()
}

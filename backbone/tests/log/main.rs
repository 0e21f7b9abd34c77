//! The log as its callers see it: the same cases over a directory and over a real Kafka, and what is special to each.
#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

mod cases;
mod embedded;
mod kafka;

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use pnyx_backbone::log::{
    EmbeddedLog, Log, LogRecord, Topic,
    kafka::{KafkaConfig, KafkaLog},
};
use pnyx_core::id::ProposalId;
use pnyx_testbed::{KafkaCluster, KafkaOptions};
use tempfile::TempDir;

/// Far more than any step of these tests takes, also where everything compiles beside: reaching it means that something
/// hangs.
const HANG: Duration = Duration::from_secs(120);

/// Where a log lies, so that it can be opened again.
enum Place {
    /// In a directory.
    Directory(TempDir),
    /// Under a topic prefix of its own in the Kafka that all tests of this file share.
    Kafka(Box<KafkaConfig>),
}

impl Place {
    fn embedded() -> Self {
        Self::Directory(tempfile::tempdir().unwrap())
    }

    fn kafka() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        // A server that outlives this process has the topics of earlier runs.
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let mut config = KafkaConfig::new(kafka_bootstrap());
        config.topic_prefix = format!("log{}.{number}", std::process::id());
        config.replication_factor = 1;
        config.min_insync_replicas = 1;
        config.allow_unsafe_durability = true;
        Self::Kafka(Box::new(config))
    }

    async fn open(&self) -> Log {
        match self {
            Self::Directory(dir) => Log::Embedded(EmbeddedLog::open(dir.path()).unwrap()),
            Self::Kafka(config) => Log::Kafka(KafkaLog::open(KafkaConfig::clone(config)).await.unwrap()),
        }
    }
}

/// One Kafka for all tests of this file: starting one takes seconds.
fn kafka_bootstrap() -> String {
    static KAFKA: OnceLock<KafkaCluster> = OnceLock::new();
    KAFKA.get_or_init(|| KafkaCluster::start(KafkaOptions::one()).unwrap()).bootstrap()
}

fn ballots() -> Topic {
    Topic::ballots(ProposalId::new([7; 32]))
}

fn verdicts() -> Topic {
    Topic::verdicts(ProposalId::new([7; 32]))
}

fn values(records: &[LogRecord]) -> Vec<String> {
    records.iter().map(|record| String::from_utf8(record.value.clone()).unwrap()).collect()
}

/// Runs each case over both logs.
macro_rules! cases {
    ($($case:ident)*) => {
        mod over_a_directory {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                crate::cases::$case(&crate::Place::embedded()).await;
            })*
        }

        mod over_kafka {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                crate::cases::$case(&crate::Place::kafka()).await;
            })*
        }
    };
}

cases! {
    records_come_back_as_they_were_and_survive_a_restart
    a_reader_waits_for_what_is_not_there_yet
    batches_end_at_their_bounds
    records_of_every_size_can_be_read_from_every_offset
    concurrent_appends_get_dense_offsets_and_times_that_never_fall
    what_cannot_be_appended_is_refused
    topics_grow_and_never_shrink
    a_group_resumes_where_it_committed
    partitions_that_are_busy_hold_no_others_back
    closing_finishes_what_is_queued_and_wakes_who_waits
}

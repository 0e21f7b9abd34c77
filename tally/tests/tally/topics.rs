//! Topics that go wrong on a real Kafka hurt their own proposal and no other.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use pnyx_backbone::{
    log::{
        AppendTo, Log, LogError, Topic,
        kafka::{KafkaConfig, KafkaLog},
    },
    store::{MemoryStore, ProposalView, Store},
};
use pnyx_core::{
    choice::Choice,
    id::ProposalId,
    proposal::{Definition, VotingSystem},
    verdict::Verdict,
    wire::verdict,
};
use pnyx_testbed::{KafkaCluster, KafkaOptions};
use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, AlterConfig, NewPartitions, ResourceSpecifier},
    client::DefaultClientContext,
};

use crate::rig::{Rig, counts, eventually, voter};

/// What a topic of verdicts is made with.
const GOOD: [(&str, &str); 4] = [
    ("cleanup.policy", "delete"),
    ("retention.ms", "-1"),
    ("message.timestamp.type", "LogAppendTime"),
    ("max.message.bytes", "2000000"),
];

/// Topics of this test's own in the Kafka that all tests of this file share, and somebody with all rights who does to
/// them what a person may do by mistake.
struct Stranger {
    config: KafkaConfig,
    admin: AdminClient<DefaultClientContext>,
}

impl Stranger {
    fn new() -> Self {
        static KAFKA: OnceLock<KafkaCluster> = OnceLock::new();
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let bootstrap = KAFKA.get_or_init(|| KafkaCluster::start(KafkaOptions::one()).unwrap()).bootstrap();
        let mut config = KafkaConfig::new(bootstrap.clone());
        config.topic_prefix = format!("tally{}.{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        config.replication_factor = 1;
        config.min_insync_replicas = 1;
        config.allow_unsafe_durability = true;
        let admin = ClientConfig::new().set("bootstrap.servers", bootstrap).create().unwrap();
        Self { config, admin }
    }

    /// The log as a process sees it that knows nothing of what was before.
    async fn open(&self) -> Log {
        Log::Kafka(KafkaLog::open(self.config.clone()).await.unwrap())
    }

    fn name(&self, topic: &Topic) -> String {
        topic.name().replacen("pnyx", &self.config.topic_prefix, 1)
    }

    async fn set(&self, topic: &Topic, settings: &[(&str, &str)]) {
        let name = self.name(topic);
        let mut altered = AlterConfig::new(ResourceSpecifier::Topic(&name));
        for (key, value) in settings {
            altered = altered.set(key, value);
        }
        let results = self.admin.alter_configs([&altered], &AdminOptions::new()).await.unwrap();
        assert!(results.iter().all(Result::is_ok), "{results:?}");
    }

    async fn delete(&self, topic: &Topic) {
        let name = self.name(topic);
        let results = self.admin.delete_topics(&[name.as_str()], &AdminOptions::new()).await.unwrap();
        assert!(results.iter().all(Result::is_ok), "{results:?}");
    }

    async fn grow(&self, topic: &Topic, partitions: usize) {
        let name = self.name(topic);
        let grown = NewPartitions::new(&name, partitions);
        let results = self.admin.create_partitions([&grown], &AdminOptions::new()).await.unwrap();
        assert!(results.iter().all(Result::is_ok), "{results:?}");
    }

    /// Removes the first record of each partition that has one.
    async fn damage(&self, log: &Log, topic: &Topic) {
        let mut first = TopicPartitionList::new();
        for (partition, end) in (0..).zip(log.ends(topic).await.unwrap()) {
            if end > 0 {
                first.add_partition_offset(&self.name(topic), partition, Offset::Offset(1)).unwrap();
            }
        }
        self.admin.delete_records(&first, &AdminOptions::new()).await.unwrap();
    }
}

fn definition(name: &str) -> Definition {
    crate::rig::definition(name, VotingSystem::SingleChoice, &["A", "B", "C"])
}

/// Verdicts from this record on, some in each lane.
fn votes(from: u64) -> Vec<Verdict> {
    let vote = |number| counts(number, voter(u32::try_from(number).unwrap()), Choice::Single(1), "1");
    (from..from + 40).map(vote).collect()
}

async fn view(rig: &Rig, id: ProposalId) -> ProposalView {
    rig.store.view(id).await.unwrap().unwrap()
}

fn disabled(rig: &Rig, reason: &str) -> u64 {
    let metrics = rig.metrics.encode();
    let name = format!("pnyx_tally_disabled_proposals{{reason=\"{reason}\"}} ");
    let figure = metrics.lines().find_map(|line| line.strip_prefix(&name));
    figure.unwrap_or_else(|| panic!("no {name} in {metrics}")).parse().unwrap()
}

async fn is_gone(log: &Log, topic: &Topic) -> bool {
    matches!(log.partitions(topic).await, Err(LogError::UnknownTopic { .. }))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_topic_disables_its_own_proposal_until_somebody_mends_it() {
    let stranger = Stranger::new();
    let store = Store::Memory(MemoryStore::new());
    let rig = Rig::over(stranger.open().await, store.clone()).await;
    let names = ["settings", "partitions", "damaged", "deleted", "good", "also-good"];
    let mut ids = Vec::new();
    for name in names {
        let id = rig.propose(&definition(name)).await;
        rig.judge(id, &votes(0)).await;
        rig.counted(id).await;
        ids.push(id);
    }
    rig.stop().await;
    let [settings, partitions, damaged, deleted, good, also_good] = ids[..] else { unreachable!("six are proposed") };
    let wrong = GOOD.map(|(key, value)| (key, if key == "message.timestamp.type" { "CreateTime" } else { value }));
    stranger.set(&Topic::verdicts(settings), &wrong).await;
    stranger.grow(&Topic::verdicts(partitions), 5).await;
    stranger.damage(&rig.log, &Topic::verdicts(damaged)).await;
    stranger.delete(&Topic::verdicts(deleted)).await;
    let before = view(&rig, deleted).await;

    // A process that starts then counts the others, and keeps what was counted of these.
    let log = stranger.open().await;
    let rig = Rig::over(log.clone(), store).await;
    for id in [good, also_good] {
        rig.judge(id, &votes(100)).await;
        assert_eq!(rig.counted(id).await.counters.counting, 80);
    }
    for reason in ["settings", "partitions", "damaged", "missing"] {
        eventually(reason, async || disabled(&rig, reason) == 1).await;
    }
    assert!(is_gone(&log, &Topic::verdicts(deleted)).await, "it would be without what was counted");
    assert_eq!(view(&rig, deleted).await, before);

    // Somebody mends one.
    stranger.set(&Topic::verdicts(settings), &GOOD).await;
    // The topic's leader hears of it a moment after the one who asked for it has his answer.
    let again = verdict::encode(&votes(0)[0]);
    let lane = AppendTo::Partition(u32::from(votes(0)[0].lane(4).0));
    eventually("records carry their time", async || {
        log.append(&Topic::verdicts(settings), lane, again.clone()).await.is_ok()
    })
    .await;
    rig.judge(settings, &votes(100)).await;
    assert_eq!(rig.counted(settings).await.counters.counting, 80);
    eventually("it is in use", async || disabled(&rig, "settings") == 0).await;

    // One whose topic goes away while it is counted keeps what was counted; the others go on.
    let before = view(&rig, also_good).await;
    stranger.delete(&Topic::verdicts(also_good)).await;
    eventually("both are missed", async || disabled(&rig, "missing") == 2).await;
    rig.judge(good, &votes(200)).await;
    assert_eq!(rig.counted(good).await.counters.counting, 120);
    assert_eq!(view(&rig, also_good).await, before);
    assert!(is_gone(&log, &Topic::verdicts(also_good)).await);
    assert!(!rig.shutdown.is_requested(), "the process goes on");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_outlives_its_topic() {
    let stranger = Stranger::new();
    let store = Store::Memory(MemoryStore::new());
    let rig = Rig::over(stranger.open().await, store.clone()).await;
    let (over, live) = (definition("over"), definition("live"));
    let id = rig.propose(&over).await;
    rig.judge(id, &votes(0)).await;
    rig.counted(id).await;
    let cut = rig.cut(id, &[1_000, 1_000]).await;
    rig.counted(id).await;
    rig.publish(&over, cut).await;
    let other = rig.propose(&live).await;
    rig.judge(other, &votes(0)).await;
    rig.counted(other).await;
    let before = view(&rig, id).await;
    assert_eq!(before.counters.counting, 40);

    // Under a running tally, and under one that starts later.
    stranger.delete(&Topic::verdicts(id)).await;
    rig.judge(other, &votes(100)).await;
    rig.counted(other).await;
    assert_eq!(view(&rig, id).await, before);
    rig.stop().await;
    let log = stranger.open().await;
    let rig = Rig::over(log.clone(), store.clone()).await;
    rig.judge(other, &votes(200)).await;
    assert_eq!(rig.counted(other).await.counters.counting, 120);
    eventually("it is left alone", async || disabled(&rig, "retired") == 1).await;
    assert!(is_gone(&log, &Topic::verdicts(id)).await, "nobody makes it again");
    assert_eq!(view(&rig, id).await, before);
    rig.stop().await;

    // Somebody makes it again, empty: what was counted stays.
    log.ensure_topic(&Topic::verdicts(id), 4).await.unwrap();
    let rig = Rig::over(stranger.open().await, store).await;
    eventually("its lanes have owners", async || rig.metrics.encode().contains("pnyx_tally_lanes_owned 8\n")).await;
    // Owners look at the store every second.
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(view(&rig, id).await, before);
    rig.stop().await;
}

//! The verifier on a real log: every record gets its verdict, whatever stops and starts meanwhile.
#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroUsize,
    time::Duration,
};

use pnyx_backbone::{
    clock,
    log::{
        AppendTo, EmbeddedLog, Log, LogError, Topic, VERIFIER_GROUP,
        kafka::{KafkaConfig, KafkaLog},
    },
    proposals::Proposals,
    shutdown::Shutdown,
    telemetry::Metrics,
};
use pnyx_chains::Chains;
use pnyx_core::{
    ballot::compose,
    decisions::{Decision, Recorded},
    id::{Place, ProposalId},
    proposal::{Abstentions, Definition, Proposal, ProposalParts, Strategy, Voting, VotingSystem},
    rejection::Rejection,
    signing::SigningKey,
    time::{TimestampMs, Window},
    verdict::{Ruling, Verdict},
    wire,
};
use pnyx_testbed::{KafkaCluster, KafkaOptions};
use pnyx_verifier::{VerifierConfig, VerifierError};
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, AlterConfig, ResourceSpecifier},
    client::DefaultClientContext,
};
use tempfile::TempDir;
use tokio::task::JoinHandle;

const SPACE: &str = "dao.example.eth";
const LANES: u16 = 4;
const VOTERS: u8 = 40;

/// How long a test waits before it says that something never happens.
const PATIENCE: Duration = Duration::from_secs(60);

struct Bed {
    log: Log,
    proposals: Proposals,
    /// Of log and decisions; each verifier has a shutdown of its own.
    _shutdown: Shutdown,
    _dir: Option<TempDir>,
}

struct Running {
    shutdown: Shutdown,
    metrics: Metrics,
    task: JoinHandle<Result<(), VerifierError>>,
}

impl Bed {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let log = Log::Embedded(EmbeddedLog::open(dir.path()).unwrap());
        Self::on(log, Some(dir)).await
    }

    async fn on(log: Log, dir: Option<TempDir>) -> Self {
        let shutdown = Shutdown::new();
        let proposals = Proposals::start(log.clone(), &shutdown).await.unwrap();
        Self { log, proposals, _shutdown: shutdown, _dir: dir }
    }

    async fn define(&self, name: &str) -> ProposalId {
        let definition = Definition::new(proposal(name), LANES, 2).unwrap();
        let id = definition.proposal().id();
        let recorded = self.proposals.decide(Decision::Definition(Box::new(definition))).await.unwrap();
        assert_eq!(recorded, Recorded::Stands);
        id
    }

    fn run(&self) -> Running {
        self.run_only(None)
    }

    fn run_only(&self, only: Option<ProposalId>) -> Running {
        let (shards, batch_records_max) = (NonZeroUsize::new(3).unwrap(), NonZeroUsize::new(8).unwrap());
        let config = VerifierConfig { shards, batch_records_max, only };
        let (shutdown, metrics) = (Shutdown::new(), Metrics::new());
        let (log, proposals) = (self.log.clone(), self.proposals.clone());
        let (stop, registry) = (shutdown.clone(), metrics.clone());
        let task =
            tokio::spawn(
                async move { pnyx_verifier::run(config, log, Chains::none(), proposals, stop, &registry).await },
            );
        Running { shutdown, metrics, task }
    }

    async fn cast(&self, id: ProposalId, voters: impl Iterator<Item = u8>) -> BTreeSet<Place> {
        let mut places = BTreeSet::new();
        for voter in voters {
            let appended = self.log.append(&Topic::ballots(id), AppendTo::Any, record(id, voter)).await.unwrap();
            places.insert(appended.place);
        }
        places
    }

    /// Casts a ballot once records carry the log's time: the topic's leader hears of a setting a moment after whoever asked for
    /// it has his answer.
    async fn until_timed(&self, id: ProposalId, voter: u8) {
        let cast = async {
            while self.log.append(&Topic::ballots(id), AppendTo::Any, record(id, voter)).await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, cast).await.expect("records carry the log's time");
    }

    async fn verdicts(&self, id: ProposalId) -> BTreeMap<Place, Vec<Verdict>> {
        let mut verdicts = BTreeMap::<_, Vec<_>>::new();
        for lane in 0..LANES {
            let mut reader = self.log.reader(&Topic::verdicts(id), lane.into(), 0).unwrap();
            for record in reader.read_available(10_000).await.unwrap() {
                let verdict = wire::verdict::decode(&record.value).unwrap();
                assert_eq!(verdict.lane(LANES).0, lane);
                verdicts.entry(verdict.place).or_default().push(verdict);
            }
        }
        verdicts
    }

    /// Waits until what the group committed covers all of the ballots.
    async fn until_committed(&self, id: ProposalId) {
        let ballots = Topic::ballots(id);
        tokio::time::timeout(PATIENCE, async {
            loop {
                match (self.log.committed(&ballots, VERIFIER_GROUP).await, self.log.ends(&ballots).await) {
                    (Ok(committed), Ok(ends)) if committed == ends && ends.iter().sum::<u64>() > 0 => return,
                    _ => tokio::time::sleep(Duration::from_millis(5)).await,
                }
            }
        })
        .await
        .expect("all records are verified in time");
    }
}

impl Running {
    /// How many proposals are disabled for this reason.
    fn disabled(&self, reason: &str) -> u64 {
        let metrics = self.metrics.encode();
        let name = format!("pnyx_verifier_disabled_proposals{{reason=\"{reason}\"}} ");
        let figure = metrics.lines().find_map(|line| line.strip_prefix(&name));
        figure.unwrap_or_else(|| panic!("no {name} in {metrics}")).parse().unwrap()
    }

    async fn until_disabled(&self, reason: &str, proposals: u64) {
        tokio::time::timeout(PATIENCE, async {
            while self.disabled(reason) != proposals {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await
        .unwrap_or_else(|_| panic!("{reason}: {proposals} in vain\n{}", self.metrics.encode()));
    }

    async fn stop(self) -> Metrics {
        self.shutdown.trigger();
        tokio::time::timeout(PATIENCE, self.task).await.expect("it ends").unwrap().unwrap();
        self.metrics
    }
}

fn key(number: u8) -> SigningKey {
    SigningKey::from_bytes([number; 32]).unwrap()
}

fn proposal(name: &str) -> Proposal {
    let now = clock::now();
    Proposal::new(ProposalParts {
        platform: "test".to_owned(),
        namespace: "default".to_owned(),
        name: name.to_owned(),
        space: SPACE.to_owned(),
        title: "P".to_owned(),
        body: String::new(),
        discussion: String::new(),
        author: String::new(),
        choices: vec!["For".to_owned(), "Against".to_owned()],
        voting: Voting {
            system: VotingSystem::SingleChoice,
            quorum: None,
            approval_threshold: None,
            abstentions: Abstentions::default(),
        },
        window: Window::new(TimestampMs(now.0 - 1_000), now.saturating_add_ms(3_600_000)).unwrap(),
        strategies: vec![Strategy::Whitelist((1..=VOTERS).map(|number| key(number).address()).collect())],
        snapshots: BTreeMap::new(),
        signers: None,
        clock_skew_s: 300,
    })
    .unwrap()
}

/// Every fourth record is poison, every voter above [`VOTERS`] has no power.
fn record(id: ProposalId, voter: u8) -> Vec<u8> {
    if voter.is_multiple_of(4) {
        return vec![7; voter.into()];
    }
    let unsigned = compose(key(voter).address(), SPACE, clock::now().0 / 1_000, id, "1", "", "test").unwrap();
    let signature = key(voter).sign_digest(*unsigned.digest().as_bytes());
    wire::record::encode(&unsigned.body_with(&signature))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_record_gets_its_verdict_through_stops_and_new_partitions() {
    let bed = Bed::new().await;
    let id = bed.define("p").await;
    let running = bed.run();
    tokio::time::timeout(PATIENCE, async {
        while bed.log.ends(&Topic::verdicts(id)).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .expect("the topics are made");
    let mut places = bed.cast(id, 1..=30).await;
    running.stop().await;

    places.extend(bed.cast(id, 31..=50).await);
    let running = bed.run();
    bed.log.grow_topic(&Topic::ballots(id), 7).await.unwrap();
    places.extend(bed.cast(id, 51..=80).await);
    bed.until_committed(id).await;
    let metrics = running.stop().await.encode();

    let verdicts = bed.verdicts(id).await;
    assert_eq!(verdicts.keys().copied().collect::<BTreeSet<_>>(), places);
    let firsts: Vec<_> = verdicts.values().map(|repeats| &repeats[0]).collect();
    assert!(verdicts.values().flatten().all(|verdict| firsts.contains(&verdict)), "a repeated verdict is the same");
    let count = |wanted: fn(&Ruling) -> bool| firsts.iter().filter(|verdict| wanted(&verdict.ruling)).count();
    assert_eq!(count(|ruling| matches!(ruling, Ruling::Counts(_))), 30);
    let rejected = |ruling: &Ruling, rejection| matches!(ruling, Ruling::Rejected(it) if it.rejection == rejection);
    assert_eq!(firsts.iter().filter(|it| rejected(&it.ruling, Rejection::MalformedEnvelope)).count(), 20);
    assert_eq!(firsts.iter().filter(|it| rejected(&it.ruling, Rejection::NoPower)).count(), 30);
    assert!(metrics.contains("pnyx_verifier_records_total{ruling=\"highS\"} 0\n"), "zero from the start: {metrics}");
    assert!(metrics.contains("pnyx_verifier_lag_records "), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proposal_that_is_defined_later_gets_shards_too() {
    let bed = Bed::new().await;
    let running = bed.run();
    let first = bed.define("first").await;
    let second = bed.define("second").await;
    for id in [first, second] {
        bed.log.ensure_topic(&Topic::ballots(id), 2).await.unwrap();
        bed.cast(id, 1..=9).await;
    }
    bed.until_committed(first).await;
    bed.until_committed(second).await;
    let metrics = running.stop().await.encode();
    assert!(metrics.contains("pnyx_verifier_proposals 2\n"), "{metrics}");
    assert_eq!(bed.verdicts(second).await.len(), 9);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verifier_of_one_proposal_leaves_the_others_alone() {
    let bed = Bed::new().await;
    let (one, other) = (bed.define("one").await, bed.define("other").await);
    for id in [one, other] {
        bed.log.ensure_topic(&Topic::ballots(id), 2).await.unwrap();
        bed.cast(id, 1..=9).await;
    }
    let of_one = bed.run_only(Some(one));
    bed.until_committed(one).await;
    let metrics = of_one.stop().await.encode();
    assert!(metrics.contains("pnyx_verifier_proposals 1\n"), "{metrics}");
    assert!(bed.log.committed(&Topic::ballots(other), VERIFIER_GROUP).await.unwrap().iter().all(|offset| *offset == 0));
    let of_all = bed.run();
    bed.until_committed(other).await;
    of_all.stop().await;
    assert_eq!(bed.verdicts(other).await.len(), 9);
}

/// A Kafka of this file's own, and somebody with all rights who does to topics what a person may do by mistake.
struct Stranger {
    _kafka: KafkaCluster,
    config: KafkaConfig,
    admin: AdminClient<DefaultClientContext>,
}

impl Stranger {
    fn new() -> Self {
        let kafka = KafkaCluster::start(KafkaOptions::one()).unwrap();
        let mut config = KafkaConfig::new(kafka.bootstrap());
        config.topic_prefix = format!("verifier{}", std::process::id());
        config.replication_factor = 1;
        config.min_insync_replicas = 1;
        config.allow_unsafe_durability = true;
        let admin = ClientConfig::new().set("bootstrap.servers", kafka.bootstrap()).create().unwrap();
        Self { _kafka: kafka, config, admin }
    }

    /// A process that knows nothing of what was before.
    async fn bed(&self) -> Bed {
        Bed::on(Log::Kafka(KafkaLog::open(self.config.clone()).await.unwrap()), None).await
    }

    fn name(&self, topic: &Topic) -> String {
        topic.name().replacen("pnyx", &self.config.topic_prefix, 1)
    }

    async fn set_timestamps(&self, topic: &Topic, of: &str) {
        let name = self.name(topic);
        let altered = AlterConfig::new(ResourceSpecifier::Topic(&name))
            .set("retention.ms", "-1")
            .set("max.message.bytes", "2000000")
            .set("message.timestamp.type", of);
        let results = self.admin.alter_configs([&altered], &AdminOptions::new()).await.unwrap();
        assert!(results.iter().all(Result::is_ok), "{results:?}");
    }

    async fn delete(&self, topic: &Topic) {
        let name = self.name(topic);
        let results = self.admin.delete_topics(&[name.as_str()], &AdminOptions::new()).await.unwrap();
        assert!(results.iter().all(Result::is_ok), "{results:?}");
    }
}

async fn is_gone(log: &Log, topic: &Topic) -> bool {
    matches!(log.partitions(topic).await, Err(LogError::UnknownTopic { .. }))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_topic_disables_its_own_proposal_until_somebody_mends_it() {
    let stranger = Stranger::new();
    let bed = stranger.bed().await;
    let mut ids = Vec::new();
    for name in ["settings", "ballots", "verdicts", "good", "later", "idle"] {
        let id = bed.define(name).await;
        bed.log.ensure_topic(&Topic::ballots(id), 2).await.unwrap();
        bed.log.ensure_topic(&Topic::verdicts(id), LANES.into()).await.unwrap();
        bed.cast(id, 1..=10).await;
        ids.push(id);
    }
    let running = bed.run();
    for id in &ids {
        bed.until_committed(*id).await;
    }
    running.stop().await;
    let [settings, ballots, verdicts, good, later, idle] = ids[..] else { unreachable!("six are defined") };
    stranger.set_timestamps(&Topic::ballots(settings), "CreateTime").await;
    stranger.delete(&Topic::ballots(ballots)).await;
    stranger.delete(&Topic::verdicts(verdicts)).await;

    let bed = stranger.bed().await;
    let running = bed.run();
    for id in [good, later] {
        bed.cast(id, 11..=20).await;
        bed.until_committed(id).await;
    }
    running.until_disabled("settings", 1).await;
    running.until_disabled("missing", 2).await;
    assert!(is_gone(&bed.log, &Topic::ballots(ballots)).await, "its verdicts are of other ballots");
    assert!(is_gone(&bed.log, &Topic::verdicts(verdicts)).await, "it would be without verdicts that are committed");

    // Somebody mends one; topics of others go away while they are used.
    stranger.set_timestamps(&Topic::ballots(settings), "LogAppendTime").await;
    bed.until_timed(settings, 11).await;
    bed.cast(settings, 12..=20).await;
    bed.until_committed(settings).await;
    running.until_disabled("settings", 0).await;
    stranger.delete(&Topic::verdicts(later)).await;
    bed.log.append(&Topic::ballots(later), AppendTo::Any, record(later, 21)).await.unwrap();
    stranger.delete(&Topic::ballots(idle)).await;
    running.until_disabled("missing", 4).await;
    bed.cast(good, 21..=30).await;
    bed.until_committed(good).await;
    assert!(is_gone(&bed.log, &Topic::verdicts(later)).await);
    running.stop().await;
    assert_eq!(bed.verdicts(good).await.len(), 30);
}

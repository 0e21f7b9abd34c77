//! The verifier on a real log: every record gets its verdict, whatever stops and starts meanwhile.
#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroUsize,
    time::Duration,
};

use pnyx_backbone::{
    clock,
    log::{AppendTo, EmbeddedLog, Log, Topic, VERIFIER_GROUP},
    proposals::Proposals,
    shutdown::Shutdown,
    telemetry::Metrics,
};
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
use pnyx_verifier::{VerifierConfig, VerifierError};
use tempfile::TempDir;
use tokio::task::JoinHandle;

const SPACE: &str = "dao.example.eth";
const LANES: u16 = 4;
const VOTERS: u8 = 40;

/// How long a test waits before it says that something never happens.
const PATIENCE: Duration = Duration::from_secs(30);

struct Bed {
    log: Log,
    proposals: Proposals,
    /// Of log and decisions; each verifier has a shutdown of its own.
    _shutdown: Shutdown,
    _dir: TempDir,
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
        let config =
            VerifierConfig { shards: NonZeroUsize::new(3).unwrap(), batch_records_max: NonZeroUsize::new(8).unwrap() };
        let (shutdown, metrics) = (Shutdown::new(), Metrics::new());
        let (log, proposals) = (self.log.clone(), self.proposals.clone());
        let (stop, registry) = (shutdown.clone(), metrics.clone());
        let task = tokio::spawn(async move { pnyx_verifier::run(config, log, proposals, stop, &registry).await });
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

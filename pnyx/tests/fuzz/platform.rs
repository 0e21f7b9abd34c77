//! The real components in this process: log on disk, edge, verifier, tally.

use std::{num::NonZeroUsize, time::Duration};

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{Request, StatusCode},
};
use pnyx_backbone::{
    log::{AppendTo, EmbeddedLog, Log, Topic, VERIFIER_GROUP},
    proposals::Proposals,
    shutdown::Shutdown,
    store::{MemoryStore, ProposalView, Store},
    telemetry::Metrics,
};
use pnyx_chains::Chains;
use pnyx_core::{
    decisions::{Decision, Recorded},
    id::{Digest, Place, ProposalId, Voter},
    rejection::Rejection,
    tally::StandingBallot,
    verdict::Verdict,
    wire,
};
use pnyx_ingest::{Ingest, IngestConfig, PlatformKey};
use pnyx_tally::Tally;
use pnyx_verifier::VerifierConfig;
use serde::Deserialize;
use tempfile::TempDir;
use tower::Service as _;

use crate::world::World;

/// How long topics may take to be made, and tasks to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long verifier and tally may take for what is still queued when all bodies are posted.
const DRAIN_PATIENCE: Duration = Duration::from_secs(300);

/// Pause between two looks at something that takes its time.
const POLL: Duration = Duration::from_millis(20);

/// Most bytes of an answer: a receipt with its path is below 2 kB.
const ANSWER_BYTES_MAX: usize = 100_000;

/// Records read at once.
const READ_RECORDS: usize = 4_096;

pub(crate) struct Platform {
    pub(crate) router: Router,
    pub(crate) log: Log,
    store: Store,
    tally: Tally,
    shutdown: Shutdown,
    _dir: TempDir,
}

/// What the edge answered.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) outcome: Outcome,
}

/// What an answer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Acknowledged, as this ballot at this place.
    Accepted(Digest, Place),
    /// Refused for what it is.
    Refused(Rejection),
    /// Asked to come again: the text.
    Again(String),
    /// Anything else.
    Unexpected(String),
}

#[derive(Deserialize)]
struct AcceptedDto {
    id: String,
    receipt: ReceiptDto,
}

#[derive(Deserialize)]
struct ReceiptDto {
    partition: u32,
    offset: u64,
}

#[derive(Deserialize)]
struct RefusedDto {
    error_description: String,
    detail: Option<String>,
}

impl Platform {
    pub(crate) async fn start(world: &World) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let (shutdown, metrics) = (Shutdown::new(), Metrics::new());
        let log = Log::Embedded(EmbeddedLog::open(dir.path()).expect("a new log"));
        let store = Store::Memory(MemoryStore::new());
        let key = PlatformKey::load_or_create(dir.path()).expect("a new key");
        let proposals = Proposals::start(log.clone(), &shutdown).await.expect("a follower");
        for definition in &world.definitions {
            let decision = Decision::Definition(Box::new(definition.clone()));
            assert_eq!(proposals.decide(decision).await.expect("it is written"), Recorded::Stands);
        }
        let ingest = Ingest::start(IngestConfig::default(), log.clone(), &proposals, key, &shutdown, &metrics);
        let router = pnyx_ingest::router(ingest.await.expect("an edge"));
        let config = VerifierConfig { shards: NonZeroUsize::MIN, ..VerifierConfig::default() };
        let (for_verifier, followed, stop) = (log.clone(), proposals.clone(), shutdown.clone());
        let registry = metrics.clone();
        shutdown.spawn("verifier", async move {
            pnyx_verifier::run(config, for_verifier, Chains::none(), followed, stop, &registry).await
        });
        let config = pnyx_tally::Config::default();
        let tally = pnyx_tally::run(config, log.clone(), store.clone(), Chains::none(), proposals, &shutdown, &metrics);
        let platform = Self { router, log, store, tally, shutdown, _dir: dir };
        for definition in &world.definitions {
            platform.until_ready(definition.proposal().id()).await;
        }
        platform
    }

    /// Ballots are refused with 503 until their topic is made.
    async fn until_ready(&self, id: ProposalId) {
        until(PATIENCE, "the topics are made", async || {
            let ballots = self.log.partitions(&Topic::ballots(id)).await;
            ballots.is_ok() && self.store.view(id).await.expect("a store").is_some()
        })
        .await;
    }

    /// Appends what the edge would not have taken.
    pub(crate) async fn smuggle(&self, id: ProposalId, body: &[u8]) -> Place {
        let record = wire::record::encode(body);
        let appended = self.log.append(&Topic::ballots(id), AppendTo::Any, record).await;
        appended.expect("the log takes it").place
    }

    /// Waits until every record has its verdict and every verdict is in the tally.
    pub(crate) async fn until_drained(&self, id: ProposalId) {
        let (ballots, verdicts) = (Topic::ballots(id), Topic::verdicts(id));
        until(DRAIN_PATIENCE, "all records are verified", async || {
            let committed = self.log.committed(&ballots, VERIFIER_GROUP).await.expect("a log");
            self.check();
            committed == self.log.ends(&ballots).await.expect("a log")
        })
        .await;
        let ends = self.log.ends(&verdicts).await.expect("a log");
        until(DRAIN_PATIENCE, "all verdicts are counted", async || {
            self.check();
            self.tally.drained_to(id, &ends).await.expect("a store")
        })
        .await;
    }

    /// A task that fails or panics requests the shutdown.
    fn check(&self) {
        assert!(!self.shutdown.is_requested(), "a component failed");
    }

    /// Every verdict on this proposal's records.
    pub(crate) async fn verdicts(&self, id: ProposalId) -> Vec<Verdict> {
        let topic = Topic::verdicts(id);
        let mut verdicts = Vec::new();
        for lane in 0..self.log.partitions(&topic).await.expect("a topic") {
            let mut reader = self.log.reader(&topic, lane, 0).expect("a lane");
            loop {
                let records = reader.read_available(READ_RECORDS).await.expect("a log");
                if records.is_empty() {
                    break;
                }
                verdicts.extend(records.iter().map(|record| wire::verdict::decode(&record.value).expect("a verdict")));
            }
        }
        verdicts
    }

    /// What readers are told: totals, and every standing ballot.
    pub(crate) async fn tally(&self, id: ProposalId) -> (ProposalView, Vec<(Voter, StandingBallot)>) {
        let view = self.store.view(id).await.expect("a store").expect("a registered proposal");
        let standing = self.store.standing_after(id, None, usize::MAX).await.expect("a store");
        (view, standing)
    }

    /// Ends everything; whatever failed or panicked fails the test.
    pub(crate) async fn stop(self) {
        self.shutdown.trigger();
        self.shutdown.drained(PATIENCE).await.expect("every task ends well");
        self.log.close().await;
    }
}

/// Posts a body through the edge's whole stack.
pub(crate) async fn post(router: &mut Router, body: Vec<u8>) -> Answer {
    let request = Request::post("/").body(Body::from(body)).expect("a request");
    let response = router.call(request).await.expect("an edge always answers");
    let status = response.status();
    let bytes = to_bytes(response.into_body(), ANSWER_BYTES_MAX).await.expect("an answer");
    let outcome = match status {
        StatusCode::OK => accepted(&bytes),
        StatusCode::BAD_REQUEST | StatusCode::SERVICE_UNAVAILABLE => refused(status, &bytes),
        _ => None,
    };
    let outcome = outcome.unwrap_or_else(|| Outcome::Unexpected(String::from_utf8_lossy(&bytes).into_owned()));
    Answer { status, outcome }
}

fn accepted(bytes: &[u8]) -> Option<Outcome> {
    let AcceptedDto { id, receipt: ReceiptDto { partition, offset } } = serde_json::from_slice(bytes).ok()?;
    Some(Outcome::Accepted(id.parse().ok()?, Place { partition, offset }))
}

/// Snapshot's text names a group of reasons, the detail the reason itself.
fn refused(status: StatusCode, bytes: &[u8]) -> Option<Outcome> {
    let RefusedDto { error_description, detail } = serde_json::from_slice(bytes).ok()?;
    let window = Rejection::OutsideWindow;
    if error_description == window.snapshot_text() {
        return Some(Outcome::Refused(window));
    }
    if status == StatusCode::SERVICE_UNAVAILABLE {
        return Some(Outcome::Again(error_description));
    }
    let rejection = Rejection::ALL.into_iter().find(|rejection| Some(rejection.name()) == detail.as_deref())?;
    (rejection.snapshot_text() == error_description).then_some(Outcome::Refused(rejection))
}

async fn until(patience: Duration, what: &str, holds: impl AsyncFn() -> bool) {
    let waiting = async {
        while !holds().await {
            tokio::time::sleep(POLL).await;
        }
    };
    tokio::time::timeout(patience, waiting).await.unwrap_or_else(|_| panic!("waited too long until {what}"));
}

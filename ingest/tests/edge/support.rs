//! An edge with its log in a directory of its own, and voters to post to it.

use std::num::NonZeroUsize;

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{Request, Response},
};
use pnyx_backbone::{
    clock,
    log::{EmbeddedLog, Log, LogRecord, Topic},
    proposals::Proposals,
    shutdown::Shutdown,
    telemetry::Metrics,
};
use pnyx_core::{
    ballot::compose,
    decisions::{Decision, Recorded},
    id::{Place, ProposalId},
    power::Power,
    proposal::{Abstentions, Definition, Proposal, ProposalParts, Strategy, Voting, VotingSystem},
    signing::SigningKey,
    time::{TimestampMs, Window},
};
use pnyx_ingest::{Ingest, IngestConfig, PlatformKey, router};
use serde_json::Value;
use tempfile::TempDir;
use tower::ServiceExt as _;

pub(crate) const SPACE: &str = "dao.example.eth";
const PARTITIONS: u32 = 3;

pub(crate) struct Bed {
    pub(crate) log: Log,
    pub(crate) proposals: Proposals,
    pub(crate) shutdown: Shutdown,
    pub(crate) metrics: Metrics,
    pub(crate) router: Router,
    pub(crate) key: PlatformKey,
    pub(crate) dir: TempDir,
}

/// An answer, read.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<String>,
    pub(crate) body: Value,
}

impl Bed {
    pub(crate) async fn new() -> Self {
        Self::with(IngestConfig::default()).await
    }

    pub(crate) async fn with_in_flight_max(in_flight_max: usize) -> Self {
        let in_flight_max = NonZeroUsize::new(in_flight_max).unwrap();
        Self::with(IngestConfig { in_flight_max, ..IngestConfig::default() }).await
    }

    pub(crate) async fn with(config: IngestConfig) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let log = Log::Embedded(EmbeddedLog::open(dir.path()).unwrap());
        let (shutdown, metrics) = (Shutdown::new(), Metrics::new());
        let proposals = Proposals::start(log.clone(), &shutdown).await.unwrap();
        let key = PlatformKey::load_or_create(dir.path()).unwrap();
        let ingest = Ingest::start(config, log.clone(), &proposals, key.clone(), &shutdown, &metrics).await.unwrap();
        Self { log, proposals, shutdown, metrics, router: router(ingest), key, dir }
    }

    /// A proposal whose window is open now.
    pub(crate) async fn open(&self) -> ProposalId {
        let now = clock::now();
        self.define("open", TimestampMs(now.0 - 60_000), now.saturating_add_ms(3_600_000)).await
    }

    pub(crate) async fn define(&self, name: &str, opens_at: TimestampMs, closes_at: TimestampMs) -> ProposalId {
        let definition = Definition::new(proposal(name, opens_at, closes_at), 4, PARTITIONS).unwrap();
        let id = definition.proposal().id();
        let recorded = self.proposals.decide(Decision::Definition(Box::new(definition))).await.unwrap();
        assert_eq!(recorded, Recorded::Stands);
        self.log.ensure_topic(&Topic::ballots(id), PARTITIONS).await.unwrap();
        id
    }

    pub(crate) async fn post(&self, body: impl Into<Body>) -> Answer {
        let request = Request::post("/").header("content-type", "application/json").body(body.into()).unwrap();
        self.send(request).await
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        read(self.router.clone().oneshot(request).await.unwrap()).await
    }

    /// All records of a proposal.
    pub(crate) async fn records(&self, id: ProposalId) -> Vec<(Place, LogRecord)> {
        let mut records = Vec::new();
        for partition in 0..PARTITIONS {
            let mut reader = self.log.reader(&Topic::ballots(id), partition, 0).unwrap();
            for record in reader.read_available(10_000).await.unwrap() {
                records.push((Place { partition, offset: record.offset }, record));
            }
        }
        records
    }
}

pub(crate) async fn read(response: Response<Body>) -> Answer {
    let (head, body) = response.into_parts();
    let status = head.status.as_u16();
    assert_eq!(head.headers["content-type"], "application/json");
    let retry_after = head.headers.get("retry-after").map(|value| value.to_str().unwrap().to_owned());
    let body = to_bytes(body, 1 << 20).await.unwrap();
    Answer { status, retry_after, body: serde_json::from_slice(&body).unwrap() }
}

pub(crate) fn voter(number: u8) -> SigningKey {
    SigningKey::from_bytes([number; 32]).unwrap()
}

/// A ballot of a voter for choice 1, signed now.
pub(crate) fn ballot(id: ProposalId, number: u8) -> Vec<u8> {
    ballot_at(id, number, clock::now().0 / 1_000)
}

pub(crate) fn ballot_at(id: ProposalId, number: u8, signed_at_s: u64) -> Vec<u8> {
    ballot_for(id, number, signed_at_s, SPACE, "1")
}

pub(crate) fn ballot_for(id: ProposalId, number: u8, signed_at_s: u64, space: &str, choice: &str) -> Vec<u8> {
    let key = voter(number);
    let unsigned = compose(key.address(), space, signed_at_s, id, choice, "", "test").unwrap();
    unsigned.body_with(&key.sign_digest(*unsigned.digest().as_bytes()))
}

fn proposal(name: &str, opens_at: TimestampMs, closes_at: TimestampMs) -> Proposal {
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
        window: Window::new(opens_at, closes_at).unwrap(),
        strategies: vec![Strategy::Ticket(Power::ONE)],
        snapshots: std::collections::BTreeMap::new(),
        clock_skew_s: 300,
    })
    .unwrap()
}

//! A log in a temporary directory, a store, a running tally and its API.

use std::{collections::BTreeSet, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    http::{HeaderMap, Request, StatusCode},
};
use futures_util::{FutureExt as _, StreamExt as _, future, stream};
use pnyx_backbone::{
    clock,
    log::{AppendTo, EmbeddedLog, Log, LogError, Topic},
    proposals::Proposals,
    shutdown::Shutdown,
    store::{MemoryStore, ProposalView, Store},
    telemetry::Metrics,
};
use pnyx_chains::Chains;
use pnyx_core::{
    choice::Choice,
    counting::{CountingRules, Totals},
    decisions::Decision,
    id::{Digest, Place, ProposalId, RecordHash, Root, Voter},
    merkle::{RootBuilder, ballot_leaf},
    outcome::outcome,
    power::Power,
    proposal::{Abstentions, Definition, Proposal, ProposalParts, Quorum, Strategy, Voting, VotingSystem},
    rejection::Rejection,
    result::{Cut, CutPartition, Provenance, PublishedResult, ResultCore},
    signing::SigningKey,
    tally::StandingBallot,
    time::{TimestampMs, Window},
    verdict::{CountingBallot, RejectedRecord, Ruling, Verdict},
    wire::verdict,
};
use pnyx_tally::{Config, Tally, api};
use serde_json::Value;
use tempfile::TempDir;
use tower::ServiceExt as _;

/// Longest wait for something that must happen: far above what it takes, also on a machine that does five other things,
/// so that only a failure reaches it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Most bytes of an answer that a test reads.
const ANSWER_BYTES_MAX: usize = 10_000_000;

/// One platform in this process.
pub(crate) struct Rig {
    pub(crate) log: Log,
    pub(crate) store: Store,
    pub(crate) proposals: Proposals,
    pub(crate) tally: Tally,
    pub(crate) metrics: Metrics,
    pub(crate) shutdown: Shutdown,
    pub(crate) router: Router,
    directory: TempDir,
}

/// An answer of the API.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Rig {
    /// A platform on an empty log.
    pub(crate) async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let log = Log::Embedded(EmbeddedLog::open(directory.path()).unwrap());
        Self::on(directory, log, Store::Memory(MemoryStore::new()), Config::default()).await
    }

    /// A platform with few readers of events.
    pub(crate) async fn with_event_readers(event_readers_max: usize) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let log = Log::Embedded(EmbeddedLog::open(directory.path()).unwrap());
        Self::on(directory, log, Store::Memory(MemoryStore::new()), Config { event_readers_max }).await
    }

    /// A platform on this log and store.
    pub(crate) async fn over(log: Log, store: Store) -> Self {
        Self::on(tempfile::tempdir().unwrap(), log, store, Config::default()).await
    }

    async fn on(directory: TempDir, log: Log, store: Store, config: Config) -> Self {
        let (shutdown, metrics) = (Shutdown::new(), Metrics::new());
        let proposals = Proposals::start(log.clone(), &shutdown).await.unwrap();
        let tally =
            pnyx_tally::run(config, log.clone(), store.clone(), Chains::none(), proposals.clone(), &shutdown, &metrics);
        let recount = api::RecountSource {
            archive: Box::new(|id| {
                future::ok(stream::iter([Ok(Bytes::from(format!("archive of {id}\n")))]).boxed()).boxed()
            }),
        };
        let (router, _) = api::router(api::ApiState::new(tally.clone(), recount));
        Self { log, store, proposals, tally, metrics, shutdown, router, directory }
    }

    /// Stops every task at whatever point it is. Log and store stay.
    pub(crate) async fn stop(&self) {
        self.shutdown.trigger();
        self.shutdown.drained(PATIENCE).await.unwrap();
    }

    /// Stops every task, and starts others over the same log and this store.
    pub(crate) async fn restarted_with(self, store: Store) -> Self {
        self.stop().await;
        Self::on(self.directory, self.log, store, Config::default()).await
    }

    /// Records a definition and its ballots topic.
    pub(crate) async fn propose(&self, definition: &Definition) -> ProposalId {
        let id = definition.proposal().id();
        self.log.ensure_topic(&Topic::ballots(id), definition.ballots_partitions()).await.unwrap();
        self.log.ensure_topic(&Topic::verdicts(id), definition.lanes().into()).await.unwrap();
        self.proposals.decide(Decision::Definition(Box::new(definition.clone()))).await.unwrap();
        id
    }

    /// Writes verdicts, each to its lane.
    pub(crate) async fn judge(&self, id: ProposalId, verdicts: &[Verdict]) {
        let topic = Topic::verdicts(id);
        let lanes = patiently(async || self.log.partitions(&topic).await).await;
        let lanes = u16::try_from(lanes).unwrap();
        let records = verdicts.iter().map(|v| (u32::from(v.lane(lanes).0), verdict::encode(v))).collect();
        self.log.append_batch(&topic, records).await.unwrap();
    }

    /// Writes bytes to a lane.
    pub(crate) async fn write(&self, id: ProposalId, lane: u32, bytes: Vec<u8>) {
        self.log.append(&Topic::verdicts(id), AppendTo::Partition(lane), bytes).await.unwrap();
    }

    /// Waits until the store holds all that is in the log.
    pub(crate) async fn counted(&self, id: ProposalId) -> ProposalView {
        let ends = patiently(async || self.log.ends(&Topic::verdicts(id)).await).await;
        eventually("all verdicts are counted", async || {
            self.tally.drained_to(id, &ends).await.is_ok_and(|is_drained| is_drained)
        })
        .await;
        self.store.view(id).await.unwrap().unwrap()
    }

    /// Writes a cut at these ends.
    pub(crate) async fn cut(&self, id: ProposalId, ends: &[u64]) -> Cut {
        let partitions = ends.iter().map(|end| CutPartition { end_offset: *end, records_root: Root::new([0; 32]) });
        let cut = Cut { proposal: id, decided_at: clock::now(), partitions: partitions.collect() };
        self.proposals.decide(Decision::Cut(cut.clone())).await.unwrap();
        cut
    }

    /// Publishes what the store holds as the result.
    pub(crate) async fn publish(&self, definition: &Definition, cut: Cut) -> PublishedResult {
        let proposal = definition.proposal();
        let standing = self.store.standing_after(proposal.id(), None, usize::MAX).await.unwrap();
        let mut root = RootBuilder::default();
        standing.iter().for_each(|(voter, ballot)| root.push(&ballot_leaf(*voter, ballot)));
        self.publish_with_root(definition, cut, root.root()).await
    }

    /// Publishes a result of ballots with this root.
    pub(crate) async fn publish_with_root(&self, definition: &Definition, cut: Cut, root: Root) -> PublishedResult {
        let proposal = definition.proposal();
        let view = self.store.view(proposal.id()).await.unwrap().unwrap();
        let core = ResultCore {
            proposal: proposal.id(),
            ballots: view.totals.ballots,
            outcome: outcome(&proposal.parts().voting, CountingRules::of(proposal), &view.totals),
            ballots_root: root,
        };
        let provenance = Provenance { cut, records: 0, rejected: view.counters.rejected, chains: None };
        let key = SigningKey::from_bytes([1; 32]).unwrap();
        let result = PublishedResult::sign(core, provenance, &key);
        self.proposals.decide(Decision::Result(Box::new(result.clone()))).await.unwrap();
        result
    }

    /// `GET path`.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.get_with(path, &[]).await
    }

    /// `GET path` with headers.
    pub(crate) async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = Request::get(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, ANSWER_BYTES_MAX).await.unwrap();
        let body = serde_json::from_slice(&bytes)
            .unwrap_or_else(|_| Value::String(String::from_utf8(bytes.to_vec()).unwrap()));
        Answer { status: parts.status, headers: parts.headers, body }
    }
}

/// Asks the log until it answers: a busy Kafka may take longer than one question waits.
async fn patiently<T>(mut ask: impl AsyncFnMut() -> Result<T, LogError>) -> T {
    let asked = tokio::time::timeout(PATIENCE, async {
        loop {
            match ask().await {
                Ok(answer) => return answer,
                Err(LogError::Unavailable { .. }) => tokio::time::sleep(Duration::from_millis(20)).await,
                Err(error) => panic!("{error:?}"),
            }
        }
    });
    asked.await.expect("the log answers")
}

/// Waits until something holds.
pub(crate) async fn eventually(what: &str, holds: impl AsyncFnMut() -> bool) {
    within(PATIENCE, what, holds).await;
}

/// Waits until something holds that must do so in this time.
pub(crate) async fn within(limit: Duration, what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let waited = tokio::time::timeout(limit, async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("waited in vain: {what}"));
}

/// A definition of 4 lanes whose window is open for a year around now.
pub(crate) fn definition(name: &str, system: VotingSystem, choices: &[&str]) -> Definition {
    let now = clock::now().0;
    let half_a_year_ms = 180 * 24 * 3_600_000;
    definition_open(name, system, choices, now - half_a_year_ms, now + half_a_year_ms)
}

/// A definition with its window.
pub(crate) fn definition_open(
    name: &str,
    system: VotingSystem,
    choices: &[&str],
    opens: u64,
    closes: u64,
) -> Definition {
    let listed = BTreeSet::from([voter(1), voter(2)]);
    let parts = ProposalParts {
        platform: "test".to_owned(),
        namespace: "default".to_owned(),
        name: name.to_owned(),
        space: "pnyx.eth".to_owned(),
        title: format!("About {name}"),
        body: "A body.".to_owned(),
        discussion: String::new(),
        author: String::new(),
        choices: choices.iter().map(|choice| (*choice).to_owned()).collect(),
        voting: Voting {
            system,
            quorum: Some(Quorum::Participation(Power::parse("3").unwrap())),
            approval_threshold: None,
            abstentions: Abstentions::default(),
        },
        window: Window::new(TimestampMs(opens), TimestampMs(closes)).unwrap(),
        strategies: vec![Strategy::Whitelist(listed), Strategy::Ticket(Power::parse("0.5").unwrap())],
        snapshots: std::collections::BTreeMap::new(),
        clock_skew_s: 300,
    };
    Definition::new(Proposal::new(parts).unwrap(), 4, 2).unwrap()
}

/// The voter of a number.
pub(crate) fn voter(number: u32) -> Voter {
    let mut bytes = [0; 20];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    bytes[19] = 7;
    Voter::new(bytes)
}

/// The place of an offset: even ones in partition 0, odd ones in partition 1.
pub(crate) const fn place(number: u64) -> Place {
    Place { partition: if number.is_multiple_of(2) { 0 } else { 1 }, offset: number / 2 }
}

/// A verdict that counts: the record at `number` of a voter, signed at that second.
pub(crate) fn counts(number: u64, voter: Voter, choice: Choice, power: &str) -> Verdict {
    let mut digest = [0; 32];
    digest[..8].copy_from_slice(&number.to_be_bytes());
    let power = Power::parse(power).unwrap();
    let ballot = CountingBallot { voter, digest: Digest::new(digest), signed_at_s: 1_000 + number, choice, power };
    Verdict { place: place(number), appended_at: TimestampMs(1_000_000 + number), ruling: Ruling::Counts(ballot) }
}

/// A verdict that rejects the record at `number`.
pub(crate) fn rejects(number: u64, claimed_voter: Voter, rejection: Rejection) -> Verdict {
    let record = RecordHash::of(&number.to_be_bytes());
    let rejected = RejectedRecord { rejection, record, digest: None, claimed_voter: Some(claimed_voter) };
    Verdict { place: place(number), appended_at: TimestampMs(1_000_000 + number), ruling: Ruling::Rejected(rejected) }
}

/// What these ballots add up to, counted anew.
pub(crate) fn totals(definition: &Definition, ballots: &[(Voter, StandingBallot)]) -> Totals {
    let rules = CountingRules::of(definition.proposal());
    let mut totals = Totals::empty(rules);
    ballots.iter().for_each(|(_, ballot)| totals.add(&rules.contribution(&ballot.choice, ballot.power)));
    totals
}

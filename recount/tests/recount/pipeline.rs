//! The smallest verifier and tally, enough to drain a log in one process.

use std::{
    collections::BTreeSet,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use pnyx_backbone::{
    archives::ArchivePlace,
    log::{AppendTo, EmbeddedLog, Log, LogRecord, Topic, VERIFIER_GROUP},
    proposals::Proposals,
    shutdown::Shutdown,
    store::{ApplyOutcome, LaneBatch, LaneCounters, LanePosition, LaneState, MemoryStore, Store},
    telemetry::Metrics,
};
use pnyx_chains::Chains;
use pnyx_core::{
    ballot::HashMemo,
    chain::Pin,
    counting::{CountingRules, TotalsDelta},
    decisions::Decision,
    id::{Lane, Place, ProposalId, Voter},
    lifecycle::Phase,
    power::VoterPower,
    proposal::Definition,
    result::Cut,
    signature_check::SignatureRuling,
    tally::{LaneTally, StandingBallot},
    time::{TimestampMs, Window},
    verdict::{Ruling, Verdict},
    wire,
};
use pnyx_recount::{Archives, CloseError, Closing, Config, PhaseChange, Progress, RecountMetrics};
use pnyx_verification::{BallotRecord, Claim, ClaimAnswer, Judged, ListedPower, ProposalVerifier};
use tempfile::TempDir;
use tokio::sync::{broadcast, watch};

use crate::sample::platform_key;

/// No step of a test takes longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// How long the tally takes to hear of a cut: longer than a recount, so that one that does not wait for it differs.
const CUT_HEARD_AFTER: Duration = Duration::from_millis(200);

/// A log in a directory of its own, and all that works on it.
pub(crate) struct Platform {
    pub(crate) dir: TempDir,
    pub(crate) log: Log,
    pub(crate) store: Store,
    pub(crate) proposals: Proposals,
    pub(crate) chains: Chains,
    pub(crate) archives: Arc<Archives>,
    pub(crate) metrics: RecountMetrics,
    pub(crate) shutdown: Shutdown,
    pub(crate) phases: broadcast::Receiver<PhaseChange>,
    phases_sender: broadcast::Sender<PhaseChange>,
}

/// What a contract says of the signature of a claim.
pub(crate) type Says = fn(&Claim) -> SignatureRuling;

/// A window around now that closes in `closes_in_ms`.
pub(crate) fn window_closing_in(closes_in_ms: u64) -> Window {
    let now = pnyx_backbone::clock::now();
    Window::new(TimestampMs(now.0 - 60_000), now.saturating_add_ms(closes_in_ms)).unwrap()
}

impl Platform {
    pub(crate) async fn start() -> Self {
        Self::open(TempDir::new().unwrap()).await
    }

    pub(crate) async fn open(dir: TempDir) -> Self {
        Self::open_keeping(dir, None).await
    }

    /// The same with archives that are kept at a place.
    pub(crate) async fn open_keeping(dir: TempDir, place: Option<ArchivePlace>) -> Self {
        let log = Log::Embedded(open_log(dir.path()).await);
        let shutdown = Shutdown::new();
        let proposals = Proposals::start(log.clone(), &shutdown).await.unwrap();
        let archives = Archives::new(log.clone(), proposals.clone(), Config::default().threads, shutdown.clone());
        let archives = Arc::new(archives.kept_at(place));
        let (phases_sender, phases) = broadcast::channel(64);
        let (store, metrics) = (Store::Memory(MemoryStore::new()), RecountMetrics::register(&Metrics::new()));
        Self { dir, log, store, proposals, chains: Chains::none(), archives, metrics, shutdown, phases, phases_sender }
    }

    /// The same directory after everything in the process is gone.
    pub(crate) async fn restart(self) -> Self {
        let Self { dir, log, store, proposals, chains, archives, metrics, shutdown, phases, phases_sender } = self;
        shutdown.trigger();
        shutdown.drained(PATIENCE).await.unwrap();
        log.close().await;
        drop((log, store, proposals, archives, metrics, phases, phases_sender));
        Self { chains, ..Self::open(dir).await }
    }

    pub(crate) async fn propose(&self, definition: &Arc<Definition>) {
        let proposal = definition.proposal().id();
        self.log.ensure_topic(&Topic::ballots(proposal), definition.ballots_partitions()).await.unwrap();
        self.log.ensure_topic(&Topic::verdicts(proposal), definition.lanes().into()).await.unwrap();
        if definition.proposal().signers().is_some() {
            self.log.ensure_topic(&Topic::deferred(proposal), definition.lanes().into()).await.unwrap();
        }
        self.proposals.decide(Decision::Definition(Box::new(definition.as_ref().clone()))).await.unwrap();
    }

    pub(crate) async fn append(&self, definition: &Definition, record: Vec<u8>) -> Place {
        let topic = Topic::ballots(definition.proposal().id());
        self.log.append(&topic, AppendTo::Any, record).await.unwrap().place
    }

    /// Runs a verifier and a tally until shutdown, where only keys sign.
    pub(crate) async fn count(&self, definition: &Arc<Definition>) {
        self.count_with(definition, |claim| panic!("record {} is claimed", claim.record())).await;
    }

    /// The same where contracts may sign, of whom the verifier hears this at the pin.
    pub(crate) async fn count_with(&self, definition: &Arc<Definition>, says: Says) {
        let (proposal, rules) = (definition.proposal().id(), CountingRules::of(definition.proposal()));
        self.store.register(proposal, rules, definition.lanes()).await.unwrap();
        self.shutdown.spawn("verifier", until(self.shutdown.clone(), self.verify(definition, says)));
        for lane in (0..definition.lanes()).map(Lane) {
            let tally = LiveLane {
                log: self.log.clone(),
                store: self.store.clone(),
                proposal,
                lane,
                verdicts: Vec::new(),
                tally: LaneTally::new(rules),
                cut: None,
                next_offset: 0,
            };
            self.shutdown.spawn("tally", until(self.shutdown.clone(), tally.run(self.proposals.clone())));
        }
    }

    fn verify(&self, definition: &Arc<Definition>, says: Says) -> impl Future<Output = ()> + use<> {
        let pins = self.proposals.book().get(definition.proposal().id()).unwrap().pins.clone();
        let pin = definition.proposal().signers().and_then(|signers| pins?.get(signers).copied());
        verify(self.log.clone(), Arc::clone(definition), pin, says)
    }

    /// Runs what is tested until shutdown.
    pub(crate) fn close(&self) {
        self.shutdown.spawn("closing", pnyx_recount::run(config(), self.closing(), self.shutdown.clone()));
    }

    /// What is tested, of one proposal.
    pub(crate) async fn close_one(&self, proposal: ProposalId) -> Result<Phase, CloseError> {
        pnyx_recount::close_one(config(), self.closing(), proposal, self.shutdown.clone()).await
    }

    fn closing(&self) -> Closing {
        Closing {
            log: self.log.clone(),
            store: self.store.clone(),
            chains: self.chains.clone(),
            proposals: self.proposals.clone(),
            key: platform_key(),
            archives: Some(Arc::clone(&self.archives)),
            metrics: self.metrics.clone(),
            phases: self.phases_sender.clone(),
            progress: watch::Sender::new(Progress::default()),
        }
    }

    /// The phases announced up to this one, it included.
    pub(crate) async fn phases_until(&mut self, last: Phase) -> Vec<Phase> {
        let mut phases = Vec::new();
        while phases.last() != Some(&last) {
            let change = tokio::time::timeout(PATIENCE, self.phases.recv()).await;
            phases.push(change.unwrap_or_else(|_| panic!("stuck after {phases:?}")).unwrap().phase);
        }
        phases
    }

    pub(crate) async fn archive(&self, definition: &Definition) -> Vec<u8> {
        let mut stream = self.archives.stream(definition.proposal().id()).await.unwrap();
        let mut bytes = Vec::new();
        while let Some(chunk) = tokio_stream::StreamExt::next(&mut stream).await {
            bytes.extend(chunk.unwrap());
        }
        bytes
    }
}

/// Opens the log of a directory, soon after another one of it was closed: a node that another test starts at that
/// moment has its lock until it runs.
async fn open_log(dir: &Path) -> EmbeddedLog {
    let began = Instant::now();
    loop {
        match EmbeddedLog::open(dir) {
            Ok(log) => return log,
            Err(error) => assert!(began.elapsed() < PATIENCE, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn config() -> Config {
    Config {
        grace_after_close: Duration::from_millis(100),
        drain_poll: Duration::from_millis(5),
        dispute_retry: Duration::from_millis(200),
        late_poll: Duration::from_millis(20),
        ..Config::default()
    }
}

async fn until(shutdown: Shutdown, task: impl Future<Output = ()>) {
    tokio::select! {
        () = shutdown.requested() => {}
        () = task => {}
    }
}

async fn verify(log: Log, definition: Arc<Definition>, pin: Option<Pin>, says: Says) {
    let proposal = definition.proposal().id();
    let verifier = ProposalVerifier::new(Arc::clone(&definition));
    let listed = ListedPower::of(definition.proposal());
    let mut consumer = log.subscribe(&Topic::ballots(proposal), VERIFIER_GROUP).unwrap();
    let mut memo = HashMemo::default();
    loop {
        let batch = consumer.next_batch(16, &BTreeSet::new()).await.unwrap();
        let records = batch.records.iter().map(|record| BallotRecord {
            place: Place { partition: batch.partition, offset: record.offset },
            appended_at: record.appended_at,
            bytes: &record.value,
        });
        let verdicts = records.map(|record| {
            let power = |voter| VoterPower::Known(listed.power(voter));
            let claim = match verifier.judge(record, &mut memo) {
                Judged::Record(judged) => return judged.weigh(record, power),
                Judged::Claim(claim) => claim,
            };
            let power = power(claim.claimed_voter());
            let answer = ClaimAnswer::unasked(power).unwrap_or_else(|| ClaimAnswer::Asked(power, says(&claim)));
            claim.verdict(record, answer, pin.as_ref().expect("claims are judged at a pin"))
        });
        let next_offset = batch.records.last().unwrap().offset + 1;
        let verdicts = verdicts
            .map(|verdict| (u32::from(verdict.lane(definition.lanes()).0), wire::verdict::encode(&verdict)))
            .collect();
        log.append_batch(&Topic::verdicts(proposal), verdicts).await.unwrap();
        consumer.commit(batch.partition, next_offset).await.unwrap();
    }
}

/// The live tally of one lane.
struct LiveLane {
    log: Log,
    store: Store,
    proposal: ProposalId,
    lane: Lane,
    /// All that were read, so that it can count them again.
    verdicts: Vec<Verdict>,
    tally: LaneTally,
    cut: Option<Arc<Cut>>,
    next_offset: u64,
}

impl LiveLane {
    async fn run(mut self, proposals: Proposals) {
        let mut reader = self.log.reader(&Topic::verdicts(self.proposal), self.lane.0.into(), 0).unwrap();
        let cut = cut_heard(proposals, self.proposal);
        tokio::pin!(cut);
        loop {
            tokio::select! {
                records = reader.next_batch(16, 1 << 20) => self.take(&records.unwrap()).await,
                cut = &mut cut, if self.cut.is_none() => self.end_at(cut).await,
            }
        }
    }

    async fn take(&mut self, records: &[LogRecord]) {
        let verdicts: Vec<_> = records.iter().map(|record| wire::verdict::decode(&record.value).unwrap()).collect();
        let (from_offset, rules) = (self.next_offset, self.tally.rules());
        self.next_offset = records.last().unwrap().offset + 1;
        let mut delta = TotalsDelta::empty(rules);
        let mut voters = BTreeSet::new();
        for verdict in &verdicts {
            voters.extend(self.count(verdict, &mut delta));
        }
        self.verdicts.extend(verdicts);
        let standing = voters.into_iter().map(|voter| (voter, self.tally.standing()[&voter].clone())).collect();
        self.apply(from_offset, delta, standing).await;
    }

    /// Counts a verdict unless it is known to lie beyond the cut; the voter, if it counts.
    fn count(&mut self, verdict: &Verdict, delta: &mut TotalsDelta) -> Option<Voter> {
        let Ruling::Counts(ballot) = &verdict.ruling else { return None };
        if self.cut.as_ref().is_some_and(|cut| is_beyond(cut, verdict.place)) {
            return None;
        }
        self.tally.apply(verdict.place, ballot.clone(), delta);
        Some(ballot.voter)
    }

    async fn apply(&self, from_offset: u64, delta: TotalsDelta, standing: Vec<(Voter, StandingBallot)>) {
        let LanePosition { log, next_offset, below_cut } = self.position();
        let (counters, places) = (LaneCounters::default(), Vec::new());
        let batch = LaneBatch { log, from_offset, next_offset, below_cut, delta, counters, standing, places };
        let outcome = self.store.apply(self.proposal, self.lane, batch).await.unwrap();
        assert_eq!(outcome, ApplyOutcome::Applied);
    }

    /// Says that the lane lies below the cut, after it was counted again if it did not.
    async fn end_at(&mut self, cut: Arc<Cut>) {
        let went_past = self.verdicts.iter().any(|verdict| is_beyond(&cut, verdict.place));
        self.cut = Some(cut);
        let rules = self.tally.rules();
        if !went_past {
            return self.apply(self.next_offset, TotalsDelta::empty(rules), Vec::new()).await;
        }
        self.tally = LaneTally::new(rules);
        for verdict in std::mem::take(&mut self.verdicts) {
            self.count(&verdict, &mut TotalsDelta::empty(rules));
        }
        let state = LaneState {
            position: self.position(),
            totals: self.tally.totals().clone(),
            counters: LaneCounters::default(),
            standing: self.tally.standing().iter().map(|(voter, ballot)| (*voter, ballot.clone())).collect(),
            places: Vec::new(),
        };
        let seen = self.store.lane_position(self.proposal, self.lane).await.unwrap();
        let outcome = self.store.replace(self.proposal, self.lane, seen, state).await.unwrap();
        assert_eq!(outcome, ApplyOutcome::Applied);
    }

    fn position(&self) -> LanePosition {
        LanePosition { log: self.log.identity(), next_offset: self.next_offset, below_cut: self.cut.is_some() }
    }
}

fn is_beyond(cut: &Cut, place: Place) -> bool {
    place.offset >= cut.partitions[usize::try_from(place.partition).unwrap()].end_offset
}

/// The proposal's cut, some time after it is decided.
async fn cut_heard(proposals: Proposals, proposal: ProposalId) -> Arc<Cut> {
    let mut book = proposals.watch();
    let decided = book.wait_for(|book| book.get(proposal).is_some_and(|decisions| decisions.cut.is_some()));
    let cut = decided.await.unwrap().get(proposal).unwrap().cut.clone().unwrap();
    tokio::time::sleep(CUT_HEARD_AFTER).await;
    cut
}

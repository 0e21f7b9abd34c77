//! The smallest verifier and tally, enough to drain a log in one process.

use std::{sync::Arc, time::Duration};

use pnyx_backbone::{
    log::{AppendTo, EmbeddedLog, Log, Topic},
    proposals::Proposals,
    shutdown::Shutdown,
    store::{LaneBatch, LaneCounters, MemoryStore, Store},
    telemetry::Metrics,
};
use pnyx_core::{
    ballot::HashMemo,
    counting::{CountingRules, TotalsDelta},
    decisions::Decision,
    id::{Lane, Place},
    lifecycle::Phase,
    proposal::Definition,
    tally::LaneTally,
    time::{TimestampMs, Window},
    verdict::Ruling,
    wire,
};
use pnyx_recount::{Archives, Closing, Config, PhaseChange, RecountMetrics};
use pnyx_verification::{BallotRecord, ProposalVerifier};
use tempfile::TempDir;
use tokio::sync::broadcast;

use crate::sample::platform_key;

/// No step of a test takes longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A log in a directory of its own, and all that works on it.
pub(crate) struct Platform {
    pub(crate) dir: TempDir,
    pub(crate) log: Log,
    pub(crate) store: Store,
    pub(crate) proposals: Proposals,
    pub(crate) archives: Arc<Archives>,
    pub(crate) metrics: RecountMetrics,
    pub(crate) shutdown: Shutdown,
    pub(crate) phases: broadcast::Receiver<PhaseChange>,
    phases_sender: broadcast::Sender<PhaseChange>,
}

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
        let log = Log::Embedded(EmbeddedLog::open(dir.path()).unwrap());
        let shutdown = Shutdown::new();
        let proposals = Proposals::start(log.clone(), &shutdown).await.unwrap();
        let archives = Arc::new(Archives::new(log.clone(), proposals.clone(), Config::default().threads));
        let (phases_sender, phases) = broadcast::channel(64);
        let (store, metrics) = (Store::Memory(MemoryStore::new()), RecountMetrics::register(&Metrics::new()));
        Self { dir, log, store, proposals, archives, metrics, shutdown, phases, phases_sender }
    }

    /// The same directory after everything in the process is gone.
    pub(crate) async fn restart(self) -> Self {
        let Self { dir, log, store, proposals, archives, metrics, shutdown, phases, phases_sender } = self;
        shutdown.trigger();
        shutdown.drained(PATIENCE).await.unwrap();
        log.close().await;
        drop((log, store, proposals, archives, metrics, phases, phases_sender));
        Self::open(dir).await
    }

    pub(crate) async fn propose(&self, definition: &Arc<Definition>) {
        let proposal = definition.proposal().id();
        self.log.ensure_topic(&Topic::ballots(proposal), definition.ballots_partitions()).await.unwrap();
        self.log.ensure_topic(&Topic::verdicts(proposal), definition.lanes().into()).await.unwrap();
        self.proposals.decide(Decision::Definition(Box::new(definition.as_ref().clone()))).await.unwrap();
    }

    pub(crate) async fn append(&self, definition: &Definition, record: Vec<u8>) -> Place {
        let topic = Topic::ballots(definition.proposal().id());
        self.log.append(&topic, AppendTo::Any, record).await.unwrap().place
    }

    /// Runs a verifier and a tally until shutdown.
    pub(crate) async fn count(&self, definition: &Arc<Definition>) {
        let (proposal, rules) = (definition.proposal().id(), CountingRules::of(definition.proposal()));
        self.store.register(proposal, rules, definition.lanes()).await.unwrap();
        self.shutdown.spawn("verifier", until(self.shutdown.clone(), verify(self.log.clone(), Arc::clone(definition))));
        for lane in (0..definition.lanes()).map(Lane) {
            let tally = tally(self.log.clone(), self.store.clone(), Arc::clone(definition), lane);
            self.shutdown.spawn("tally", until(self.shutdown.clone(), tally));
        }
    }

    /// Runs what is tested until shutdown.
    pub(crate) fn close(&self) {
        let config = Config {
            grace_after_close: Duration::from_millis(100),
            drain_poll: Duration::from_millis(5),
            dispute_retry: Duration::from_millis(200),
            ..Config::default()
        };
        let closing = Closing {
            log: self.log.clone(),
            store: self.store.clone(),
            proposals: self.proposals.clone(),
            key: platform_key(),
            archives: Arc::clone(&self.archives),
            metrics: self.metrics.clone(),
            phases: self.phases_sender.clone(),
        };
        self.shutdown.spawn("closing", pnyx_recount::run(config, closing, self.shutdown.clone()));
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

async fn until(shutdown: Shutdown, task: impl Future<Output = ()>) {
    tokio::select! {
        () = shutdown.requested() => {}
        () = task => {}
    }
}

async fn verify(log: Log, definition: Arc<Definition>) {
    let proposal = definition.proposal().id();
    let verifier = ProposalVerifier::new(Arc::clone(&definition));
    let mut consumer = log.subscribe(&Topic::ballots(proposal), "verifier").unwrap();
    let mut memo = HashMemo::default();
    loop {
        let batch = consumer.next_batch(16).await.unwrap();
        let records = batch.records.iter().map(|record| BallotRecord {
            place: Place { partition: batch.partition, offset: record.offset },
            appended_at: record.appended_at,
            bytes: &record.value,
        });
        let verdicts = verifier.verify_batch(records, &mut memo).unwrap();
        let next_offset = batch.records.last().unwrap().offset + 1;
        let verdicts = verdicts
            .iter()
            .map(|verdict| (u32::from(verdict.lane(definition.lanes()).0), wire::verdict::encode(verdict)))
            .collect();
        log.append_batch(&Topic::verdicts(proposal), verdicts).await.unwrap();
        consumer.commit(batch.partition, next_offset).await.unwrap();
    }
}

async fn tally(log: Log, store: Store, definition: Arc<Definition>, lane: Lane) {
    let (proposal, rules) = (definition.proposal().id(), CountingRules::of(definition.proposal()));
    let mut reader = log.reader(&Topic::verdicts(proposal), lane.0.into(), 0).unwrap();
    let mut state = LaneTally::new(rules);
    loop {
        let records = reader.next_batch(16, 1 << 20).await.unwrap();
        let mut delta = TotalsDelta::empty(rules);
        let mut voters = std::collections::BTreeSet::new();
        for record in &records {
            let verdict = wire::verdict::decode(&record.value).unwrap();
            if let Ruling::Counts(ballot) = verdict.ruling {
                voters.insert(ballot.voter);
                state.apply(verdict.place, ballot, &mut delta);
            }
        }
        let standing = voters.into_iter().map(|voter| (voter, state.standing()[&voter].clone())).collect();
        let batch = LaneBatch {
            log: log.identity(),
            from_offset: records[0].offset,
            next_offset: reader.position(),
            delta,
            counters: LaneCounters::default(),
            standing,
            rejected: Vec::new(),
        };
        store.apply(proposal, lane, batch).await.unwrap();
    }
}

//! One shard: a member of the consumer group on a proposal's ballots.

use std::{sync::Arc, time::Duration};

use pnyx_backbone::{
    clock,
    log::{AppendError, GroupBatch, GroupConsumer, Log, LogError, Topic, VERIFIER_GROUP},
    telemetry,
};
use pnyx_core::{
    ballot::HashMemo,
    id::{Lane, Place},
    proposal::Definition,
    verdict::{Ruling, Verdict},
    wire,
};
use pnyx_verification::{BallotRecord, PowerUnavailable, ProposalVerifier};
use thiserror::Error;
use tokio::{sync::Semaphore, time::Instant};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::{config::VerifierConfig, metrics::VerifierMetrics};

/// First pause after the log did not do what it was asked: a few writes of a log whose queue is full.
const PAUSE_MIN: Duration = Duration::from_millis(20);

/// Longest pause: with it a log that is out of reach costs nothing, and one that is back is used at once.
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// Why a shard could not go on.
#[derive(Debug, Error)]
pub enum ShardError {
    /// A topic could not be made or joined.
    #[error("the topics could not be made")]
    Topics(#[source] LogError),
    /// Records could not be read.
    #[error("ballots could not be read")]
    Read(#[source] LogError),
    /// Verdicts could not be written.
    #[error("verdicts could not be written")]
    Append(#[source] AppendError),
    /// Progress could not be noted.
    #[error("progress could not be committed")]
    Commit(#[source] LogError),
}

/// What follows on a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Remedy {
    /// Trying again, for as long as it takes.
    TryAgain,
    /// Nothing: a person has to look.
    GiveUp,
}

/// What became of a try.
#[derive(Debug)]
enum Tried<T> {
    /// It worked.
    Done(T),
    /// It did not, and it is time for another.
    Again,
    /// It did not, and the shard was stopped meanwhile.
    Stopped,
}

/// The pause before the next try; longer with each.
#[derive(Debug)]
struct Pause(Duration);

impl ShardError {
    /// A log that is out of reach delays; only what no waiting can mend ends the process.
    fn remedy(&self, log: &Log) -> Remedy {
        let is_lasting = match self {
            Self::Topics(error) | Self::Read(error) | Self::Commit(error) => match error {
                LogError::Closed
                | LogError::Damaged { .. }
                | LogError::NoPartitions { .. }
                | LogError::Settings { .. }
                | LogError::Shrunk { .. } => true,
                // A topic or a partition that somebody is about to make.
                LogError::UnknownTopic { .. } | LogError::UnknownPartition { .. } => false,
                LogError::Read { .. } | LogError::Topics { .. } | LogError::Unavailable { .. } => false,
            },
            Self::Append(error) => match error {
                AppendError::Closed | AppendError::TooLarge { .. } => true,
                AppendError::UnknownTopic { .. } | AppendError::UnknownPartition { .. } => false,
                AppendError::Overloaded | AppendError::Failed { .. } => false,
            },
        };
        if is_lasting || !log.is_writable() { Remedy::GiveUp } else { Remedy::TryAgain }
    }
}

impl Default for Pause {
    fn default() -> Self {
        Self(PAUSE_MIN)
    }
}

impl Pause {
    fn next(&mut self) -> Duration {
        let pause = self.0;
        self.0 = pause.saturating_mul(2).min(PAUSE_MAX);
        pause
    }
}

/// A shard; clones are further shards of the same proposal.
#[derive(Debug, Clone)]
pub(crate) struct Shard {
    batch_records_max: usize,
    log: Log,
    verifier: Arc<ProposalVerifier>,
    ballots: Topic,
    verdicts: Topic,
    cores: Arc<Semaphore>,
    metrics: VerifierMetrics,
    stop: CancellationToken,
}

impl Shard {
    pub(crate) fn new(
        config: &VerifierConfig,
        log: &Log,
        definition: &Arc<Definition>,
        cores: &Arc<Semaphore>,
        metrics: &VerifierMetrics,
        stop: &CancellationToken,
    ) -> Self {
        let id = definition.proposal().id();
        Self {
            batch_records_max: config.batch_records_max.get(),
            log: log.clone(),
            verifier: Arc::new(ProposalVerifier::new(Arc::clone(definition))),
            ballots: Topic::ballots(id),
            verdicts: Topic::verdicts(id),
            cores: Arc::clone(cores),
            metrics: metrics.clone(),
            stop: stop.clone(),
        }
    }

    /// Until it is stopped: a batch, its verdicts, then the commit. Whatever happens in between is done again.
    pub(crate) async fn run(self) -> Result<(), ShardError> {
        let mut memo = HashMemo::default();
        let mut pause = Pause::default();
        loop {
            let mut consumer = match self.tried(self.join().await, &mut pause).await? {
                Tried::Done(consumer) => consumer,
                Tried::Again => continue,
                Tried::Stopped => return Ok(()),
            };
            // Until reading fails: then a new consumer begins at what is committed.
            loop {
                let batch = tokio::select! {
                    biased;
                    () = self.stop.cancelled() => return Ok(()),
                    batch = consumer.next_batch(self.batch_records_max) => batch.map_err(ShardError::Read),
                };
                let batch = match self.tried(batch, &mut pause).await? {
                    Tried::Done(batch) => batch,
                    Tried::Again => break,
                    Tried::Stopped => return Ok(()),
                };
                let is_committed;
                (is_committed, memo) = self.judge(batch, &consumer, memo).await?;
                if !is_committed {
                    return Ok(());
                }
                pause = Pause::default();
            }
        }
    }

    /// Makes the verdicts of a batch durable and then commits; `false` if the shard was stopped before.
    async fn judge(
        &self,
        batch: GroupBatch,
        consumer: &GroupConsumer,
        memo: HashMemo,
    ) -> Result<(bool, HashMemo), ShardError> {
        let started = Instant::now();
        let partition = batch.partition;
        let next_offset = batch.records.last().map_or(0, |record| record.offset + 1);
        let (verdicts, memo) = self.verify(batch, memo).await;
        let is_committed = self.append(&verdicts).await? && self.commit(consumer, partition, next_offset).await?;
        if is_committed {
            self.metrics.observe_batch(&verdicts, started.elapsed(), clock::now());
            trace(&verdicts);
        }
        Ok((is_committed, memo))
    }

    async fn append(&self, verdicts: &[Verdict]) -> Result<bool, ShardError> {
        let lanes = self.verifier.definition().lanes();
        let encoded = verdicts.iter().map(|verdict| {
            let Lane(lane) = verdict.lane(lanes);
            (u32::from(lane), wire::verdict::encode(verdict))
        });
        let encoded: Vec<_> = encoded.collect();
        let mut pause = Pause::default();
        loop {
            let appended = self.log.append_batch(&self.verdicts, encoded.clone()).await.map_err(ShardError::Append);
            match self.tried(appended, &mut pause).await? {
                Tried::Done(_) => return Ok(true),
                Tried::Again => {}
                Tried::Stopped => return Ok(false),
            }
        }
    }

    async fn commit(&self, consumer: &GroupConsumer, partition: u32, next_offset: u64) -> Result<bool, ShardError> {
        let mut pause = Pause::default();
        loop {
            let committed = consumer.commit(partition, next_offset).await.map_err(ShardError::Commit);
            match self.tried(committed, &mut pause).await? {
                Tried::Done(()) => return Ok(true),
                Tried::Again => {}
                Tried::Stopped => return Ok(false),
            }
        }
    }

    /// What is to be done about a try; waits before it says that there should be another.
    async fn tried<T>(&self, result: Result<T, ShardError>, pause: &mut Pause) -> Result<Tried<T>, ShardError> {
        match result {
            Ok(done) => Ok(Tried::Done(done)),
            Err(error) => Ok(if self.waits_after(error, pause).await? { Tried::Again } else { Tried::Stopped }),
        }
    }

    /// Waits before another try; `false` if the shard was stopped meanwhile, and the error if no try can help.
    async fn waits_after(&self, error: ShardError, pause: &mut Pause) -> Result<bool, ShardError> {
        if error.remedy(&self.log) == Remedy::GiveUp {
            return Err(error);
        }
        let pause = pause.next();
        self.metrics.waits.inc();
        let proposal = self.verifier.definition().proposal().id();
        warn!(%proposal, error = telemetry::chain(&error), pause_ms = pause.as_millis(), "a shard waits for the log");
        tokio::select! {
            () = self.stop.cancelled() => Ok(false),
            () = tokio::time::sleep(pause) => Ok(true),
        }
    }

    /// Makes the topics where nobody has, and joins the group.
    async fn join(&self) -> Result<GroupConsumer, ShardError> {
        let definition = self.verifier.definition();
        let joined = async {
            self.log.ensure_topic(&self.ballots, definition.ballots_partitions()).await?;
            self.log.ensure_topic(&self.verdicts, definition.lanes().into()).await?;
            self.log.subscribe(&self.ballots, VERIFIER_GROUP)
        };
        joined.await.map_err(ShardError::Topics)
    }

    /// Checks signatures on a thread where blocking is allowed, so that they never hold up what waits for the log.
    async fn verify(&self, batch: GroupBatch, mut memo: HashMemo) -> (Vec<Verdict>, HashMemo) {
        let core = Arc::clone(&self.cores).acquire_owned().await.expect("the semaphore is never closed");
        let verifier = Arc::clone(&self.verifier);
        let work = tokio::task::spawn_blocking(move || {
            let records = batch.records.iter().map(|record| BallotRecord {
                place: Place { partition: batch.partition, offset: record.offset },
                appended_at: record.appended_at,
                bytes: &record.value,
            });
            let verdicts = match verifier.verify_batch(records, &mut memo) {
                Ok(verdicts) => verdicts,
                Err(unavailable) => never(unavailable),
            };
            drop(core);
            (verdicts, memo)
        });
        match work.await {
            Ok(done) => done,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime is going down and drops this task at its next wait.
                Err(_) => std::future::pending().await,
            },
        }
    }
}

/// For whoever follows one ballot through the logs of all processes.
fn trace(verdicts: &[Verdict]) {
    if !tracing::enabled!(tracing::Level::DEBUG) {
        return;
    }
    for verdict in verdicts {
        let Place { partition, offset } = verdict.place;
        let (digest, ruling) = match &verdict.ruling {
            Ruling::Counts(ballot) => (Some(ballot.digest), "counts"),
            Ruling::Rejected(rejected) => (rejected.digest, rejected.rejection.name()),
        };
        debug!(digest = digest.map(tracing::field::display), partition, offset, ruling, "verdict durable");
    }
}

/// Power that the definition lists is always there.
fn never(unavailable: PowerUnavailable) -> ! {
    match unavailable {}
}

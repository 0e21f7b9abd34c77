//! One shard: a member of the consumer group on a proposal's ballots.

use std::{sync::Arc, time::Duration};

use pnyx_backbone::{
    clock,
    log::{AppendError, GroupBatch, GroupConsumer, Log, LogError, Topic, VERIFIER_GROUP},
};
use pnyx_core::{
    ballot::HashMemo,
    id::{Lane, Place},
    proposal::Definition,
    verdict::Verdict,
    wire,
};
use pnyx_verification::{BallotRecord, PowerUnavailable, ProposalVerifier};
use thiserror::Error;
use tokio::{sync::Semaphore, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{config::VerifierConfig, metrics::VerifierMetrics};

/// Pause before verdicts are offered again to a log whose queue is full: a few of its writes.
const OVERLOADED_PAUSE: Duration = Duration::from_millis(20);

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
        let mut consumer = self.join().await.map_err(ShardError::Topics)?;
        let mut memo = HashMemo::default();
        loop {
            let batch = tokio::select! {
                biased;
                () = self.stop.cancelled() => return Ok(()),
                batch = consumer.next_batch(self.batch_records_max) => batch.map_err(ShardError::Read)?,
            };
            let started = Instant::now();
            let partition = batch.partition;
            let next_offset = batch.records.last().map_or(0, |record| record.offset + 1);
            let verdicts;
            (verdicts, memo) = self.verify(batch, memo).await;
            let lanes = self.verifier.definition().lanes();
            let encoded = verdicts.iter().map(|verdict| {
                let Lane(lane) = verdict.lane(lanes);
                (u32::from(lane), wire::verdict::encode(verdict))
            });
            if !self.append(encoded.collect()).await.map_err(ShardError::Append)? {
                return Ok(());
            }
            consumer.commit(partition, next_offset).await.map_err(ShardError::Commit)?;
            self.metrics.observe_batch(&verdicts, started.elapsed(), clock::now());
        }
    }

    async fn join(&self) -> Result<GroupConsumer, LogError> {
        let definition = self.verifier.definition();
        self.log.ensure_topic(&self.ballots, definition.ballots_partitions()).await?;
        self.log.ensure_topic(&self.verdicts, definition.lanes().into()).await?;
        self.log.subscribe(&self.ballots, VERIFIER_GROUP)
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

    /// Appends verdicts, waiting while the log is overloaded; `false` if the shard was stopped meanwhile.
    async fn append(&self, verdicts: Vec<(u32, Vec<u8>)>) -> Result<bool, AppendError> {
        loop {
            match self.log.append_batch(&self.verdicts, verdicts.clone()).await {
                Ok(_) => return Ok(true),
                Err(AppendError::Overloaded) => tokio::select! {
                    () = self.stop.cancelled() => return Ok(false),
                    () = tokio::time::sleep(OVERLOADED_PAUSE) => {}
                },
                Err(error) => return Err(error),
            }
        }
    }
}

/// Power that the definition lists is always there.
fn never(unavailable: PowerUnavailable) -> ! {
    match unavailable {}
}

//! The shards of one proposal: members of consumer groups, whose batches are worked on several at once, those of one
//! partition one after the other. One kind reads ballots; the other, where contracts may sign, what these deferred.

mod batch;
mod chains;
mod failing;
mod topics;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use pnyx_backbone::{
    clock,
    disabled::DisabledProposals,
    log::{GroupBatch, GroupConsumer, Log, LogError},
    telemetry,
    traces::{self, Step},
};
use pnyx_core::{
    ballot::HashMemo,
    decisions::ProposalDecisions,
    id::{Place, ProposalId},
    verdict::Verdict,
};
use pnyx_verification::{ContractSigners, PowerSource, ProposalVerifier};
use tokio::{
    sync::Semaphore,
    task::{JoinError, JoinSet},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

pub(crate) use self::chains::QUESTIONS_MAX;
pub use self::failing::ShardError;
use self::{
    batch::Finished,
    failing::{Pause, Remedy, Tried},
    topics::Topics,
};
use crate::{Verifying, metrics::VerifierMetrics};

/// Most batches of claims that are asked about at once: a lane each for the usual number of lanes, and a bound of memory for
/// the others.
const ASKING_BATCHES_MAX: usize = 16;

/// What shards read.
#[derive(Debug, Clone)]
pub(crate) enum Stage {
    /// Ballots, as they were accepted.
    Ballots,
    /// Records that the other shards deferred, because no key signed them and these contracts may have.
    Deferred(ContractSigners),
}

/// The shards of a proposal and stage; clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Shards {
    stage: Stage,
    count: usize,
    batch_records_max: usize,
    log: Log,
    verifier: Arc<ProposalVerifier>,
    power: PowerSource,
    topics: Topics,
    disabled: DisabledProposals,
    cores: Arc<Semaphore>,
    questions: Arc<Semaphore>,
    metrics: VerifierMetrics,
    stop: CancellationToken,
}

/// A member of the group and its batches that are worked on.
struct Work<'a> {
    shards: &'a Shards,
    consumer: GroupConsumer,
    tasks: JoinSet<Result<Finished, ShardError>>,
    /// The partitions they come from: a batch is committed before the next one of its partition is begun, so that nothing
    /// is committed before what lies below it.
    busy: BTreeSet<u32>,
    /// What earlier batches have learned.
    memos: Vec<HashMemo>,
}

impl Shards {
    /// The shards that read a proposal's ballots.
    pub(crate) fn new(
        verifying: &Verifying,
        decisions: &ProposalDecisions,
        power: PowerSource,
        stop: &CancellationToken,
    ) -> Self {
        Self {
            stage: Stage::Ballots,
            count: verifying.config.shards.get(),
            batch_records_max: verifying.config.batch_records_max.get(),
            log: verifying.log.clone(),
            verifier: Arc::new(ProposalVerifier::new(Arc::clone(&decisions.definition))),
            power,
            topics: Topics::new(verifying, decisions),
            disabled: verifying.disabled.clone(),
            cores: Arc::clone(&verifying.cores),
            questions: Arc::clone(&verifying.questions),
            metrics: verifying.metrics.clone(),
            stop: stop.clone(),
        }
    }

    /// The shards that ask contracts about what these defer. They mostly wait, and a lane must not wait for another's
    /// contracts: each has a batch.
    pub(crate) fn asking(&self, contracts: ContractSigners) -> Self {
        let lanes = usize::from(self.verifier.definition().lanes());
        let count = self.count.max(lanes.min(ASKING_BATCHES_MAX));
        Self { stage: Stage::Deferred(contracts), count, ..self.clone() }
    }

    fn proposal(&self) -> ProposalId {
        self.verifier.definition().proposal().id()
    }

    /// Until they are stopped: batches, their verdicts, then the commits. Whatever happens in between is done again.
    pub(crate) async fn run(self) -> Result<(), ShardError> {
        let mut pause = Pause::default();
        loop {
            let joined = tokio::select! {
                () = self.stop.cancelled() => return Ok(()),
                joined = self.join() => joined,
            };
            let consumer = match self.tried(joined, &mut pause).await? {
                Tried::Done(consumer) => consumer,
                Tried::Again => continue,
                Tried::Stopped => return Ok(()),
            };
            self.disabled.enable(self.proposal());
            // Until reading fails: then a new consumer begins at what is committed.
            match self.consume(consumer, &mut pause).await? {
                Tried::Again => {}
                Tried::Done(()) | Tried::Stopped => return Ok(()),
            }
        }
    }

    /// Until reading fails or the shards are stopped; what was begun is finished first.
    async fn consume(&self, consumer: GroupConsumer, pause: &mut Pause) -> Result<Tried<()>, ShardError> {
        let mut work = Work { shards: self, consumer, tasks: JoinSet::new(), busy: BTreeSet::new(), memos: Vec::new() };
        let failed = work.go_on(pause).await?;
        work.finish().await?;
        drop(work);
        match failed {
            Some(error) => self.tried(Err(ShardError::Read(error)), pause).await,
            None => Ok(Tried::Stopped),
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
        let proposal = self.proposal();
        warn!(%proposal, error = telemetry::chain(&error), pause_ms = pause.as_millis(), "a shard waits for the log");
        tokio::select! {
            () = self.stop.cancelled() => Ok(false),
            () = tokio::time::sleep(pause) => Ok(true),
        }
    }

    /// Looks at the topics and joins the group.
    async fn join(&self) -> Result<GroupConsumer, ShardError> {
        self.topics.prepare().await?;
        self.topics.join(&self.stage).map_err(ShardError::Topics)
    }
}

impl Work<'_> {
    /// Until the shards are stopped, or reading fails with this.
    async fn go_on(&mut self, pause: &mut Pause) -> Result<Option<LogError>, ShardError> {
        let shards = self.shards;
        // Beside everything else: questions to brokers may take seconds.
        let topics_fail = shards.topics.fail();
        tokio::pin!(topics_fail);
        loop {
            let may_read = self.tasks.len() < self.shards.count;
            tokio::select! {
                biased;
                () = self.shards.stop.cancelled() => return Ok(None),
                Some(finished) = self.tasks.join_next() => {
                    self.commit(finished).await?;
                    *pause = Pause::default();
                }
                error = &mut topics_fail => return Err(error),
                batch = self.consumer.next_batch(self.shards.batch_records_max, &self.busy), if may_read => match batch {
                    Ok(batch) => self.begin(batch),
                    Err(error) => return Ok(Some(error)),
                },
            }
        }
    }

    fn begin(&mut self, batch: GroupBatch) {
        self.busy.insert(batch.partition);
        let memo = self.memos.pop().unwrap_or_default();
        self.tasks.spawn(self.shards.clone().work_on(batch, memo));
    }

    /// Commits what was begun.
    async fn finish(&mut self) -> Result<(), ShardError> {
        while let Some(finished) = self.tasks.join_next().await {
            self.commit(finished).await?;
        }
        Ok(())
    }

    async fn commit(&mut self, finished: Result<Result<Finished, ShardError>, JoinError>) -> Result<(), ShardError> {
        let Finished { partition, next_offset, verdicts, deferred, memo, started, is_durable } = match finished {
            Ok(finished) => finished?,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime is going down and drops this task at its next wait.
                Err(_) => return Ok(()),
            },
        };
        self.busy.remove(&partition);
        self.memos.push(memo);
        if is_durable && self.shards.commit(&self.consumer, partition, next_offset).await? {
            let metrics = &self.shards.metrics;
            metrics.observe_batch(&verdicts, started.elapsed(), clock::now());
            metrics.signatures.observe_deferred(&self.shards.stage, deferred);
            trace(&verdicts, started.elapsed());
        }
        Ok(())
    }
}

/// For whoever follows one ballot through all processes, by its log lines or by its trace.
fn trace(verdicts: &[Verdict], elapsed: Duration) {
    if !traces::is_on() && !tracing::enabled!(tracing::Level::DEBUG) {
        return;
    }
    for verdict in verdicts {
        let Place { partition, offset } = verdict.place;
        let (digest, ruling) = traces::of_verdict(verdict);
        debug!(digest = digest.map(tracing::field::display), partition, offset, ruling, "verdict durable");
        if let Some(digest) = digest {
            traces::note(digest, verdict.place, Step::Verified { ruling }, elapsed);
        }
    }
}

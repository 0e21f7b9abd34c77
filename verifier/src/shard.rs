//! The shards of one proposal: one member of the consumer group on its ballots, whose batches are worked on several at
//! once, those of one partition one after the other.

mod failing;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use pnyx_backbone::{
    blocking::{RuntimeEnded, blocking},
    clock,
    disabled::DisabledProposals,
    log::{GroupBatch, GroupConsumer, Log, LogError, Topic, VERIFIER_GROUP},
    telemetry,
    traces::{self, Step},
};
use pnyx_core::{
    ballot::HashMemo,
    decisions::ProposalDecisions,
    id::{Lane, Place, ProposalId},
    power::VoterPower,
    verdict::Verdict,
    wire,
};
use pnyx_verification::{BallotRecord, JudgedRecord, PowerSource, ProposalVerifier, signers, weigh};
use tokio::{
    sync::Semaphore,
    task::{JoinError, JoinSet},
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

pub use self::failing::ShardError;
use self::failing::{Pause, Remedy, Tried};
use crate::{Verifying, metrics::VerifierMetrics};

/// How often shards look whether their topics are still there: nothing else tells a member of a group that reads nothing.
const TOPICS_CHECK_INTERVAL: Duration = Duration::from_secs(5);

/// The shards of a proposal; clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Shards {
    count: usize,
    batch_records_max: usize,
    log: Log,
    verifier: Arc<ProposalVerifier>,
    power: PowerSource,
    ballots: Topic,
    verdicts: Topic,
    /// Records were counted, so both topics were there.
    has_cut: bool,
    disabled: DisabledProposals,
    looks: Arc<Semaphore>,
    cores: Arc<Semaphore>,
    metrics: VerifierMetrics,
    stop: CancellationToken,
}

/// A member of the group and its batches that are worked on.
struct Work<'a> {
    shards: &'a Shards,
    consumer: GroupConsumer,
    tasks: JoinSet<Result<Judged, ShardError>>,
    /// The partitions they come from: a batch is committed before the next one of its partition is begun, so that nothing
    /// is committed before what lies below it.
    busy: BTreeSet<u32>,
    /// Read and not begun. Until it is, nothing more is read.
    held: Option<GroupBatch>,
    /// What earlier batches have learned.
    memos: Vec<HashMemo>,
}

/// A batch whose verdicts are durable, unless the shards were stopped before.
struct Judged {
    partition: u32,
    next_offset: u64,
    verdicts: Vec<Verdict>,
    memo: HashMemo,
    started: Instant,
    is_durable: bool,
}

impl Shards {
    pub(crate) fn new(
        verifying: &Verifying,
        decisions: &ProposalDecisions,
        power: PowerSource,
        stop: &CancellationToken,
    ) -> Self {
        let id = decisions.definition.proposal().id();
        Self {
            count: verifying.config.shards.get(),
            batch_records_max: verifying.config.batch_records_max.get(),
            log: verifying.log.clone(),
            verifier: Arc::new(ProposalVerifier::new(Arc::clone(&decisions.definition))),
            power,
            ballots: Topic::ballots(id),
            verdicts: Topic::verdicts(id),
            has_cut: decisions.cut.is_some(),
            disabled: verifying.disabled.clone(),
            looks: Arc::clone(&verifying.looks),
            cores: Arc::clone(&verifying.cores),
            metrics: verifying.metrics.clone(),
            stop: stop.clone(),
        }
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
        let mut work = Work {
            shards: self,
            consumer,
            tasks: JoinSet::new(),
            busy: BTreeSet::new(),
            held: None,
            memos: Vec::new(),
        };
        let failed = work.go_on(pause).await?;
        work.finish().await?;
        drop(work);
        match failed {
            Some(error) => self.tried(Err(ShardError::Read(error)), pause).await,
            None => Ok(Tried::Stopped),
        }
    }

    /// Makes the verdicts of a batch durable.
    async fn judge(self, batch: GroupBatch, memo: HashMemo) -> Result<Judged, ShardError> {
        let started = Instant::now();
        let partition = batch.partition;
        let next_offset = batch.records.last().map_or(0, |record| record.offset + 1);
        let (batch, judged, memo) = self.check_signatures(batch, memo).await;
        let Some(powers) = self.powers(&judged).await else {
            return Ok(Judged { partition, next_offset, verdicts: Vec::new(), memo, started, is_durable: false });
        };
        let verdicts = weigh(records(&batch), judged, &powers);
        let is_durable = self.append(&verdicts).await?;
        Ok(Judged { partition, next_offset, verdicts, memo, started, is_durable })
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
        let proposal = self.proposal();
        warn!(%proposal, error = telemetry::chain(&error), pause_ms = pause.as_millis(), "a shard waits for the log");
        tokio::select! {
            () = self.stop.cancelled() => Ok(false),
            () = tokio::time::sleep(pause) => Ok(true),
        }
    }

    /// Looks at the topics and joins the group.
    async fn join(&self) -> Result<GroupConsumer, ShardError> {
        self.prepare().await?;
        self.log.subscribe(&self.ballots, VERIFIER_GROUP).map_err(ShardError::Topics)
    }

    /// Makes the topics where nobody has. One that was there and is gone is not made again: ballots would be counted as
    /// verified whose verdicts are missing, or a proposal would go on that has lost its ballots.
    async fn prepare(&self) -> Result<(), ShardError> {
        let _look = self.looks.acquire().await.expect("the semaphore is never closed");
        let definition = self.verifier.definition();
        let ballots = self.partitions(&self.ballots).await?;
        let verdicts = self.partitions(&self.verdicts).await?;
        if let Some(partitions) = verdicts.filter(|partitions| *partitions != u32::from(definition.lanes())) {
            return Err(ShardError::Lanes { partitions, lanes: definition.lanes() });
        }
        let had_both = self.has_cut || self.disabled.was_enabled(self.proposal());
        let gone = match (ballots, verdicts) {
            (Some(_), Some(_)) => None,
            (None, _) if had_both => Some(&self.ballots),
            (_, None) if had_both => Some(&self.verdicts),
            (None, None) => None,
            (None, Some(_)) => is_begun(self.log.ends(&self.verdicts).await)?.then_some(&self.ballots),
            (Some(_), None) => {
                let committed = self.log.committed(&self.ballots, VERIFIER_GROUP).await;
                is_begun(committed)?.then_some(&self.verdicts)
            }
        };
        if let Some(topic) = gone {
            return Err(ShardError::Topics(LogError::UnknownTopic { topic: topic.clone() }));
        }
        let made = async {
            self.log.ensure_topic(&self.ballots, definition.ballots_partitions()).await?;
            self.log.ensure_topic(&self.verdicts, definition.lanes().into()).await?;
            // Says if records are missing at the beginning.
            self.log.ends(&self.ballots).await.map(drop)
        };
        made.await.map_err(ShardError::Topics)
    }

    /// Looks at the topics again and again, until something is wrong with one.
    async fn topics_fail(&self) -> ShardError {
        loop {
            // The first look was a moment ago.
            tokio::time::sleep(TOPICS_CHECK_INTERVAL).await;
            let _look = self.looks.acquire().await.expect("the semaphore is never closed");
            if let Err(error) = self.check().await {
                return error;
            }
        }
    }

    /// Fails if a topic is gone or has fewer partitions than before.
    async fn check(&self) -> Result<(), ShardError> {
        for topic in [&self.ballots, &self.verdicts] {
            if let Err(error) = self.log.partitions(topic).await
                && error.fault().is_some()
            {
                return Err(ShardError::Topics(error));
            }
        }
        Ok(())
    }

    /// How many partitions the topic has; `None` if there is no topic.
    async fn partitions(&self, topic: &Topic) -> Result<Option<u32>, ShardError> {
        match self.log.partitions(topic).await {
            Ok(partitions) => Ok(Some(partitions)),
            Err(LogError::UnknownTopic { .. }) => Ok(None),
            Err(error) => Err(ShardError::Topics(error)),
        }
    }

    /// Checks signatures on a thread where blocking is allowed, so that they never hold up what waits for the log.
    async fn check_signatures(
        &self,
        batch: GroupBatch,
        mut memo: HashMemo,
    ) -> (GroupBatch, Vec<JudgedRecord>, HashMemo) {
        let core = Arc::clone(&self.cores).acquire_owned().await.expect("the semaphore is never closed");
        let verifier = Arc::clone(&self.verifier);
        let work = blocking(move || {
            let judged = records(&batch).map(|record| verifier.judge(record, &mut memo)).collect();
            drop(core);
            (batch, judged, memo)
        });
        match work.await {
            Ok(done) => done,
            // This task is dropped at its next wait.
            Err(RuntimeEnded) => std::future::pending().await,
        }
    }

    /// The power of all signers of a batch, however long a chain needs; `None` if the shards were stopped before. Meanwhile
    /// nothing is kept in memory but this batch: what follows waits in the log, and other proposals have shards of their own.
    async fn powers(&self, judged: &[JudgedRecord]) -> Option<Vec<VoterPower>> {
        let signers = signers(judged);
        let mut pause = Pause::default();
        let waiting = self.metrics.power.wait(signers.len());
        loop {
            let powers = tokio::select! {
                () = self.stop.cancelled() => return None,
                powers = self.power.powers(&signers) => powers,
            };
            let error = match powers {
                Ok(powers) => return Some(powers),
                Err(error) => error,
            };
            waiting.failed();
            let pause = pause.next();
            let (proposal, error) = (self.proposal(), telemetry::chain(&error));
            warn!(%proposal, error, pause_ms = pause.as_millis(), "a shard waits for a chain");
            tokio::select! {
                () = self.stop.cancelled() => return None,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }
}

fn records(batch: &GroupBatch) -> impl Iterator<Item = BallotRecord<'_>> {
    batch.records.iter().map(|record| BallotRecord {
        place: Place { partition: batch.partition, offset: record.offset },
        appended_at: record.appended_at,
        bytes: &record.value,
    })
}

impl Work<'_> {
    /// Until the shards are stopped, or reading fails with this.
    async fn go_on(&mut self, pause: &mut Pause) -> Result<Option<LogError>, ShardError> {
        let shards = self.shards;
        // Beside everything else: questions to brokers may take seconds.
        let topics_fail = shards.topics_fail();
        tokio::pin!(topics_fail);
        loop {
            if let Some(batch) = self.held.take_if(|batch| !self.busy.contains(&batch.partition)) {
                self.busy.insert(batch.partition);
                let memo = self.memos.pop().unwrap_or_default();
                self.tasks.spawn(self.shards.clone().judge(batch, memo));
            }
            let may_read = self.held.is_none() && self.tasks.len() < self.shards.count;
            tokio::select! {
                biased;
                () = self.shards.stop.cancelled() => return Ok(None),
                Some(judged) = self.tasks.join_next() => {
                    self.commit(judged).await?;
                    *pause = Pause::default();
                }
                error = &mut topics_fail => return Err(error),
                batch = self.consumer.next_batch(self.shards.batch_records_max), if may_read => match batch {
                    Ok(batch) => self.held = Some(batch),
                    Err(error) => return Ok(Some(error)),
                },
            }
        }
    }

    /// Commits what was begun.
    async fn finish(&mut self) -> Result<(), ShardError> {
        while let Some(judged) = self.tasks.join_next().await {
            self.commit(judged).await?;
        }
        Ok(())
    }

    async fn commit(&mut self, judged: Result<Result<Judged, ShardError>, JoinError>) -> Result<(), ShardError> {
        let Judged { partition, next_offset, verdicts, memo, started, is_durable } = match judged {
            Ok(judged) => judged?,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime is going down and drops this task at its next wait.
                Err(_) => return Ok(()),
            },
        };
        self.busy.remove(&partition);
        self.memos.push(memo);
        if is_durable && self.shards.commit(&self.consumer, partition, next_offset).await? {
            self.shards.metrics.observe_batch(&verdicts, started.elapsed(), clock::now());
            trace(&verdicts, started.elapsed());
        }
        Ok(())
    }
}

/// Whether there is anything in these partitions.
fn is_begun(offsets: Result<Vec<u64>, LogError>) -> Result<bool, ShardError> {
    Ok(offsets.map_err(ShardError::Topics)?.iter().any(|offset| *offset > 0))
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

//! Follows `pnyx.proposals` and writes decisions: whoever writes one acts only on what it then reads back.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use pnyx_core::{
    decisions::{Decision, DecisionBook, Recorded},
    id::ProposalId,
    wire::{WireError, decision},
};
use prometheus_client::{metrics::counter::Counter, registry::Registry};
use thiserror::Error;
use tokio::{sync::watch, time::timeout};
use tracing::{error, warn};

use crate::{
    log::{AppendError, AppendTo, Log, LogError, LogRecord, PartitionReader, Topic},
    shutdown::Shutdown,
    telemetry::{self, Metrics},
};

/// Most decisions read at once.
const BATCH_RECORDS_MAX: usize = 256;

/// Most bytes of decisions read at once: a few of the largest definitions.
const BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;

/// How long to wait after the log could not be read.
const READ_PAUSE: Duration = Duration::from_secs(1);

/// How long a decision that is durable may take to be read back: far above the usual milliseconds.
const READ_BACK_WAIT_MAX: Duration = Duration::from_secs(30);

/// What is decided, kept current. Clones share one follower.
#[derive(Debug, Clone)]
pub struct Proposals {
    log: Log,
    book: watch::Receiver<Arc<DecisionBook>>,
    outcomes: Outcomes,
    metrics: ProposalsMetrics,
}

/// Why decisions could not be followed.
#[derive(Debug, Error)]
pub enum FollowError {
    /// The topic could not be made or found.
    #[error("the topic of decisions is not there")]
    Topic(#[source] LogError),
    /// The topic could not be read.
    #[error("decisions cannot be read")]
    Read(#[source] LogError),
}

/// Why a decision was not made, as far as this process knows: it may still be in the log.
#[derive(Debug, Error)]
pub enum DecideError {
    /// The log did not take it.
    #[error("the decision could not be written")]
    Append(#[source] AppendError),
    /// The decision was written, but this build cannot read it back.
    #[error("the decision was written at offset {offset} but cannot be read back")]
    Unreadable {
        /// Its offset.
        offset: u64,
    },
    /// The decision is in the log, but this process has not come to it.
    #[error("the decision was written at offset {offset} but not read back within {} s", READ_BACK_WAIT_MAX.as_secs())]
    Slow {
        /// Its offset.
        offset: u64,
    },
    /// The follower ended before it came to the decision.
    #[error("the process ends before the decision was read back")]
    Ended,
}

/// What became of each record by offset, `None` if it could not be read: a byte a decision, a handful a proposal.
#[derive(Debug, Clone, Default)]
struct Outcomes {
    by_offset: Arc<Mutex<Vec<Option<Recorded>>>>,
}

#[derive(Debug, Clone, Default)]
struct ProposalsMetrics {
    conflicts: Counter,
    unreadable: Counter,
}

/// The task that reads.
struct Follower {
    reader: PartitionReader,
    book: watch::Sender<Arc<DecisionBook>>,
    outcomes: Outcomes,
    metrics: ProposalsMetrics,
}

impl Proposals {
    /// Makes the topic if it is not there, reads all that is in it and goes on reading until the shutdown.
    pub async fn start(log: Log, shutdown: &Shutdown) -> Result<Self, FollowError> {
        let topic = Topic::proposals();
        log.ensure_topic(&topic, 1).await.map_err(FollowError::Topic)?;
        let ends = log.ends(&topic).await.map_err(FollowError::Topic)?;
        let reader = log.reader(&topic, 0, 0).map_err(FollowError::Topic)?;
        let (sender, book) = watch::channel(Arc::default());
        let (outcomes, metrics) = (Outcomes::default(), ProposalsMetrics::default());
        let mut follower = Follower { reader, book: sender, outcomes: outcomes.clone(), metrics: metrics.clone() };
        while ends.first().is_some_and(|end| follower.reader.position() < *end) {
            follower.read_batch().await?;
        }
        let requested = shutdown.clone();
        shutdown.spawn("follower of decisions", async move {
            tokio::select! {
                () = requested.requested() => Ok(()),
                error = follower.follow() => error,
            }
        });
        Ok(Self { log, book, outcomes, metrics })
    }

    /// What is decided now.
    pub fn book(&self) -> Arc<DecisionBook> {
        self.book.borrow().clone()
    }

    /// Changes whenever something is decided.
    pub fn watch(&self) -> watch::Receiver<Arc<DecisionBook>> {
        self.book.clone()
    }

    /// Writes a decision and returns what became of it once this process has read it back.
    pub async fn decide(&self, decision: Decision) -> Result<Recorded, DecideError> {
        let value = decision::encode(&decision);
        let appended = self.log.append(&Topic::proposals(), AppendTo::Partition(0), value).await;
        let offset = appended.map_err(DecideError::Append)?.place.offset;
        let mut book = self.book.clone();
        let waiting = timeout(READ_BACK_WAIT_MAX, book.wait_for(|_| self.outcomes.get(offset).is_some()));
        let Ok(read_back) = waiting.await.map(|seen| seen.is_ok()) else { return Err(DecideError::Slow { offset }) };
        match self.outcomes.get(offset) {
            Some(Some(recorded)) => Ok(recorded),
            Some(None) => Err(DecideError::Unreadable { offset }),
            None => {
                debug_assert!(!read_back, "the book changes only after the outcome is noted");
                Err(DecideError::Ended)
            }
        }
    }

    /// A proposal by its id, its name or `namespace/name`; the newest where several share a name.
    pub fn find(&self, text: &str) -> Option<ProposalId> {
        let book = self.book();
        if let Ok(id) = text.parse::<ProposalId>() {
            return book.get(id).map(|_| id);
        }
        let named = book.proposals().iter().filter(|(_, decisions)| {
            let parts = decisions.definition.proposal().parts();
            match text.split_once('/') {
                Some((namespace, name)) => parts.namespace == namespace && parts.name == name,
                None => parts.name == text,
            }
        });
        named.max_by_key(|(_, decisions)| decisions.offset).map(|(id, _)| *id)
    }

    /// Registers the follower's metrics.
    pub fn register_metrics(&self, metrics: &Metrics) {
        metrics.register(|registry| self.metrics.register(registry));
    }
}

impl Follower {
    /// Reads on. A log that is out of reach delays; one that is damaged ends the process.
    async fn follow(&mut self) -> Result<(), FollowError> {
        loop {
            match self.read_batch().await {
                Ok(()) => {}
                // Whoever closed the log wanted this to end.
                Err(FollowError::Read(LogError::Closed)) => return Ok(()),
                Err(FollowError::Read(error @ (LogError::Read { .. } | LogError::Unavailable { .. }))) => {
                    warn!(error = telemetry::chain(&error), "decisions cannot be read at present, trying again");
                    tokio::time::sleep(READ_PAUSE).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn read_batch(&mut self) -> Result<(), FollowError> {
        let batch = self.reader.next_batch(BATCH_RECORDS_MAX, BATCH_BYTES_MAX).await.map_err(FollowError::Read)?;
        let mut book = DecisionBook::clone(&self.book.borrow());
        let outcomes: Vec<_> = batch.iter().map(|record| self.take(&mut book, record)).collect();
        // Both while nobody can look at the book, so that whoever sees an outcome also sees what it led to.
        self.book.send_modify(|standing| {
            self.outcomes.extend(outcomes);
            *standing = Arc::new(book);
        });
        Ok(())
    }

    /// Records a decision; what cannot stand is reported once, here, and otherwise skipped by everybody alike.
    fn take(&self, book: &mut DecisionBook, record: &LogRecord) -> Option<Recorded> {
        let decision = match decision::decode(&record.value) {
            Ok(decision) => decision,
            Err(problem) => {
                self.report_unreadable(record.offset, &problem);
                return None;
            }
        };
        let outcome = book.record(record.offset, decision);
        match outcome {
            Recorded::Stands | Recorded::Repeated => {}
            Recorded::Conflicts => {
                error!(offset = record.offset, "a decision differs from the one that stands and is ignored");
                self.metrics.conflicts.inc();
            }
            Recorded::Unknown => {
                error!(offset = record.offset, "a decision is about a proposal without definition and is ignored");
                self.metrics.conflicts.inc();
            }
        }
        Some(outcome)
    }

    fn report_unreadable(&self, offset: u64, problem: &WireError) {
        error!(offset, %problem, "a decision cannot be read and is skipped");
        self.metrics.unreadable.inc();
    }
}

impl Outcomes {
    fn extend(&self, outcomes: Vec<Option<Recorded>>) {
        self.lock().extend(outcomes);
    }

    /// What became of the record; `None` if it has not been read yet.
    fn get(&self, offset: u64) -> Option<Option<Recorded>> {
        let index = usize::try_from(offset).ok()?;
        self.lock().get(index).copied()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Option<Recorded>>> {
        self.by_offset.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ProposalsMetrics {
    fn register(&self, registry: &mut Registry) {
        registry.register(
            "decisions_ignored",
            "Decisions that contradict the one that stands or name an unknown proposal: incidents",
            self.conflicts.clone(),
        );
        registry.register(
            "decisions_unreadable",
            "Records of the proposals topic that this build cannot read",
            self.unreadable.clone(),
        );
    }
}

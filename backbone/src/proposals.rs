//! Follows `pnyx.proposals` and writes decisions: whoever writes one acts only on what it then reads back.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use pnyx_core::{
    decisions::{Decision, DecisionBook, Recorded},
    id::ProposalId,
    time::TimestampMs,
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

/// How much later than the cut that stands was appended another recount may have read the ends without knowing of it:
/// clocks differ by at most the shortest grace, which is 5 s, and what is appended is read within milliseconds.
const CUT_RACE_MAX_MS: u64 = 5_000;

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

/// Why it is not known what is decided by now.
#[derive(Debug, Error)]
pub enum BookError {
    /// The log could not say how many decisions there are.
    #[error("the topic of decisions cannot be reached")]
    Log(#[from] LogError),
    /// The log has decisions that this process has not come to.
    #[error("decisions below offset {end} were not read within {} s", READ_BACK_WAIT_MAX.as_secs())]
    Slow {
        /// Where the topic ended.
        end: u64,
    },
    /// The follower ended before it came to all decisions.
    #[error("the process ends before all decisions were read")]
    Ended,
}

/// Why records were not read.
enum Unread {
    Slow,
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
    outrun: Counter,
    unreadable: Counter,
}

/// The task that reads.
struct Follower {
    reader: PartitionReader,
    book: watch::Sender<Arc<DecisionBook>>,
    outcomes: Outcomes,
    metrics: ProposalsMetrics,
    /// When each cut that stands was appended.
    cuts_appended_at: BTreeMap<ProposalId, TimestampMs>,
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
        let mut follower = Follower {
            reader,
            book: sender,
            outcomes: outcomes.clone(),
            metrics: metrics.clone(),
            cuts_appended_at: BTreeMap::new(),
        };
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

    /// What is decided, with everything that was in the log when this was called: for whoever is about to decide.
    pub async fn current_book(&self) -> Result<Arc<DecisionBook>, BookError> {
        let end = self.log.ends(&Topic::proposals()).await?.first().copied().unwrap_or(0);
        match self.read_to(end).await {
            Ok(()) => Ok(self.book()),
            Err(Unread::Slow) => Err(BookError::Slow { end }),
            Err(Unread::Ended) => Err(BookError::Ended),
        }
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
        match self.read_to(offset + 1).await {
            Ok(()) => {}
            Err(Unread::Slow) => return Err(DecideError::Slow { offset }),
            Err(Unread::Ended) => return Err(DecideError::Ended),
        }
        let outcome = self.outcomes.get(offset).expect("the record was read");
        outcome.ok_or(DecideError::Unreadable { offset })
    }

    /// Waits until every record below `end` is in the book.
    async fn read_to(&self, end: u64) -> Result<(), Unread> {
        let mut book = self.book.clone();
        match timeout(READ_BACK_WAIT_MAX, book.wait_for(|_| self.outcomes.count() >= end)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(Unread::Ended),
            Err(_) => Err(Unread::Slow),
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
        let mut outcomes = Vec::with_capacity(batch.len());
        for record in &batch {
            outcomes.push(self.take(&mut book, record));
        }
        // Both while nobody can look at the book, so that whoever sees an outcome also sees what it led to.
        self.book.send_modify(|standing| {
            self.outcomes.extend(outcomes);
            *standing = Arc::new(book);
        });
        Ok(())
    }

    /// Records a decision; what cannot stand is reported once, here, and otherwise skipped by everybody alike.
    fn take(&mut self, book: &mut DecisionBook, record: &LogRecord) -> Option<Recorded> {
        let decision = match decision::decode(&record.value) {
            Ok(decision) => decision,
            Err(problem) => {
                self.report_unreadable(record.offset, &problem);
                return None;
            }
        };
        let cut = if let Decision::Cut(cut) = &decision { Some((cut.proposal, cut.decided_at)) } else { None };
        let outcome = book.record(record.offset, decision);
        match outcome {
            Recorded::Stands => self.cuts_appended_at.extend(cut.map(|(proposal, _)| (proposal, record.appended_at))),
            Recorded::Repeated => {}
            Recorded::Conflicts if cut.is_some_and(|(proposal, decided_at)| self.is_outrun(proposal, decided_at)) => {
                warn!(offset = record.offset, "two recounts cut at the same time: the later cut is ignored");
                self.metrics.outrun.inc();
            }
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

    /// Whether the ends of a cut were read before its writer could know of the cut that stands.
    fn is_outrun(&self, proposal: ProposalId, decided_at: TimestampMs) -> bool {
        let standing = self.cuts_appended_at.get(&proposal);
        standing.is_some_and(|appended_at| decided_at <= appended_at.saturating_add_ms(CUT_RACE_MAX_MS))
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

    /// How many records were read.
    fn count(&self) -> u64 {
        self.lock().len() as u64
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
            "decisions_outrun",
            "Cuts that differ from the one that stands because two recounts read the ends at the same time: harmless",
            self.outrun.clone(),
        );
        registry.register(
            "decisions_unreadable",
            "Records of the proposals topic that this build cannot read",
            self.unreadable.clone(),
        );
    }
}

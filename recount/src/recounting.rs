//! The recount: the raw records up to the cut, read from the log past every cache, counted again from nothing.

use std::{collections::BTreeSet, num::NonZeroUsize, sync::Arc, time::Duration};

use pnyx_backbone::{
    blocking::{RuntimeEnded, blocking},
    log::{Log, LogError, LogRecord, PartitionReader, Topic},
};
use pnyx_core::{
    chain::Pins,
    counting::{CountingRules, Totals},
    id::{Place, ProposalId, Root, Voter},
    merkle::{RootBuilder, ballot_leaf, power_leaf, record_leaf, signature_leaf},
    outcome::outcome,
    power::VoterPower,
    proposal::Definition,
    result::{ChainEvidence, Cut, Provenance, ResultCore},
    wire::archive::{ArchivedBallot, ArchivedContractSignature, ArchivedRecord},
};
use pnyx_verification::{PowerUnavailable, RulingsUnavailable, Sources};
use thiserror::Error;
use tokio::{runtime::Handle, task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    claims::{self, ClaimSender},
    count::{BATCH_BYTES_MAX, BATCH_RECORDS_MAX, Batches, Claims, Counted, Counter, HashedRecord, Settled, Signed},
    facts::{ChainFacts, Facts},
    look_up,
};

/// What a recount came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recounted {
    /// The sums that the live tally must equal.
    pub totals: Totals,
    /// The part of the result that is a function of the counting ballots.
    pub core: ResultCore,
    /// The part that says what was counted.
    pub provenance: Provenance,
    /// Standing ballots by voter, as the archive lists them.
    pub ballots: Vec<ArchivedBallot>,
    /// The power of each voter with a validly signed or claimed record, ascending by voter.
    pub powers: Vec<(Voter, VoterPower)>,
    /// What contracts said of claimed records of accounts with power, ascending by record.
    pub signatures: Vec<ArchivedContractSignature>,
}

/// How far a recount is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Records handed to the workers.
    pub records_done: u64,
    /// Records below the cut.
    pub records_total: u64,
}

/// How long a record that is there may be awaited: above any fail-over of a broker, so that waiting longer is worth a
/// line in the log and a new beginning.
const READ_WAIT_MAX: Duration = Duration::from_secs(30);

/// Why records could not be read back.
#[derive(Debug, Clone, Error)]
pub enum ReadError {
    /// The log said why.
    #[error("the ballots could not be read from the log")]
    Log(#[from] LogError),
    /// The log has the records and did not give them.
    #[error(
        "partition {partition} of the ballots gave nothing from offset {offset} on for {} s: the log may be out of reach",
        READ_WAIT_MAX.as_secs()
    )]
    Stalled {
        /// The partition.
        partition: u32,
        /// The offset that was awaited.
        offset: u64,
    },
}

/// Why a recount came to nothing.
#[derive(Debug, Error)]
pub enum RecountError {
    /// The records could not be read.
    #[error("the records could not be read back")]
    Read(#[from] ReadError),
    /// The log does not hold what the cut says: records were lost.
    #[error(
        "partition {partition} of the ballots ends at offset {log_end}, but the cut is at {cut_end}: \
         the log has lost records, do not publish anything from it"
    )]
    LogBehindCut {
        /// The partition.
        partition: u32,
        /// Where the cut is.
        cut_end: u64,
        /// Where the log ends; 0 where it has no such partition.
        log_end: u64,
    },
    /// The log holds other records than when the cut was made.
    #[error(
        "the records of partition {partition} have root {log_root}, but the cut recorded {cut_root}: \
         the log was altered after the cut, do not publish anything from it"
    )]
    RecordsRoot {
        /// The partition.
        partition: u32,
        /// The root in the cut.
        cut_root: Root,
        /// The root of what the log holds.
        log_root: Root,
    },
    /// A chain gave no answer: it delays the recount and never decides it.
    #[error("the voters' power could not be looked up")]
    Power(#[from] PowerUnavailable),
    /// The same of signatures.
    #[error("the voters' contracts could not be asked")]
    Signatures(#[from] RulingsUnavailable),
    /// The recount was given up because the process ends.
    #[error("the recount was interrupted")]
    Interrupted,
}

/// Counts a proposal's records below `cut` again on `threads` cores. `progress` is called after every batch. The power
/// of all signers is asked of the `sources` after the last record; claimed records are settled meanwhile.
///
/// The result does not depend on `threads`, on how records are spread over partitions, or on their order. Memory is
/// that of [`Counter`] and of [`crate::claims`], and one [`ArchivedBallot`] for each voter at the end. Dropping the
/// future stops the work.
pub async fn recount(
    log: &Log,
    definition: &Arc<Definition>,
    cut: &Cut,
    sources: &Sources,
    threads: NonZeroUsize,
    progress: impl Fn(Progress) + Send + 'static,
) -> Result<Recounted, RecountError> {
    let facts = Facts::default();
    let signed = check_signatures(log, definition, cut, sources, &facts, threads, progress).await?;
    weigh(signed, definition, cut, sources, &facts).await
}

/// The first part of a recount, which takes all of its cores, and as long as chains need to settle claims. What they
/// say is in the `facts` whether or not it comes to an end.
pub(crate) async fn check_signatures(
    log: &Log,
    definition: &Arc<Definition>,
    cut: &Cut,
    sources: &Sources,
    facts: &Facts,
    threads: NonZeroUsize,
    progress: impl Fn(Progress) + Send + 'static,
) -> Result<Signed, RecountError> {
    facts.begin_try();
    let ends = log.ends(&Topic::ballots(cut.proposal)).await.map_err(ReadError::from)?;
    for (partition, cut_partition) in (0..).zip(&cut.partitions) {
        let log_end = ends.get(partition as usize).copied().unwrap_or(0);
        if log_end < cut_partition.end_offset {
            return Err(RecountError::LogBehindCut { partition, cut_end: cut_partition.end_offset, log_end });
        }
    }
    let stop = CancellationToken::new();
    let _stop_when_dropped = stop.clone().drop_guard();
    let (definition, cut, sources, facts) = (Arc::clone(definition), cut.clone(), sources.clone(), facts.clone());
    let reading = Reading { log: log.clone(), definition, cut, sources, facts, stop };
    let handle = Handle::current();
    let counting = blocking(move || reading.count(&handle, threads, &progress));
    counting.await.unwrap_or_else(|RuntimeEnded| Err(RecountError::Interrupted))
}

/// The second part, which may have to wait for chains too.
pub(crate) async fn weigh(
    signed: Signed,
    definition: &Arc<Definition>,
    cut: &Cut,
    sources: &Sources,
    facts: &Facts,
) -> Result<Recounted, RecountError> {
    look_up::learn(&sources.power, signed.signers(), facts).await?;
    let ChainFacts { powers, rulings } = facts.take();
    let (definition, pins, cut) = (Arc::clone(definition), sources.pins.clone(), cut.clone());
    let weighing = blocking(move || {
        let signature = |(record, (voter, ruling))| ArchivedContractSignature { record, voter, ruling };
        let signatures = rulings.into_iter().map(signature).collect();
        Recounted::new(&definition, pins.as_deref(), cut, signed.count(powers.into_iter().collect(), signatures))
    });
    weighing.await.map_err(|RuntimeEnded| RecountError::Interrupted)
}

/// The part of a recount that runs on a blocking thread: it waits for the log and for the workers' queue.
struct Reading {
    log: Log,
    definition: Arc<Definition>,
    cut: Cut,
    sources: Sources,
    facts: Facts,
    stop: CancellationToken,
}

/// Whoever settles claims while records are read.
type Settling = JoinHandle<Option<Result<Settled, RecountError>>>;

impl Reading {
    fn count(
        self,
        handle: &Handle,
        threads: NonZeroUsize,
        progress: &impl Fn(Progress),
    ) -> Result<Signed, RecountError> {
        let (claims, settling) = self.settle(handle).unzip();
        let claims = claims.map(Claims::HandedOver);
        let counter = Counter::start_with(&self.definition, threads, BTreeSet::new(), claims);
        // As long as there may be claims, whoever settles them ends only by failing.
        let has_failed = || settling.as_ref().is_some_and(JoinHandle::is_finished);
        let is_whole = self.read_all(handle, &counter, has_failed, progress)?;
        let mut signed = counter.finish();
        if let Some(settling) = settling {
            signed = signed.with(settled(handle, settling)?);
        }
        if is_whole { Ok(signed) } else { Err(RecountError::Interrupted) }
    }

    /// Hands all records below the cut over; `false` if that was given up because something else failed.
    fn read_all(
        &self,
        handle: &Handle,
        counter: &Counter,
        has_failed: impl Fn() -> bool,
        progress: &impl Fn(Progress),
    ) -> Result<bool, RecountError> {
        let records_total = self.cut.partitions.iter().map(|partition| partition.end_offset).sum();
        let mut records_done = 0;
        for (partition, cut_partition) in (0..).zip(&self.cut.partitions) {
            let mut records = RecordsBelow::new(&self.log, self.cut.proposal, partition, cut_partition.end_offset)?;
            let mut root = RootBuilder::default();
            loop {
                if has_failed() {
                    return Ok(false);
                }
                let batch = handle.block_on(self.stop.run_until_cancelled(records.next_batch()));
                let batch = batch.ok_or(RecountError::Interrupted)??;
                if batch.is_empty() {
                    break;
                }
                let mut batches = Batches::new(counter);
                for record in batch {
                    records_done += 1;
                    let record = HashedRecord::from(record);
                    root.push(&record_leaf(record.hash));
                    batches.push(record);
                }
                batches.flush();
                progress(Progress { records_done, records_total });
            }
            let (cut_root, log_root) = (cut_partition.records_root, root.root());
            if cut_root != log_root {
                return Err(RecountError::RecordsRoot { partition, cut_root, log_root });
            }
        }
        Ok(true)
    }

    /// Begins to settle claims, where contracts may sign: until the queue's senders are gone.
    fn settle(&self, handle: &Handle) -> Option<(ClaimSender, Settling)> {
        let contracts = self.sources.signers.clone()?;
        let (sender, receiver) = claims::queue(handle);
        let (power, stop) = (self.sources.power.clone(), self.stop.clone());
        let settling = claims::settle_all(power, contracts, receiver, self.facts.clone());
        Some((sender, handle.spawn(async move { stop.run_until_cancelled(settling).await })))
    }
}

/// What the claims came to.
fn settled(handle: &Handle, settling: Settling) -> Result<Settled, RecountError> {
    match handle.block_on(settling) {
        Ok(settled) => settled.ok_or(RecountError::Interrupted)?,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is going down.
            Err(_) => Err(RecountError::Interrupted),
        },
    }
}

impl Recounted {
    /// Everything that follows from what was counted below `cut` with what chains said at `pins`.
    pub fn new(definition: &Definition, pins: Option<&Pins>, cut: Cut, counted: Counted) -> Self {
        let proposal = definition.proposal();
        let rules = CountingRules::of(proposal);
        let Counted { records, rejected, standing, watched: _, powers, signatures } = counted;
        let mut totals = Totals::empty(rules);
        let mut root = RootBuilder::default();
        let mut ballots = Vec::with_capacity(standing.len());
        for (voter, counted_ballot) in standing {
            let ballot = counted_ballot.ballot;
            totals.add(&rules.contribution(&ballot.choice, ballot.power));
            root.push(&ballot_leaf(voter, &ballot));
            ballots.push(ArchivedBallot {
                voter,
                digest: ballot.digest,
                choice: ballot.choice,
                power: ballot.power,
                record: counted_ballot.record,
            });
        }
        let core = ResultCore {
            proposal: proposal.id(),
            ballots: totals.ballots,
            outcome: outcome(&proposal.parts().voting, rules, &totals),
            ballots_root: root.root(),
        };
        let chains = pins.map(|pins| ChainEvidence {
            pins: pins.clone(),
            powers_root: powers_root(&powers),
            signatures_root: proposal.signers().map(|_| signatures_root(&signatures)),
        });
        Self { totals, core, provenance: Provenance { cut, records, rejected, chains }, ballots, powers, signatures }
    }
}

/// The root over powers that ascend by voter.
pub(crate) fn powers_root(powers: &[(Voter, VoterPower)]) -> Root {
    let mut root = RootBuilder::default();
    for (voter, power) in powers {
        root.push(&power_leaf(*voter, *power));
    }
    root.root()
}

/// The root over rulings that ascend by record.
pub(crate) fn signatures_root(signatures: &[ArchivedContractSignature]) -> Root {
    let mut root = RootBuilder::default();
    for ArchivedContractSignature { record, voter, ruling } in signatures {
        root.push(&signature_leaf(*record, *voter, *ruling));
    }
    root.root()
}

/// The records of one partition below the cut, in order, in bounded batches.
#[derive(Debug)]
pub(crate) struct RecordsBelow {
    reader: PartitionReader,
    partition: u32,
    end_offset: u64,
}

impl RecordsBelow {
    /// From the beginning.
    pub(crate) fn new(log: &Log, proposal: ProposalId, partition: u32, end_offset: u64) -> Result<Self, ReadError> {
        Self::from(log, proposal, partition, 0, end_offset)
    }

    /// From an offset on.
    pub(crate) fn from(
        log: &Log,
        proposal: ProposalId,
        partition: u32,
        from_offset: u64,
        end_offset: u64,
    ) -> Result<Self, ReadError> {
        Ok(Self { reader: log.reader(&Topic::ballots(proposal), partition, from_offset)?, partition, end_offset })
    }

    /// The next records; none once the cut is reached. Where the log does not give them, waits a bounded time.
    pub(crate) async fn next_batch(&mut self) -> Result<Vec<ArchivedRecord>, ReadError> {
        let offset = self.reader.position();
        let left = self.end_offset.saturating_sub(offset);
        let records_max = usize::try_from(left).map_or(BATCH_RECORDS_MAX, |left| left.min(BATCH_RECORDS_MAX));
        if records_max == 0 {
            return Ok(Vec::new());
        }
        let partition = self.partition;
        let to_archived = |LogRecord { offset, appended_at, value }| ArchivedRecord {
            place: Place { partition, offset },
            appended_at,
            record: value,
        };
        match timeout(READ_WAIT_MAX, self.reader.next_batch(records_max, BATCH_BYTES_MAX)).await {
            Ok(batch) => Ok(batch?.into_iter().map(to_archived).collect()),
            Err(_) => Err(ReadError::Stalled { partition, offset }),
        }
    }
}

//! Archives of final proposals: JSON lines of `wire::archive`, the same bytes for the same log.
//!
//! Records are read from the log as they are sent, so memory does not grow with them. Standing ballots are no part of
//! the log; they are derived again by a recount, whose signature checks cost far more than sending the file. So the
//! ballots of the last few archives are remembered (the closing hands over those it has just counted), and one recount
//! runs at a time, whoever asks: a crowd of auditors costs one. How many archives are under way at once and how long
//! one waits for its reader are bounded, and all end with the process.

use std::{collections::VecDeque, num::NonZeroUsize, sync::Arc, time::Duration};

use pnyx_backbone::{log::Log, proposals::Proposals, shutdown::Shutdown, telemetry};
use pnyx_core::{
    id::{ProposalId, Voter},
    power::VoterPower,
    proposal::Definition,
    result::PublishedResult,
    wire::archive::{self, ArchiveLine, ArchivedBallot, ArchivedContractSignature, ArchivedPower},
};
use thiserror::Error;
use tokio::{
    sync::{Mutex, OwnedSemaphorePermit, Semaphore, mpsc},
    time::timeout,
};
use tokio_stream::wrappers::ReceiverStream;
use tracing::{error, info, warn};

use crate::{
    evidence::{EvidenceError, published_sources},
    recounting::{ReadError, RecordsBelow, RecountError, Recounted, recount},
};

/// A chunk is sent once it has this many bytes: few wake-ups, and little memory for each reader.
pub const CHUNK_BYTES_MIN: usize = 64 * 1024;

/// Chunks that may wait for a slow reader.
const CHUNKS_QUEUED_MAX: usize = 2;

/// Archives under way at once: each holds a few chunks and a reader of the log, and keeps its proposal's ballots in
/// memory even where they are no longer remembered.
pub const STREAMS_AT_ONCE_MAX: usize = 32;

/// How long a chunk may wait for its reader: as long as a client of ours waits for a chunk.
const READER_WAIT_MAX: Duration = Duration::from_secs(30);

/// Proposals whose ballots are remembered: what is audited just after a close.
const REMEMBERED_PROPOSALS_MAX: usize = 4;

/// Ballots that are remembered in all, at about 200 bytes each. More than this of one proposal are not remembered.
const REMEMBERED_BALLOTS_MAX: usize = 2_000_000;

/// Why there is no archive.
#[derive(Debug, Error)]
pub enum ArchiveError {
    /// No such proposal.
    #[error("there is no proposal {proposal}")]
    UnknownProposal {
        /// The id asked for.
        proposal: ProposalId,
    },
    /// Its result is not published.
    #[error("proposal {proposal} has no result yet: an archive exists only of a final proposal")]
    NotFinal {
        /// The proposal.
        proposal: ProposalId,
    },
    /// The ballots could not be counted again.
    #[error("the standing ballots could not be derived from the log")]
    Recount(#[from] RecountError),
    /// What the chains said could not be read from the verdicts.
    #[error("what the chains said could not be read from the log")]
    Evidence(#[from] EvidenceError),
    /// The log gives another result than the published one.
    #[error(
        "the log no longer gives the published result of proposal {proposal}: run `pnyx recount` and have a person look"
    )]
    Differs {
        /// The proposal.
        proposal: ProposalId,
    },
    /// As many archives as may be at once are under way.
    #[error("{STREAMS_AT_ONCE_MAX} archives are being sent already")]
    Busy,
    /// The process ends; a stream under way ends without its end line.
    #[error("the process is shutting down")]
    ShuttingDown,
    /// The stream was given up: its reader took nothing for too long.
    #[error("the reader took nothing for {} s", READER_WAIT_MAX.as_secs())]
    ReaderStalled,
    /// The records could not be read; the stream ends without its end line.
    #[error("the archive's records could not be read")]
    Read(#[from] ReadError),
}

/// The bytes of an archive. A stream that fails ends without the end line, which every reader notices.
pub type ArchiveStream = ReceiverStream<Result<Vec<u8>, ArchiveError>>;

/// What is in an archive and not in the log: a recount gives it.
#[derive(Debug)]
pub(crate) struct Derived {
    /// Standing ballots by voter.
    pub(crate) ballots: Vec<ArchivedBallot>,
    /// The power of each signer, by voter.
    pub(crate) powers: Vec<(Voter, VoterPower)>,
    /// What contracts said, by record.
    pub(crate) signatures: Vec<ArchivedContractSignature>,
}

impl Derived {
    /// Entries, for the bound on what is remembered.
    fn len(&self) -> usize {
        self.ballots.len().max(self.powers.len()).max(self.signatures.len())
    }
}

/// Makes archives.
#[derive(Debug)]
pub struct Archives {
    log: Log,
    proposals: Proposals,
    threads: NonZeroUsize,
    remembered: Mutex<VecDeque<(ProposalId, Arc<Derived>)>>,
    recounting: Mutex<()>,
    places: Arc<Semaphore>,
    shutdown: Shutdown,
}

impl Archives {
    /// Archives of what is in this log; a recount that is needed uses `threads` cores. All end with the shutdown.
    pub fn new(log: Log, proposals: Proposals, threads: NonZeroUsize, shutdown: Shutdown) -> Self {
        let places = Arc::new(Semaphore::new(STREAMS_AT_ONCE_MAX));
        let (remembered, recounting) = (Mutex::default(), Mutex::default());
        Self { log, proposals, threads, remembered, recounting, places, shutdown }
    }

    /// The archive of a final proposal. Waits for a recount where its ballots are not remembered.
    pub async fn stream(&self, proposal: ProposalId) -> Result<ArchiveStream, ArchiveError> {
        let book = self.proposals.book();
        let decisions = book.get(proposal).ok_or(ArchiveError::UnknownProposal { proposal })?;
        let result = decisions.result.clone().ok_or(ArchiveError::NotFinal { proposal })?;
        let definition = Arc::clone(&decisions.definition);
        // Taken before the recount, so that those who wait for it are bounded, too.
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| ArchiveError::Busy)?;
        let derived = tokio::select! {
            () = self.shutdown.requested() => return Err(ArchiveError::ShuttingDown),
            derived = self.derived(&definition, &result) => derived?,
        };
        // One more, which is kept for the error: a reader who takes nothing must not mistake the end for a good one.
        let (sender, receiver) = mpsc::channel(CHUNKS_QUEUED_MAX + 1);
        let for_error = sender.clone().try_reserve_owned().expect("a new channel is empty and open");
        let chunks = Chunks { sender, writer: ArchiveWriter::default() };
        let sending = Sending { log: self.log.clone(), chunks, for_error, shutdown: self.shutdown.clone() };
        self.shutdown.spawn("archive", sending.run(place, definition, result, derived));
        Ok(ReceiverStream::new(receiver))
    }

    /// Keeps what a recount derived for the next archives.
    pub(crate) async fn remember(&self, proposal: ProposalId, derived: Derived) {
        self.remember_shared(proposal, Arc::new(derived)).await;
    }

    async fn remember_shared(&self, proposal: ProposalId, derived: Arc<Derived>) {
        if derived.len() > REMEMBERED_BALLOTS_MAX {
            return;
        }
        let mut remembered = self.remembered.lock().await;
        remembered.retain(|(id, _)| *id != proposal);
        remembered.push_back((proposal, derived));
        let count = |remembered: &VecDeque<(_, Arc<Derived>)>| {
            remembered.iter().map(|(_, derived)| derived.len()).sum::<usize>()
        };
        while remembered.len() > REMEMBERED_PROPOSALS_MAX || count(&remembered) > REMEMBERED_BALLOTS_MAX {
            remembered.pop_front();
        }
    }

    async fn recall(&self, proposal: ProposalId) -> Option<Arc<Derived>> {
        let remembered = self.remembered.lock().await;
        remembered.iter().find(|(id, _)| *id == proposal).map(|(_, derived)| Arc::clone(derived))
    }

    async fn derived(
        &self,
        definition: &Arc<Definition>,
        result: &PublishedResult,
    ) -> Result<Arc<Derived>, ArchiveError> {
        let proposal = result.core.proposal;
        if let Some(derived) = self.recall(proposal).await {
            return Ok(derived);
        }
        let _alone = self.recounting.lock().await;
        if let Some(derived) = self.recall(proposal).await {
            return Ok(derived);
        }
        let PublishedResult { core, provenance, .. } = result;
        let sources = published_sources(&self.log, definition, provenance).await?;
        let recounted = recount(&self.log, definition, &provenance.cut, &sources, self.threads, |_| {}).await?;
        if recounted.core != *core || recounted.provenance.chains != provenance.chains {
            return Err(ArchiveError::Differs { proposal });
        }
        let Recounted { ballots, powers, signatures, .. } = recounted;
        let derived = Arc::new(Derived { ballots, powers, signatures });
        self.remember_shared(proposal, Arc::clone(&derived)).await;
        Ok(derived)
    }
}

/// Collects lines into bytes and counts them.
#[derive(Debug, Default)]
pub struct ArchiveWriter {
    lines: u64,
    bytes: Vec<u8>,
}

impl ArchiveWriter {
    /// Header, definition, cut and, where the proposal reads chains, pins.
    pub fn open(&mut self, definition: &Definition, result: &PublishedResult) {
        self.push(&ArchiveLine::Header { proposal: definition.proposal().id() });
        self.push(&ArchiveLine::Definition(Box::new(definition.clone())));
        self.push(&ArchiveLine::Cut(result.provenance.cut.clone()));
        if let Some(chains) = &result.provenance.chains {
            self.push(&ArchiveLine::Pins(chains.pins.clone()));
        }
    }

    /// One line.
    pub fn push(&mut self, line: &ArchiveLine) {
        self.lines += 1;
        self.bytes.extend_from_slice(archive::encode(line).as_bytes());
        self.bytes.push(b'\n');
    }

    /// Result and end.
    pub fn close(&mut self, result: &PublishedResult) {
        self.push(&ArchiveLine::Result(Box::new(result.clone())));
        self.push(&ArchiveLine::End { lines: self.lines });
    }

    /// The bytes since the last call.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }

    /// Whether there are enough bytes for a chunk.
    pub const fn is_full(&self) -> bool {
        self.bytes.len() >= CHUNK_BYTES_MIN
    }
}

/// Why an archive under way ends before its end.
#[derive(Debug)]
enum Stopped {
    /// The reader went away and needs nothing more.
    Gone,
    /// What the reader is told.
    Failed(ArchiveError),
}

impl From<ReadError> for Stopped {
    fn from(error: ReadError) -> Self {
        Self::Failed(error.into())
    }
}

/// One archive under way.
struct Sending {
    log: Log,
    chunks: Chunks,
    for_error: mpsc::OwnedPermit<Result<Vec<u8>, ArchiveError>>,
    shutdown: Shutdown,
}

impl Sending {
    async fn run(
        self,
        _place: OwnedSemaphorePermit,
        definition: Arc<Definition>,
        result: Arc<PublishedResult>,
        derived: Arc<Derived>,
    ) {
        let Self { log, mut chunks, for_error, shutdown } = self;
        let sent = tokio::select! {
            () = shutdown.requested() => Err(Stopped::Failed(ArchiveError::ShuttingDown)),
            sent = chunks.send_archive(&log, &definition, &result, &derived) => sent,
        };
        if let Err(Stopped::Failed(problem)) = sent {
            let proposal = result.core.proposal;
            let text = telemetry::chain(&problem);
            match problem {
                ArchiveError::ShuttingDown => info!(%proposal, reason = text, "an archive was not sent to its end"),
                ArchiveError::ReaderStalled => warn!(%proposal, reason = text, "an archive was not sent to its end"),
                ArchiveError::UnknownProposal { .. }
                | ArchiveError::NotFinal { .. }
                | ArchiveError::Recount(_)
                | ArchiveError::Evidence(_)
                | ArchiveError::Differs { .. }
                | ArchiveError::Busy
                | ArchiveError::Read(_) => error!(%proposal, error = text, "an archive was not sent to its end"),
            }
            for_error.send(Err(problem));
        }
    }
}

/// Lines on their way to a reader.
struct Chunks {
    sender: mpsc::Sender<Result<Vec<u8>, ArchiveError>>,
    writer: ArchiveWriter,
}

impl Chunks {
    async fn send_archive(
        &mut self,
        log: &Log,
        definition: &Definition,
        result: &PublishedResult,
        derived: &Derived,
    ) -> Result<(), Stopped> {
        self.writer.open(definition, result);
        if result.provenance.chains.is_some() {
            for (voter, power) in &derived.powers {
                self.writer.push(&ArchiveLine::Power(ArchivedPower { voter: *voter, power: *power }));
                self.send_if_full().await?;
            }
        }
        for signature in &derived.signatures {
            self.writer.push(&ArchiveLine::ContractSignature(*signature));
            self.send_if_full().await?;
        }
        self.send_records(log, result).await?;
        for ballot in &derived.ballots {
            self.writer.push(&ArchiveLine::Ballot(ballot.clone()));
            self.send_if_full().await?;
        }
        self.writer.close(result);
        self.send().await
    }

    async fn send_records(&mut self, log: &Log, result: &PublishedResult) -> Result<(), Stopped> {
        let cut = &result.provenance.cut;
        for (partition, cut_partition) in (0..).zip(&cut.partitions) {
            let mut records = RecordsBelow::new(log, cut.proposal, partition, cut_partition.end_offset)?;
            loop {
                let batch = records.next_batch().await?;
                if batch.is_empty() {
                    break;
                }
                for record in batch {
                    self.writer.push(&ArchiveLine::Record(record));
                    self.send_if_full().await?;
                }
            }
        }
        Ok(())
    }

    async fn send_if_full(&mut self) -> Result<(), Stopped> {
        if self.writer.is_full() { self.send().await } else { Ok(()) }
    }

    async fn send(&mut self) -> Result<(), Stopped> {
        match timeout(READER_WAIT_MAX, self.sender.send(Ok(self.writer.take()))).await {
            Ok(sent) => sent.map_err(|_| Stopped::Gone),
            Err(_) => Err(Stopped::Failed(ArchiveError::ReaderStalled)),
        }
    }
}

//! Archives of final proposals: JSON lines of `wire::archive`, the same bytes for the same log.
//!
//! Records are read from the log as they are sent, so memory does not grow with them. Standing ballots are no part of
//! the log; they are derived again by a recount, whose signature checks cost far more than sending the file. So the
//! ballots of the last few archives are remembered (the closing hands over those it has just counted), and one recount
//! runs at a time, whoever asks: a crowd of auditors costs one.

use std::{collections::VecDeque, num::NonZeroUsize, sync::Arc};

use pnyx_backbone::{
    log::{Log, LogError},
    proposals::Proposals,
};
use pnyx_core::{
    id::ProposalId,
    proposal::Definition,
    result::PublishedResult,
    wire::archive::{self, ArchiveLine, ArchivedBallot},
};
use thiserror::Error;
use tokio::sync::{Mutex, mpsc};
use tokio_stream::wrappers::ReceiverStream;

use crate::recounting::{RecordsBelow, RecountError, recount};

/// A chunk is sent once it has this many bytes: few wake-ups, and little memory for each reader.
pub const CHUNK_BYTES_MIN: usize = 64 * 1024;

/// Chunks that may wait for a slow reader.
const CHUNKS_QUEUED_MAX: usize = 2;

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
    /// The log gives another result than the published one.
    #[error(
        "the log no longer gives the published result of proposal {proposal}: run `pnyx recount` and have a person look"
    )]
    Differs {
        /// The proposal.
        proposal: ProposalId,
    },
    /// The records could not be read; the stream ends without its end line.
    #[error("the archive's records could not be read")]
    Log(#[from] LogError),
}

/// The bytes of an archive. A stream that fails ends without the end line, which every reader notices.
pub type ArchiveStream = ReceiverStream<Result<Vec<u8>, ArchiveError>>;

/// Makes archives.
#[derive(Debug)]
pub struct Archives {
    log: Log,
    proposals: Proposals,
    threads: NonZeroUsize,
    remembered: Mutex<VecDeque<(ProposalId, Arc<Vec<ArchivedBallot>>)>>,
    recounting: Mutex<()>,
}

impl Archives {
    /// Archives of what is in this log; a recount that is needed uses `threads` cores.
    pub fn new(log: Log, proposals: Proposals, threads: NonZeroUsize) -> Self {
        Self { log, proposals, threads, remembered: Mutex::default(), recounting: Mutex::default() }
    }

    /// The archive of a final proposal. Waits for a recount where its ballots are not remembered.
    pub async fn stream(&self, proposal: ProposalId) -> Result<ArchiveStream, ArchiveError> {
        let book = self.proposals.book();
        let decisions = book.get(proposal).ok_or(ArchiveError::UnknownProposal { proposal })?;
        let result = decisions.result.clone().ok_or(ArchiveError::NotFinal { proposal })?;
        let definition = Arc::clone(&decisions.definition);
        let ballots = self.ballots(&definition, &result).await?;
        let (sender, receiver) = mpsc::channel(CHUNKS_QUEUED_MAX);
        let sending = Sending { log: self.log.clone(), sender, writer: ArchiveWriter::default() };
        tokio::spawn(sending.send(definition, result, ballots));
        Ok(ReceiverStream::new(receiver))
    }

    /// Keeps the ballots of a recount for the next archives.
    pub(crate) async fn remember(&self, proposal: ProposalId, ballots: Vec<ArchivedBallot>) {
        self.remember_shared(proposal, Arc::new(ballots)).await;
    }

    async fn remember_shared(&self, proposal: ProposalId, ballots: Arc<Vec<ArchivedBallot>>) {
        if ballots.len() > REMEMBERED_BALLOTS_MAX {
            return;
        }
        let mut remembered = self.remembered.lock().await;
        remembered.retain(|(id, _)| *id != proposal);
        remembered.push_back((proposal, ballots));
        let count = |remembered: &VecDeque<(_, Arc<Vec<_>>)>| {
            remembered.iter().map(|(_, ballots)| ballots.len()).sum::<usize>()
        };
        while remembered.len() > REMEMBERED_PROPOSALS_MAX || count(&remembered) > REMEMBERED_BALLOTS_MAX {
            remembered.pop_front();
        }
    }

    async fn recall(&self, proposal: ProposalId) -> Option<Arc<Vec<ArchivedBallot>>> {
        let remembered = self.remembered.lock().await;
        remembered.iter().find(|(id, _)| *id == proposal).map(|(_, ballots)| Arc::clone(ballots))
    }

    async fn ballots(
        &self,
        definition: &Arc<Definition>,
        result: &PublishedResult,
    ) -> Result<Arc<Vec<ArchivedBallot>>, ArchiveError> {
        let proposal = result.core.proposal;
        if let Some(ballots) = self.recall(proposal).await {
            return Ok(ballots);
        }
        let _alone = self.recounting.lock().await;
        if let Some(ballots) = self.recall(proposal).await {
            return Ok(ballots);
        }
        let recounted = recount(&self.log, definition, &result.provenance.cut, self.threads, |_| {}).await?;
        if recounted.core != result.core {
            return Err(ArchiveError::Differs { proposal });
        }
        let ballots = Arc::new(recounted.ballots);
        self.remember_shared(proposal, Arc::clone(&ballots)).await;
        Ok(ballots)
    }
}

/// Collects lines into bytes and counts them.
#[derive(Debug, Default)]
pub struct ArchiveWriter {
    lines: u64,
    bytes: Vec<u8>,
}

impl ArchiveWriter {
    /// Header, definition and cut.
    pub fn open(&mut self, definition: &Definition, result: &PublishedResult) {
        self.push(&ArchiveLine::Header { proposal: definition.proposal().id() });
        self.push(&ArchiveLine::Definition(Box::new(definition.clone())));
        self.push(&ArchiveLine::Cut(result.provenance.cut.clone()));
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

/// The reader went away.
struct Gone;

/// One archive under way.
struct Sending {
    log: Log,
    sender: mpsc::Sender<Result<Vec<u8>, ArchiveError>>,
    writer: ArchiveWriter,
}

impl Sending {
    async fn send(
        mut self,
        definition: Arc<Definition>,
        result: Arc<PublishedResult>,
        ballots: Arc<Vec<ArchivedBallot>>,
    ) {
        self.writer.open(&definition, &result);
        // A reader that went away needs nothing more.
        let Ok(()) = self.send_records(&result).await else { return };
        for ballot in ballots.iter() {
            self.writer.push(&ArchiveLine::Ballot(ballot.clone()));
            let Ok(()) = self.send_if_full().await else { return };
        }
        self.writer.close(&result);
        let _ = self.sender.send(Ok(self.writer.take())).await;
    }

    async fn send_records(&mut self, result: &PublishedResult) -> Result<(), Gone> {
        let cut = &result.provenance.cut;
        for (partition, cut_partition) in (0..).zip(&cut.partitions) {
            let records = RecordsBelow::new(&self.log, cut.proposal, partition, cut_partition.end_offset);
            let mut records = match records {
                Ok(records) => records,
                Err(error) => return self.fail(error).await,
            };
            loop {
                let batch = match records.next_batch().await {
                    Ok(batch) => batch,
                    Err(error) => return self.fail(error).await,
                };
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

    async fn fail(&mut self, error: LogError) -> Result<(), Gone> {
        let _ = self.sender.send(Err(error.into())).await;
        Err(Gone)
    }

    async fn send_if_full(&mut self) -> Result<(), Gone> {
        if self.writer.is_full() {
            return self.sender.send(Ok(self.writer.take())).await.map_err(|_| Gone);
        }
        Ok(())
    }
}

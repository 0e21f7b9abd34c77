//! One archive on its way to a reader: from the log and what a recount derived, or as it is stored.

use std::time::Duration;

use futures_util::{Stream, StreamExt as _};
use pnyx_backbone::{archives::ArchiveStoreError, log::Log, shutdown::Shutdown, telemetry};
use pnyx_core::{
    id::ProposalId,
    proposal::Definition,
    result::PublishedResult,
    stored_archive::StoredArchive,
    wire::archive::{ArchiveLine, ArchivedPower},
};
use sha2::{Digest as _, Sha256};
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc},
    time::timeout,
};
use tokio_stream::wrappers::ReceiverStream;
use tracing::{error, info, warn};

use super::{ArchiveError, ArchiveStream, ArchiveWriter, Derived};
use crate::recounting::{ReadError, RecordsBelow};

/// Chunks that may wait for a slow reader.
const CHUNKS_QUEUED_MAX: usize = 2;

/// Why an archive under way ends before its end.
#[derive(Debug)]
pub(super) enum Stopped {
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

/// Room for a last word, which is kept for an error.
pub(super) type LastWord = mpsc::OwnedPermit<Result<Vec<u8>, ArchiveError>>;

/// A new stream: where chunks go in, each taken within `wait_max`, room for an error, and where they come out.
pub(super) fn chunks(wait_max: Duration) -> (Chunks, LastWord, ArchiveStream) {
    // One more, for the error: a reader who takes nothing must not mistake the end for a good one.
    let (sender, receiver) = mpsc::channel(CHUNKS_QUEUED_MAX + 1);
    let for_error = sender.clone().try_reserve_owned().expect("a new channel is empty and open");
    (Chunks { sender, writer: ArchiveWriter::default(), wait_max }, for_error, ReceiverStream::new(receiver))
}

/// One archive under way.
pub(super) struct Sending {
    pub(super) for_error: LastWord,
    pub(super) shutdown: Shutdown,
    pub(super) proposal: ProposalId,
}

impl Sending {
    pub(super) async fn run(self, _place: OwnedSemaphorePermit, send: impl Future<Output = Result<(), Stopped>>) {
        let Self { for_error, shutdown, proposal } = self;
        let sent = tokio::select! {
            () = shutdown.requested() => Err(Stopped::Failed(ArchiveError::ShuttingDown)),
            sent = send => sent,
        };
        if let Err(Stopped::Failed(problem)) = sent {
            let text = telemetry::chain(&problem);
            match problem {
                ArchiveError::ShuttingDown => info!(%proposal, reason = text, "an archive was not sent to its end"),
                ArchiveError::ReaderStalled { .. } => {
                    warn!(%proposal, reason = text, "an archive was not sent to its end")
                }
                ArchiveError::UnknownProposal { .. }
                | ArchiveError::NotFinal { .. }
                | ArchiveError::Recount(_)
                | ArchiveError::Evidence(_)
                | ArchiveError::Differs { .. }
                | ArchiveError::Busy
                | ArchiveError::Store(_)
                | ArchiveError::Damaged { .. }
                | ArchiveError::Read(_) => error!(%proposal, error = text, "an archive was not sent to its end"),
            }
            for_error.send(Err(problem));
        }
    }
}

/// Lines on their way to a reader.
pub(super) struct Chunks {
    sender: mpsc::Sender<Result<Vec<u8>, ArchiveError>>,
    writer: ArchiveWriter,
    wait_max: Duration,
}

impl Chunks {
    /// Pieces as they are stored. Bytes that are not those that were stored do not end well.
    pub(super) async fn send_stored(
        self,
        mut pieces: impl Stream<Item = Result<Vec<u8>, ArchiveStoreError>> + Unpin,
        stored: &StoredArchive,
    ) -> Result<(), Stopped> {
        let mut sha256 = Sha256::new();
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(|error| Stopped::Failed(error.into()))?;
            sha256.update(&piece);
            self.send_bytes(piece).await?;
        }
        if sha256.finalize()[..] == stored.sha256 {
            Ok(())
        } else {
            let (proposal, location) = (stored.proposal, stored.location().to_owned());
            Err(Stopped::Failed(ArchiveError::Damaged { proposal, location }))
        }
    }

    pub(super) async fn send_archive(
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
        let bytes = self.writer.take();
        self.send_bytes(bytes).await
    }

    async fn send_bytes(&self, bytes: Vec<u8>) -> Result<(), Stopped> {
        match timeout(self.wait_max, self.sender.send(Ok(bytes))).await {
            Ok(sent) => sent.map_err(|_| Stopped::Gone),
            Err(_) => Err(Stopped::Failed(ArchiveError::ReaderStalled { waited: self.wait_max })),
        }
    }
}

//! Archives that are kept outside the log: written once a result stands, read back, audited, and only then recorded, so
//! that whoever deletes topics can rely on it.
//!
//! The bytes are the same whoever writes them, so any number of processes may do this at once, and one that was killed
//! begins anew.

use std::{
    io::{self, BufReader, Cursor, Read},
    num::NonZeroUsize,
    time::Duration,
};

use futures_util::{Stream, StreamExt as _, TryStreamExt as _};
use pnyx_backbone::{
    archives::{ArchiveStore, ArchiveStoreError, ArchiveUpload},
    blocking::{RuntimeEnded, blocking},
    clock,
    proposals::DecideError,
    telemetry,
};
use pnyx_core::{
    decisions::{Decision, Recorded},
    id::{ProposalId, Voter},
    stored_archive::{LocationTooLong, StoredArchive},
};
use sha2::{Digest as _, Sha256};
use thiserror::Error;
use tokio::time::sleep;
use tokio_util::io::{StreamReader, SyncIoBridge};
use tracing::{info, warn};

use crate::{
    archive::{ArchiveError, Archives},
    audit::{AuditFailure, AuditOptions, audit},
};

/// Bytes that are read ahead of the audit.
const READ_AHEAD_BYTES: usize = 1024 * 1024;

/// Longest that a store may take nothing. What bounds its requests ends before: a part is given up after two minutes.
const STORE_WAIT_MAX: Duration = Duration::from_secs(5 * 60);

/// How long to wait before what seems lasting is believed: a broker that has just come back may not know its topics for a
/// moment, and to a process that has just begun that looks like topics that are gone.
const LASTING_AGAIN: Duration = Duration::from_secs(5);

/// Why an archive is not kept.
#[derive(Debug, Error)]
pub enum StoringError {
    /// It could not be made.
    #[error("the archive could not be made")]
    Archive(#[from] ArchiveError),
    /// The store does not take or give it.
    #[error("the archive could not be stored")]
    Store(#[from] ArchiveStoreError),
    /// What was read back is not what was written.
    #[error("the archive {location} was read back and is not valid")]
    Invalid {
        /// Where it was stored.
        location: String,
        /// What is wrong with it.
        #[source]
        failure: Box<AuditFailure>,
    },
    /// As valid as what was written, but not the same.
    #[error("the archive {location} was read back and has other bytes than were written")]
    Changed {
        /// Where it was stored.
        location: String,
    },
    /// Another archive of the same proposal stands in the log.
    #[error("the archive {location} has other bytes than the one that stands in the log: a person has to look")]
    Conflicts {
        /// Where it was stored.
        location: String,
    },
    /// No record can hold its location.
    #[error("the archive cannot be recorded")]
    Location(#[from] LocationTooLong),
    /// It is kept, and nobody knows it yet.
    #[error("that the archive is kept could not be recorded")]
    Decide(#[from] DecideError),
    /// The process ends.
    #[error(transparent)]
    Ended(#[from] RuntimeEnded),
}

impl StoringError {
    /// Whether trying again soon would end the same: topics are gone or damaged, or the log holds something else than was
    /// counted. A person has to look.
    pub fn is_lasting(&self) -> bool {
        match self {
            Self::Archive(error) => error.is_lasting(),
            Self::Conflicts { .. } | Self::Location(_) => true,
            Self::Store(_) | Self::Invalid { .. } | Self::Changed { .. } | Self::Decide(_) | Self::Ended(_) => false,
        }
    }
}

/// Bytes, and how many there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sum {
    bytes: u64,
    sha256: [u8; 32],
}

impl Archives {
    /// Keeps the archive of a final proposal where archives are kept, unless that is only in the log or was done before.
    ///
    /// # Errors
    /// If it could not be made, stored, read back or recorded. Doing it again harms nothing; what is lasting was tried twice.
    pub async fn keep(&self, proposal: ProposalId) -> Result<(), StoringError> {
        match self.keep_once(proposal).await {
            Err(error) if error.is_lasting() => {
                let problem = telemetry::chain(&error);
                warn!(%proposal, problem, "the archive cannot be stored, it is tried once more to be sure");
                sleep(LASTING_AGAIN).await;
                self.keep_once(proposal).await
            }
            kept => kept,
        }
    }

    async fn keep_once(&self, proposal: ProposalId) -> Result<(), StoringError> {
        let Some(place) = self.place() else { return Ok(()) };
        let book = self.proposals.book();
        let Some(decisions) = book.get(proposal) else {
            return Err(ArchiveError::UnknownProposal { proposal }.into());
        };
        if decisions.archive.is_some() {
            return Ok(());
        }
        let key = decisions.result.as_ref().ok_or(ArchiveError::NotFinal { proposal })?.key;
        let store = ArchiveStore::open(place)?;
        info!(%proposal, place = place.words(), "storing the archive");
        let written = self.write(&store, proposal).await?;
        compare(written, read_back(&store, proposal, key, self.threads).await?, store.location(proposal))?;
        let (Sum { bytes, sha256 }, location) = (written, store.location(proposal));
        info!(%proposal, location, bytes, "the archive is stored and valid");
        let stored = StoredArchive::new(proposal, location, bytes, sha256, clock::now())?;
        match self.proposals.decide(Decision::Archive(stored)).await? {
            Recorded::Stands | Recorded::Repeated => Ok(()),
            Recorded::Conflicts | Recorded::Unknown => {
                Err(StoringError::Conflicts { location: store.location(proposal) })
            }
        }
    }

    async fn write(&self, store: &ArchiveStore, proposal: ProposalId) -> Result<Sum, StoringError> {
        // Before there is an archive: a store that is away must not cost a recount each time.
        let mut upload = store.upload(proposal).await?;
        let copied = async { copy(self.stream_log(proposal, STORE_WAIT_MAX).await?, &mut upload).await };
        match copied.await {
            Ok(sum) => {
                upload.finish().await?;
                Ok(sum)
            }
            Err(error) => {
                if let Err(abort) = upload.abort().await {
                    warn!(%proposal, %abort, "parts of an archive that was given up may be left in the store");
                }
                Err(error)
            }
        }
    }
}

/// Audits what is stored, as a stranger would; `key` signs for the platform.
async fn read_back(
    store: &ArchiveStore,
    proposal: ProposalId,
    key: Voter,
    threads: NonZeroUsize,
) -> Result<Sum, StoringError> {
    let (_, pieces) = store.read(proposal).await?;
    let pieces = pieces.map_ok(Cursor::new).map_err(io::Error::other);
    let reader = SyncIoBridge::new(StreamReader::new(Box::pin(pieces)));
    let options = AuditOptions { keys: vec![key], threads, asks_again: false };
    let location = store.location(proposal);
    blocking(move || {
        let mut summing = Summing { reader, bytes: 0, sha256: Sha256::new() };
        let read = BufReader::with_capacity(READ_AHEAD_BYTES, &mut summing);
        match audit(read, &[], &options, &mut |_| {}) {
            Ok(_) => Ok(Sum { bytes: summing.bytes, sha256: summing.sha256.finalize().into() }),
            Err(failure) => Err(StoringError::Invalid { location, failure: Box::new(failure) }),
        }
    })
    .await?
}

/// An archive that is valid must also be the one that was written.
fn compare(written: Sum, read: Sum, location: String) -> Result<(), StoringError> {
    if read == written { Ok(()) } else { Err(StoringError::Changed { location }) }
}

async fn copy(
    mut pieces: impl Stream<Item = Result<Vec<u8>, ArchiveError>> + Unpin,
    upload: &mut ArchiveUpload,
) -> Result<Sum, StoringError> {
    let (mut sha256, mut bytes) = (Sha256::new(), 0_u64);
    while let Some(piece) = pieces.next().await {
        let piece = piece?;
        sha256.update(&piece);
        bytes = bytes.saturating_add(piece.len() as u64);
        upload.push(piece).await?;
    }
    Ok(Sum { bytes, sha256: sha256.finalize().into() })
}

/// Sums up what is read.
struct Summing<R> {
    reader: R,
    bytes: u64,
    sha256: Sha256,
}

impl<R: Read> Read for Summing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.sha256.update(&buffer[..count]);
        self.bytes = self.bytes.saturating_add(count as u64);
        Ok(count)
    }
}

#[cfg(test)]
mod tests;

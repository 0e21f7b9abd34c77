//! Where archives of finished proposals are kept outside the log: files in a folder, or objects in a bucket of S3 or of
//! something that speaks like it. One object a proposal, written once, the same bytes whoever writes it.
//!
//! A store is opened for each archive and not kept: keys and authorities that were replaced meanwhile are taken without a
//! restart, and opening costs nothing beside an archive.

mod error;
mod place;

use std::{ops::Range, sync::Arc};

use futures_util::{Stream, TryStreamExt as _, stream};
use object_store::{MultipartUpload as _, ObjectStore, ObjectStoreExt as _, buffered::BufWriter, path::Path};
use pnyx_core::id::ProposalId;
use tokio::io::AsyncWriteExt as _;

pub use error::ArchiveStoreError;
pub use place::{ArchivePlace, S3Place};

/// What the name of an archive ends in: it is made of lines of JSON.
const SUFFIX: &str = "jsonl";

/// Bytes that are written with one request: S3 takes 10,000 parts at most, so this allows archives of 80 GB, and no request
/// lasts long.
const PART_BYTES: usize = 8 * 1024 * 1024;

/// Bytes that are read with one request: each of many readers keeps a few such pieces in memory.
const PIECE_BYTES: u64 = 1024 * 1024;

/// Parts that are on their way at once: memory for so many is needed.
const PARTS_IN_FLIGHT_MAX: usize = 2;

/// Archives that were stored, and room for more.
#[derive(Debug, Clone)]
pub struct ArchiveStore {
    objects: Arc<dyn ObjectStore>,
    /// What names of objects begin with.
    prefix: Path,
    /// What locations begin with, for people; nothing where they are names of files.
    place: Option<String>,
}

impl ArchiveStore {
    /// Opens the store of a place; a bucket is not asked for anything yet.
    ///
    /// # Errors
    /// If the folder is not there, a file with keys cannot be read, or the place cannot be one.
    pub fn open(place: &ArchivePlace) -> Result<Self, ArchiveStoreError> {
        place.open()
    }

    /// Where the archive of a proposal is, for people.
    pub fn location(&self, proposal: ProposalId) -> String {
        let path = self.path(proposal);
        self.place.as_ref().map_or_else(|| path.to_string(), |place| format!("{place}/{path}"))
    }

    /// Finds out whether an archive could be written now, without writing any: one is begun and given up at once.
    ///
    /// # Errors
    /// If the store is away, or does not take it from us.
    pub async fn probe(&self, proposal: ProposalId) -> Result<(), ArchiveStoreError> {
        let tried = async { self.objects.put_multipart(&self.path(proposal)).await?.abort().await };
        tried.await.map_err(|source| ArchiveStoreError::Write { location: self.location(proposal), source })
    }

    /// Begins to write an archive. It is there once [`ArchiveUpload::finish`] has returned, and what was there before stays
    /// until then.
    pub fn upload(&self, proposal: ProposalId) -> ArchiveUpload {
        let writer = BufWriter::with_capacity(Arc::clone(&self.objects), self.path(proposal), PART_BYTES);
        ArchiveUpload { writer: writer.with_max_concurrency(PARTS_IN_FLIGHT_MAX), location: self.location(proposal) }
    }

    /// How many bytes an archive has, and these, in pieces.
    ///
    /// # Errors
    /// If there is none, or the store does not answer. A piece that fails ends the stream.
    pub async fn read(
        &self,
        proposal: ProposalId,
    ) -> Result<(u64, impl Stream<Item = Result<Vec<u8>, ArchiveStoreError>> + Send + use<>), ArchiveStoreError> {
        let (path, location) = (self.path(proposal), self.location(proposal));
        let failed = move |source| ArchiveStoreError::Read { location: location.clone(), source };
        let bytes = self.objects.head(&path).await.map_err(&failed)?.size;
        let objects = Arc::clone(&self.objects);
        let pieces = stream::try_unfold(0, move |start: u64| {
            let (objects, path) = (Arc::clone(&objects), path.clone());
            async move {
                let Range { start, end } = start..bytes.min(start.saturating_add(PIECE_BYTES));
                if start == end {
                    return Ok(None);
                }
                let piece = objects.get_range(&path, start..end).await?;
                Ok(Some((Vec::from(piece), end)))
            }
        });
        Ok((bytes, pieces.map_err(failed)))
    }

    fn path(&self, proposal: ProposalId) -> Path {
        self.prefix.clone().join(format!("{proposal}.{SUFFIX}"))
    }
}

/// An archive that is being written.
#[derive(Debug)]
pub struct ArchiveUpload {
    writer: BufWriter,
    location: String,
}

impl ArchiveUpload {
    /// Takes more bytes; waits while too many are on their way.
    ///
    /// # Errors
    /// If the store does not take them.
    pub async fn push(&mut self, bytes: Vec<u8>) -> Result<(), ArchiveStoreError> {
        self.writer.put(bytes.into()).await.map_err(|source| self.failed(source))
    }

    /// Ends it: from now on it is there.
    ///
    /// # Errors
    /// If the store does not take it.
    pub async fn finish(mut self) -> Result<(), ArchiveStoreError> {
        self.writer.shutdown().await.map_err(|error| {
            // Its own error in the clothes of an I/O error.
            self.failed(object_store::Error::Generic { store: "archives", source: Box::new(error) })
        })
    }

    /// Gives it up, so that no parts of it are left behind.
    ///
    /// # Errors
    /// If the store does not answer; parts may be left then.
    pub async fn abort(mut self) -> Result<(), ArchiveStoreError> {
        self.writer.abort().await.map_err(|source| self.failed(source))
    }

    fn failed(&self, source: object_store::Error) -> ArchiveStoreError {
        ArchiveStoreError::Write { location: self.location.clone(), source }
    }
}

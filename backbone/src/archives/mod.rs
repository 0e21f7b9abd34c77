//! Where archives of finished proposals are kept outside the log: files in a folder, or objects in a bucket of S3 or of
//! something that speaks like it. One object a proposal, written once, the same bytes whoever writes it.
//!
//! A store is opened for each archive and not kept: keys and authorities that were replaced meanwhile are taken without a
//! restart, and opening costs nothing beside an archive.

mod error;
mod place;

use std::{ops::Range, sync::Arc};

use futures_util::{Stream, TryStreamExt as _, stream};
use object_store::{ObjectStore, ObjectStoreExt as _, WriteMultipart, path::Path};
use pnyx_core::id::ProposalId;

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

    /// Begins to write an archive. It is there once [`ArchiveUpload::finish`] has returned, and what was there before stays
    /// until then. Whoever does not come to its end gives it up with [`ArchiveUpload::abort`].
    ///
    /// # Errors
    /// If the store is away, or does not take it from us.
    pub async fn upload(&self, proposal: ProposalId) -> Result<ArchiveUpload, ArchiveStoreError> {
        let location = self.location(proposal);
        match self.objects.put_multipart(&self.path(proposal)).await {
            Ok(upload) => {
                Ok(ArchiveUpload { parts: WriteMultipart::new_with_chunk_size(upload, PART_BYTES), location })
            }
            Err(source) => Err(ArchiveStoreError::Write { location, source }),
        }
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
    parts: WriteMultipart,
    location: String,
}

impl ArchiveUpload {
    /// Takes more bytes; waits while too many are on their way.
    ///
    /// # Errors
    /// If the store does not take them.
    pub async fn push(&mut self, bytes: Vec<u8>) -> Result<(), ArchiveStoreError> {
        if let Err(source) = self.parts.wait_for_capacity(PARTS_IN_FLIGHT_MAX).await {
            return Err(ArchiveStoreError::Write { location: self.location.clone(), source });
        }
        self.parts.put(bytes.into());
        Ok(())
    }

    /// Ends it: from now on it is there.
    ///
    /// # Errors
    /// If the store does not take it.
    pub async fn finish(self) -> Result<(), ArchiveStoreError> {
        let Self { parts, location } = self;
        let finished = parts.finish().await;
        finished.map(drop).map_err(|source| ArchiveStoreError::Write { location, source })
    }

    /// Gives it up, so that no parts of it are left behind: first those end that are on their way, because a store may keep
    /// one that comes to its end later.
    ///
    /// # Errors
    /// If the store does not answer; parts may be left then.
    pub async fn abort(self) -> Result<(), ArchiveStoreError> {
        let Self { mut parts, location } = self;
        // Each failure is the end of one of them.
        while parts.wait_for_capacity(1).await.is_err() {}
        parts.abort().await.map_err(|source| ArchiveStoreError::Write { location, source })
    }
}

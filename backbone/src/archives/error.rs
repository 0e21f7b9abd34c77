//! What goes wrong with stored archives.

use std::{io, path::PathBuf};

use thiserror::Error;

/// Why an archive could not be stored or read.
#[derive(Debug, Error)]
pub enum ArchiveStoreError {
    /// The place is none.
    #[error("archives cannot be kept in {place}")]
    Open {
        /// Which place.
        place: String,
        /// Why not.
        #[source]
        source: object_store::Error,
    },
    /// A file with a key or with authorities cannot be used.
    #[error("{} cannot be read", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The store did not take it.
    #[error("the archive {location} could not be written")]
    Write {
        /// Which one.
        location: String,
        /// Why not.
        #[source]
        source: object_store::Error,
    },
    /// The store did not give it.
    #[error("the archive {location} could not be read")]
    Read {
        /// Which one.
        location: String,
        /// Why not.
        #[source]
        source: object_store::Error,
    },
}

//! Where the archive of a proposal was stored, by whoever stored it, read it back and audited it.

use thiserror::Error;

use crate::{id::ProposalId, time::TimestampMs};

/// Longest location, in bytes: twice what the longest bucket and key of S3 take.
pub const LOCATION_BYTES_MAX: usize = 2_048;

/// An archive that is kept outside the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredArchive {
    /// The proposal.
    pub proposal: ProposalId,
    /// Where it is, for people: a URL such as `s3://bucket/key`, or a file's name in the folder of archives.
    location: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// SHA-256 of its bytes.
    pub sha256: [u8; 32],
    /// When it had been read back and was valid.
    pub verified_at: TimestampMs,
}

/// A location is longer than [`LOCATION_BYTES_MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the location of an archive has {bytes} bytes, at most {LOCATION_BYTES_MAX} are allowed")]
pub struct LocationTooLong {
    /// Its length in bytes.
    pub bytes: usize,
}

impl StoredArchive {
    /// What was stored.
    ///
    /// # Errors
    /// If the location is longer than [`LOCATION_BYTES_MAX`].
    pub fn new(
        proposal: ProposalId,
        location: String,
        bytes: u64,
        sha256: [u8; 32],
        verified_at: TimestampMs,
    ) -> Result<Self, LocationTooLong> {
        if location.len() > LOCATION_BYTES_MAX {
            return Err(LocationTooLong { bytes: location.len() });
        }
        Ok(Self { proposal, location, bytes, sha256, verified_at })
    }

    /// Where it is, for people.
    pub fn location(&self) -> &str {
        &self.location
    }
}

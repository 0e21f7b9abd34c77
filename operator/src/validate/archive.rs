//! Where archives are kept.

use pnyx_crds::{ArchiveSpec, LogArchiveSpec, PersistentVolumeClaimArchiveSpec, S3ArchiveSpec, SecretKeyRef};

use super::{edge::port, problems::Problems};

/// Where archives are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ArchiveStorage {
    /// Nowhere: they are made from the log.
    Log,
    /// In files of a claim of this name.
    Claim(String),
    /// In a bucket.
    Bucket(Box<ArchiveBucket>),
}

/// A bucket of S3 or of something that speaks like it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveBucket {
    /// Where it answers.
    pub endpoint: String,
    /// The port of that.
    pub port: u16,
    /// The bucket.
    pub bucket: String,
    /// The region that requests are signed for.
    pub region: String,
    /// What names of objects begin with.
    pub prefix: String,
    /// The access key's id.
    pub access_key_id: SecretKeyRef,
    /// The access key.
    pub secret_access_key: SecretKeyRef,
    /// Authorities that may sign the server's certificate; `None` is those of the system.
    pub authorities: Option<SecretKeyRef>,
}

impl ArchiveStorage {
    /// Whether they are kept outside the log.
    pub const fn is_outside_log(&self) -> bool {
        match self {
            Self::Log => false,
            Self::Claim(_) | Self::Bucket(_) => true,
        }
    }
}

/// Reads `spec.archive`. `None` is a problem.
pub(super) fn archive(spec: Option<&ArchiveSpec>, problems: &mut Problems) -> Option<ArchiveStorage> {
    let Some(ArchiveSpec { log, persistent_volume_claim, s3 }) = spec else { return Some(ArchiveStorage::Log) };
    match (log, persistent_volume_claim, s3) {
        (Some(LogArchiveSpec {}), None, None) => Some(ArchiveStorage::Log),
        (None, Some(PersistentVolumeClaimArchiveSpec { claim_name }), None) => {
            Some(ArchiveStorage::Claim(claim_name.clone()))
        }
        (None, None, Some(s3)) => bucket(s3, problems).map(Box::new).map(ArchiveStorage::Bucket),
        (_, _, _) => {
            problems.add("spec.archive", "exactly one of log, persistentVolumeClaim and s3 must be set");
            None
        }
    }
}

fn bucket(spec: &S3ArchiveSpec, problems: &mut Problems) -> Option<ArchiveBucket> {
    let port = problems.keep("spec.archive.s3.endpoint", port(&spec.endpoint))?;
    Some(ArchiveBucket {
        endpoint: spec.endpoint.clone(),
        port,
        bucket: spec.bucket.clone(),
        region: spec.region.clone(),
        prefix: spec.prefix.clone(),
        access_key_id: spec.access_key_id_secret_ref.clone(),
        secret_access_key: spec.secret_access_key_secret_ref.clone(),
        authorities: spec.ca_secret_ref.clone(),
    })
}

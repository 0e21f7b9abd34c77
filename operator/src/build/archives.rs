//! The volume with archives, where these are files of a claim.

use k8s_openapi::api::core::v1::{PersistentVolumeClaimVolumeSource, Volume, VolumeMount};

use super::part::Part;
use crate::validate::ArchiveStorage;

/// Where archives are.
pub(super) const FOLDER: &str = "/var/lib/pnyx/archives";

/// What the volume is called.
const VOLUME: &str = "archives";

/// The claim, if the part reads one.
fn claim<'a>(part: &Part<'a>) -> Option<&'a str> {
    match &part.platform.archive {
        ArchiveStorage::Claim(name) if part.component.reads_archives() => Some(name),
        ArchiveStorage::Claim(_) | ArchiveStorage::Log | ArchiveStorage::Bucket(_) => None,
    }
}

/// The volume, if the part reads it.
pub(super) fn volume(part: &Part<'_>) -> Option<Volume> {
    let source = claim(part).map(|name| PersistentVolumeClaimVolumeSource {
        claim_name: name.to_owned(),
        // Said where it is mounted: a claim that is read here is written elsewhere.
        read_only: None,
    })?;
    Some(Volume { name: VOLUME.to_owned(), persistent_volume_claim: Some(source), ..Volume::default() })
}

/// Where it is mounted.
pub(super) fn mount(part: &Part<'_>) -> Option<VolumeMount> {
    claim(part)?;
    Some(VolumeMount {
        name: VOLUME.to_owned(),
        mount_path: FOLDER.to_owned(),
        read_only: (!part.component.writes_archives()).then_some(true),
        ..VolumeMount::default()
    })
}

//! The files of a pod: its configuration and the secrets that it needs.

use k8s_openapi::api::core::v1::{ConfigMapProjection, KeyToPath, ProjectedVolumeSource, Volume, VolumeProjection};

use super::{configuration, names, part::Part, secrets, trial};

/// Where the configuration and, in a folder of it, the secrets are.
pub(super) const FOLDER: &str = "/etc/pnyx";

/// The volume with all files.
pub(super) const VOLUME: &str = "configuration";

/// Files are for the group alone to read: a signing key that others may read is refused.
const FILE_MODE: i32 = 0o440;

/// Configuration and secrets in one volume, so that one never changes without the other being there.
pub(super) fn volume(part: &Part<'_>) -> Volume {
    let (key, path) = (configuration::FILE.to_owned(), configuration::FILE.to_owned());
    let configuration = ConfigMapProjection {
        name: names::child_name(&part.platform.name, configuration::SUFFIX),
        items: Some(vec![KeyToPath { key, path, ..KeyToPath::default() }]),
        optional: None,
    };
    let mut sources = vec![VolumeProjection { config_map: Some(configuration), ..VolumeProjection::default() }];
    sources.extend(trial::source(part));
    sources.extend(secrets::sources(part));
    let projected = ProjectedVolumeSource {
        default_mode: Some(FILE_MODE),
        sources: Some(sources),
        ..ProjectedVolumeSource::default()
    };
    Volume { name: VOLUME.to_owned(), projected: Some(projected), ..Volume::default() }
}

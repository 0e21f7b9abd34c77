//! Where a process keeps archives outside the log, as its file says. Whoever names no place makes them from the log.

use anyhow::{Context as _, bail, ensure};
use pnyx_backbone::{
    archives::{ArchivePlace, ArchiveStore, S3Place},
    telemetry,
};

use super::file::{ArchiveSection, S3Section};
use crate::screen;

/// What servers that know no regions expect.
const REGION_DEFAULT: &str = "us-east-1";

/// The place. It is opened once, so that what is wrong with it is said at the start; but a place that cannot be used holds no
/// result back, and may be there when it is needed.
pub(crate) fn place(section: &ArchiveSection) -> anyhow::Result<Option<ArchivePlace>> {
    let place = match section {
        ArchiveSection { folder: None, s3: None } => return Ok(None),
        ArchiveSection { folder: Some(folder), s3: None } => ArchivePlace::Folder(folder.clone()),
        ArchiveSection { folder: None, s3: Some(section) } => ArchivePlace::S3(s3(section)?),
        ArchiveSection { folder: Some(_), s3: Some(_) } => bail!("archive: folder and s3 exclude each other"),
    };
    if let Err(error) = ArchiveStore::open(&place) {
        let problem = telemetry::chain(&error);
        screen::error_line(&format!("archives can neither be stored nor read for now: {problem}"));
    }
    Ok(Some(place))
}

/// For a banner.
pub(crate) fn words(place: Option<&ArchivePlace>) -> String {
    place.map_or_else(|| "archives from the log".to_owned(), |place| format!("archives in {}", place.words()))
}

fn s3(section: &S3Section) -> anyhow::Result<S3Place> {
    let S3Section { endpoint, bucket, region, prefix, access_key_id_file, secret_access_key_file, ca_file } = section;
    let endpoint = endpoint.clone().context("archive.s3.endpoint: is required")?;
    let is_url = ["https://", "http://"].iter().any(|scheme| endpoint.starts_with(scheme));
    ensure!(is_url, "archive.s3.endpoint: must begin with https:// or http://");
    Ok(S3Place {
        endpoint,
        bucket: bucket.clone().context("archive.s3.bucket: is required")?,
        region: region.clone().unwrap_or_else(|| REGION_DEFAULT.to_owned()),
        prefix: prefix.clone().unwrap_or_default(),
        access_key_id_file: access_key_id_file.clone().context("archive.s3.accessKeyIdFile: is required")?,
        secret_access_key_file: secret_access_key_file
            .clone()
            .context("archive.s3.secretAccessKeyFile: is required")?,
        ca_file: ca_file.clone(),
    })
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn a_place_is_a_folder_or_a_bucket_and_what_is_wrong_is_named() {
        let section = |folder: Option<&str>, s3| ArchiveSection { folder: folder.map(PathBuf::from), s3 };
        let problem = |section: &ArchiveSection| format!("{:#}", place(section).unwrap_err());
        assert_eq!(place(&ArchiveSection::default()).unwrap(), None);
        let here = place(&section(Some("."), None)).unwrap();
        assert_eq!(words(here.as_ref()), "archives in .");
        assert_eq!(words(None), "archives from the log");

        assert!(place(&section(Some("/nowhere"), None)).is_ok(), "it may come, and no result waits for it");
        let both = section(Some("."), Some(S3Section::default()));
        assert_eq!(problem(&both), "archive: folder and s3 exclude each other");
        let mut bucket = S3Section::default();
        let mut refused = |change: &dyn Fn(&mut S3Section)| {
            change(&mut bucket);
            problem(&section(None, Some(bucket.clone())))
        };
        assert_eq!(refused(&|_| {}), "archive.s3.endpoint: is required");
        let scheme = refused(&|it| it.endpoint = Some("s3.example".to_owned()));
        assert_eq!(scheme, "archive.s3.endpoint: must begin with https:// or http://");
        let bucket = refused(&|it| it.endpoint = Some("https://s3.example".to_owned()));
        assert_eq!(bucket, "archive.s3.bucket: is required");
        assert_eq!(refused(&|it| it.bucket = Some("votes".to_owned())), "archive.s3.accessKeyIdFile: is required");
        let secret = refused(&|it| it.access_key_id_file = Some("/nowhere/id".into()));
        assert_eq!(secret, "archive.s3.secretAccessKeyFile: is required");
    }
}

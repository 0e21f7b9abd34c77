//! Places where archives may be kept, and how each is opened.

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use object_store::{
    Certificate, ClientOptions, ObjectStore, RetryConfig, aws::AmazonS3Builder, local::LocalFileSystem,
    path::Path as ObjectPath,
};

use super::{ArchiveStore, ArchiveStoreError};

/// Longest that one request may take: a part is 8 MiB.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// Longest that a connection may take to stand.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How often a request is tried again, with pauses that grow, and for how long at most: what is away for longer is said, and
/// whoever asked begins anew.
const RETRIES_MAX: usize = 5;
const RETRY_TIMEOUT: Duration = Duration::from_secs(60);

/// Most bytes of a file with a key or with authorities that are read: a hundred times what systems have.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Where archives are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ArchivePlace {
    /// Files in a folder, which must be there.
    Folder(PathBuf),
    /// Objects in a bucket.
    S3(S3Place),
}

/// A bucket of S3 or of something that speaks like it. Keys are in files, which are read whenever the store is opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Place {
    /// Where it answers; the bucket is named in the path.
    pub endpoint: String,
    /// The bucket.
    pub bucket: String,
    /// The region that requests are signed for.
    pub region: String,
    /// What names of objects begin with; may be empty.
    pub prefix: String,
    /// File with the access key's id.
    pub access_key_id_file: PathBuf,
    /// File with the access key.
    pub secret_access_key_file: PathBuf,
    /// Authorities that may sign the server's certificate, PEM; else the system's.
    pub ca_file: Option<PathBuf>,
}

impl ArchivePlace {
    /// Where it is, for people.
    pub fn words(&self) -> String {
        match self {
            Self::Folder(folder) => folder.display().to_string(),
            Self::S3(place) => format!("s3://{} at {}", place.bucket, place.endpoint),
        }
    }

    pub(super) fn open(&self) -> Result<ArchiveStore, ArchiveStoreError> {
        let failed = |source| ArchiveStoreError::Open { place: self.words(), source };
        let (objects, prefix, place): (Arc<dyn ObjectStore>, _, _) = match self {
            Self::Folder(folder) => {
                let files = LocalFileSystem::new_with_prefix(folder).map_err(failed)?.with_fsync(true);
                (Arc::new(files), ObjectPath::default(), None)
            }
            Self::S3(place) => {
                let prefix = ObjectPath::parse(&place.prefix).map_err(|error| failed(error.into()))?;
                let objects = place.builder()?.build().map_err(failed)?;
                (Arc::new(objects), prefix, Some(format!("s3://{}", place.bucket)))
            }
        };
        Ok(ArchiveStore { objects, prefix, place })
    }
}

impl S3Place {
    fn builder(&self) -> Result<AmazonS3Builder, ArchiveStoreError> {
        let mut client = ClientOptions::new()
            .with_timeout(REQUEST_TIMEOUT)
            .with_connect_timeout(CONNECT_TIMEOUT)
            .with_allow_http(self.endpoint.starts_with("http://"));
        if let Some(path) = &self.ca_file {
            let refused = |error| ArchiveStoreError::File { path: path.clone(), source: io::Error::other(error) };
            for authority in Certificate::from_pem_bundle(text(path)?.as_bytes()).map_err(refused)? {
                client = client.with_root_certificate(authority);
            }
        }
        let retry = RetryConfig { max_retries: RETRIES_MAX, retry_timeout: RETRY_TIMEOUT, ..RetryConfig::default() };
        Ok(AmazonS3Builder::new()
            .with_endpoint(&self.endpoint)
            .with_bucket_name(&self.bucket)
            .with_region(&self.region)
            .with_access_key_id(text(&self.access_key_id_file)?.trim())
            .with_secret_access_key(text(&self.secret_access_key_file)?.trim())
            .with_client_options(client)
            .with_retry(retry))
    }
}

fn text(path: &Path) -> Result<String, ArchiveStoreError> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(FILE_BYTES_MAX).read_to_string(&mut text));
    read.map_err(|source| ArchiveStoreError::File { path: path.to_owned(), source })?;
    Ok(text)
}

//! Archives in a folder and in a bucket of a real server: what was stored is what is read, nothing half written is ever seen,
//! and what is wrong is said in words that help.
#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

use std::{
    error::Error as _,
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use futures_util::TryStreamExt as _;
use pnyx_backbone::{
    archives::{ArchivePlace, ArchiveStore, ArchiveStoreError, S3Place},
    telemetry,
};
use pnyx_core::id::ProposalId;
use pnyx_testbed::{
    Authority,
    s3::{S3_REGION, S3Options, S3Server},
};
use tempfile::TempDir;

/// More than two parts, and no whole number of them.
const PIECES: usize = 300;
const PIECE_BYTES: usize = 70_001;

/// Where the server of the test bed keeps the parts of objects that are being written, in the bucket's folder.
const PARTS_FOLDER: &str = ".sgwtmp";

/// A part of a few megabytes is there long before this.
const PATIENCE: Duration = Duration::from_secs(20);

fn proposal(number: u8) -> ProposalId {
    ProposalId::new([number; 32])
}

/// A bucket, with files for the keys in a folder.
fn bucket(server: &S3Server, folder: &Path, ca_file: Option<&Path>) -> S3Place {
    let (access_key_id_file, secret_access_key_file) = (folder.join("id"), folder.join("key"));
    fs::write(&access_key_id_file, format!("{}\n", server.access_key_id())).unwrap();
    fs::write(&secret_access_key_file, server.secret_access_key()).unwrap();
    S3Place {
        endpoint: server.endpoint(),
        bucket: server.bucket().to_owned(),
        region: S3_REGION.to_owned(),
        prefix: "votes/archives".to_owned(),
        access_key_id_file,
        secret_access_key_file,
        ca_file: ca_file.map(Path::to_owned),
    }
}

/// Bytes that differ from piece to piece.
fn pieces() -> impl Iterator<Item = Vec<u8>> {
    (0..PIECES).map(|number| number.to_be_bytes().iter().copied().cycle().take(PIECE_BYTES).collect())
}

/// All files of a folder and of those in it; none where there is no such folder.
fn files_below(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

async fn store(place: &ArchivePlace, number: u8) -> Result<String, ArchiveStoreError> {
    let store = ArchiveStore::open(place)?;
    let mut upload = store.upload(proposal(number)).await?;
    for piece in pieces() {
        upload.push(piece).await?;
    }
    upload.finish().await?;
    Ok(store.location(proposal(number)))
}

async fn read(place: &ArchivePlace, number: u8) -> Result<Vec<u8>, ArchiveStoreError> {
    let (_, pieces) = ArchiveStore::open(place)?.read(proposal(number)).await?;
    pieces.try_concat().await
}

/// What a place has to do, wherever it is; `folder` is where its objects lie.
async fn check(place: &ArchivePlace, folder: &Path, location: &str) {
    let (name, whole) = (format!("{}.jsonl", proposal(1)), pieces().collect::<Vec<_>>().concat());
    assert_eq!(store(place, 1).await.unwrap(), format!("{location}{name}"));
    assert!(fs::read(folder.join(&name)).unwrap() == whole, "a file of these bytes");
    assert!(read(place, 1).await.unwrap() == whole);
    // Again, as another process may.
    store(place, 1).await.unwrap();
    assert!(read(place, 1).await.unwrap() == whole);
    let missing = read(place, 2).await.unwrap_err();
    assert!(matches!(missing, ArchiveStoreError::Read { .. }), "{missing:?}");
    // What is given up is nowhere.
    let mut upload = ArchiveStore::open(place).unwrap().upload(proposal(3)).await.unwrap();
    for piece in pieces() {
        upload.push(piece).await.unwrap();
    }
    upload.abort().await.unwrap();
    assert!(read(place, 3).await.is_err());
    // One that is only begun leaves nothing either, and the one that is there is left.
    for number in [1, 3] {
        ArchiveStore::open(place).unwrap().upload(proposal(number)).await.unwrap().abort().await.unwrap();
    }
    assert!(read(place, 1).await.unwrap() == whole);
    assert!(read(place, 3).await.is_err());
    // None is as good as a short one.
    let mut upload = ArchiveStore::open(place).unwrap().upload(proposal(4)).await.unwrap();
    upload.push(b"short".to_vec()).await.unwrap();
    upload.finish().await.unwrap();
    assert_eq!(read(place, 4).await.unwrap(), b"short");
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>();
    assert_eq!(entries.len(), 2, "nothing is left of what was given up: {entries:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_keeps_archives() {
    let folder = TempDir::new().unwrap();
    check(&ArchivePlace::Folder(folder.path().to_owned()), folder.path(), "").await;
    let nowhere = ArchivePlace::Folder(folder.path().join("nowhere"));
    let refused = ArchiveStore::open(&nowhere).unwrap_err();
    let said = telemetry::chain(&refused);
    assert!(said.contains("archives cannot be kept in") && said.contains("nowhere"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_keeps_archives() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (server, keys) = (S3Server::start(S3Options::new()).unwrap(), TempDir::new().unwrap());
    let place = bucket(&server, keys.path(), None);
    let location = format!("s3://{}/votes/archives/", server.bucket());
    check(&ArchivePlace::S3(place.clone()), &server.folder().join("votes/archives"), &location).await;
    let parts = || files_below(&server.folder().join(PARTS_FOLDER));
    assert!(parts().is_empty(), "nothing is left of what was given up: {:?}", parts());
    let mut upload = ArchiveStore::open(&ArchivePlace::S3(place.clone())).unwrap().upload(proposal(6)).await.unwrap();
    for piece in pieces() {
        upload.push(piece).await.unwrap();
    }
    let began = Instant::now();
    while parts().is_empty() {
        assert!(began.elapsed() < PATIENCE, "no part arrives");
        tokio::time::sleep(PATIENCE / 1_000).await;
    }
    upload.abort().await.unwrap();
    assert!(parts().is_empty(), "nothing is left of what was given up: {:?}", parts());

    // Keys are read again each time, so new ones are taken, and wrong ones noticed.
    fs::write(keys.path().join("key"), "guess-who-knocks").unwrap();
    let refused = telemetry::chain(&store(&ArchivePlace::S3(place.clone()), 5).await.unwrap_err());
    assert!(refused.contains("could not be written") && refused.contains("403"), "{refused}");
    let begun = ArchiveStore::open(&ArchivePlace::S3(place.clone())).unwrap().upload(proposal(5)).await.unwrap_err();
    assert!(telemetry::chain(&begun).contains("403"), "before any archive is made: {begun:?}");
    assert!(!refused.contains("guess-who-knocks"), "a secret is told");
    fs::write(keys.path().join("key"), server.secret_access_key()).unwrap();
    store(&ArchivePlace::S3(place.clone()), 5).await.unwrap();

    let another = ArchivePlace::S3(S3Place { bucket: "another".to_owned(), ..place.clone() });
    let refused = telemetry::chain(&store(&another, 5).await.unwrap_err());
    assert!(refused.contains("404") || refused.contains("403"), "{refused}");
    let unread = ArchivePlace::S3(S3Place { access_key_id_file: keys.path().join("none"), ..place });
    let refused = ArchiveStore::open(&unread).unwrap_err();
    assert!(matches!(&refused, ArchiveStoreError::File { .. }) && refused.source().is_some(), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_behind_tls_is_believed_by_its_authority() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (authority, stranger) = (Authority::new().unwrap(), Authority::new().unwrap());
    let options = S3Options::new().tls(&authority.issue("localhost").unwrap());
    let (server, keys) = (S3Server::start(options).unwrap(), TempDir::new().unwrap());
    let trusting =
        |authority: &Authority| ArchivePlace::S3(bucket(&server, keys.path(), Some(authority.certificate())));
    store(&trusting(&authority), 1).await.unwrap();
    assert_eq!(read(&trusting(&authority), 1).await.unwrap().len(), PIECES * PIECE_BYTES);
    let refused =
        telemetry::chain(&ArchiveStore::open(&trusting(&stranger)).unwrap().read(proposal(1)).await.err().unwrap());
    assert!(refused.contains("certificate"), "{refused}");
}

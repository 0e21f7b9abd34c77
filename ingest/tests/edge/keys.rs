//! The platform's key: its file and its place in the log.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
};

use axum::{body::Body, http::Request};
use pnyx_backbone::proposals::Proposals;
use pnyx_ingest::{Ingest, IngestConfig, KeyError, PlatformKey};
use serde_json::json;

use crate::support::Bed;

#[test]
fn a_key_is_made_once_for_its_owner_alone() {
    let dir = tempfile::tempdir().unwrap();
    let made = PlatformKey::load_or_create(dir.path()).unwrap();
    let file = dir.path().join("platform.key");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(PlatformKey::load_or_create(dir.path()).unwrap().address(), made.address());
    let other = tempfile::tempdir().unwrap();
    assert_ne!(PlatformKey::load_or_create(other.path()).unwrap().address(), made.address());
}

#[test]
fn a_key_that_others_may_read_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    PlatformKey::load_or_create(dir.path()).unwrap();
    let file = dir.path().join("platform.key");
    for open in [0o644, 0o604, 0o444, 0o602, 0o601, 0o660, 0o620, 0o777] {
        fs::set_permissions(&file, Permissions::from_mode(open)).unwrap();
        for error in [PlatformKey::load_or_create(dir.path()).unwrap_err(), PlatformKey::load(&file).unwrap_err()] {
            assert!(matches!(error, KeyError::OpenToOthers { mode, .. } if mode == open), "{open:o}: {error}");
            assert!(error.to_string().contains("chmod 600"), "{error}");
        }
    }
}

/// Kubernetes gives a secret to the group of the pod (`fsGroup`) with mode 0440, behind symbolic links.
#[test]
fn a_key_that_its_group_may_read_is_taken() {
    let dir = tempfile::tempdir().unwrap();
    let made = PlatformKey::load_or_create(dir.path()).unwrap();
    let (file, link) = (dir.path().join("platform.key"), dir.path().join("link"));
    std::os::unix::fs::symlink(&file, &link).unwrap();
    for closed in [0o440, 0o640, 0o400, 0o600] {
        fs::set_permissions(&file, Permissions::from_mode(closed)).unwrap();
        assert_eq!(PlatformKey::load(&link).unwrap().address(), made.address(), "{closed:o}");
    }
}

#[test]
fn a_damaged_key_is_never_replaced() {
    let dir = tempfile::tempdir().unwrap();
    PlatformKey::load_or_create(dir.path()).unwrap();
    let file = dir.path().join("platform.key");
    for text in ["", "0x12\n", "0000000000000000000000000000000000000000000000000000000000000001\n"] {
        fs::write(&file, text).unwrap();
        let error = PlatformKey::load_or_create(dir.path()).unwrap_err();
        assert!(matches!(error, KeyError::Malformed { .. }), "{error}");
        assert_eq!(fs::read_to_string(&file).unwrap(), text);
    }
    fs::write(&file, format!("0x{}\n", "00".repeat(32))).unwrap();
    assert!(matches!(PlatformKey::load_or_create(dir.path()).unwrap_err(), KeyError::Invalid { .. }));
}

#[tokio::test]
async fn keys_are_recorded_and_served_with_the_current_one_marked() {
    let bed = Bed::new().await;
    let old = bed.key.address();
    assert_eq!(bed.proposals.book().keys(), [old]);
    let other = tempfile::tempdir().unwrap();
    let new = PlatformKey::load_or_create(other.path()).unwrap();
    let proposals = Proposals::start(bed.log.clone(), &bed.shutdown).await.unwrap();
    for _ in 0..2 {
        let (config, log) = (IngestConfig::default(), bed.log.clone());
        Ingest::start(config, log, &proposals, new.clone(), &bed.shutdown, &Default::default()).await.unwrap();
    }
    let mut book = bed.proposals.watch();
    book.wait_for(|book| book.keys().len() == 2).await.unwrap();
    let answer = bed.send(Request::get("/v1/keys").body(Body::empty()).unwrap()).await;
    let keys = json!({ "keys": [
        { "address": old.to_string(), "current": true },
        { "address": new.address().to_string(), "current": false },
    ] });
    assert_eq!((answer.status, answer.body), (200, keys));
    assert!(bed.dir.path().join("platform.key").exists());
}

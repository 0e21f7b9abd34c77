//! What is noticed when an archive is read back, and what is worth trying again.

use std::fs;

use pnyx_backbone::{archives::ArchivePlace, log::LogError, log::Topic};
use pnyx_core::wire::archive::{self, ArchiveLine};
use tempfile::TempDir;

use super::*;
use crate::recounting::ReadError;

/// The archive whose bytes may never change.
const GOLDEN: &str = include_str!("../../../docs/golden/archive-weighted.jsonl");

/// The proposal of an archive, and whose key signed its result.
fn signed(archive: &str) -> (ProposalId, Voter) {
    let lines = archive.lines().map(|line| archive::decode(line).expect("a line of an archive"));
    let result = lines.into_iter().find_map(|line| match line {
        ArchiveLine::Result(result) => Some(result),
        _ => None,
    });
    result.map(|result| (result.core.proposal, result.key)).expect("it has a result")
}

/// What reading back says of these bytes in a folder.
async fn read(bytes: &str) -> Result<Sum, StoringError> {
    let (folder, (proposal, key)) = (TempDir::new().expect("a folder"), signed(GOLDEN));
    fs::write(folder.path().join(format!("{proposal}.jsonl")), bytes).expect("room");
    let store = ArchiveStore::open(&ArchivePlace::Folder(folder.path().to_owned())).expect("it is there");
    read_back(&store, proposal, key, NonZeroUsize::MIN).await
}

#[tokio::test]
async fn what_is_read_back_is_audited_and_compared() {
    let written = Sum { bytes: GOLDEN.len() as u64, sha256: Sha256::digest(GOLDEN).into() };
    let sum = read(GOLDEN).await.expect("it is valid");
    assert_eq!(sum, written);
    compare(written, sum, String::new()).expect("the same");

    let altered = GOLDEN.replacen("Oak", "Elm", 1);
    assert_ne!(altered, GOLDEN);
    let half = &GOLDEN[..GOLDEN.len() / 2];
    for wrong in [&*altered, half, ""] {
        let refused = read(wrong).await.expect_err("not what was written");
        let StoringError::Invalid { location, .. } = &refused else { panic!("{refused:?}") };
        assert!(location.ends_with(".jsonl") && !refused.is_lasting(), "{refused:?}");
    }
    let changed = compare(written, Sum { sha256: [0; 32], ..written }, "here".to_owned());
    assert!(matches!(changed, Err(StoringError::Changed { location }) if location == "here"));
}

#[test]
fn what_would_end_the_same_is_told_from_what_is_away() {
    let proposal = ProposalId::new([1; 32]);
    let topic = || Topic::ballots(proposal);
    let gone = || LogError::UnknownTopic { topic: topic() };
    let shrunk = LogError::Shrunk { topic: topic(), partitions: 1, before: 2 };
    let damaged = LogError::Damaged { topic: topic(), partition: 0, offset: 0 };
    for lasting in [
        StoringError::from(ArchiveError::Read(ReadError::Log(gone()))),
        StoringError::from(ArchiveError::Evidence(gone().into())),
        StoringError::from(ArchiveError::Read(ReadError::Log(shrunk))),
        StoringError::from(ArchiveError::Read(ReadError::Log(damaged))),
        StoringError::from(ArchiveError::Differs { proposal }),
        StoringError::Conflicts { location: String::new() },
    ] {
        assert!(lasting.is_lasting(), "{lasting:?}");
    }
    let stalled = ReadError::Stalled { partition: 0, offset: 0 };
    for passing in [
        StoringError::from(ArchiveError::Read(stalled)),
        StoringError::from(ArchiveError::Read(ReadError::Log(LogError::Closed))),
        StoringError::from(ArchiveError::ReaderStalled { waited: STORE_WAIT_MAX }),
        StoringError::Ended(RuntimeEnded),
    ] {
        assert!(!passing.is_lasting(), "{passing:?}");
    }
}

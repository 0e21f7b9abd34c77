//! Archives from the embedded log: the same bytes whenever they are made, and only of final proposals; and kept in a folder.

use std::{fs, sync::Arc, time::Instant};

use pnyx_backbone::archives::ArchivePlace;
use pnyx_core::{
    lifecycle::Phase,
    proposal::{Definition, VotingSystem},
    stored_archive::StoredArchive,
};
use pnyx_recount::{
    ArchiveError, CloseError, StoringError,
    archive::{CHUNK_BYTES_MIN, STREAMS_AT_ONCE_MAX},
    offline,
};
use tempfile::TempDir;
use tokio_stream::StreamExt as _;

use crate::{
    pipeline::{PATIENCE, Platform, window_closing_in},
    sample::{audit_with, ballot, choice_json, definition},
};

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_is_the_same_bytes_whenever_it_is_made() {
    let definition = definition(VotingSystem::RankedChoice, window_closing_in(1_000), 3);
    let proposal = definition.proposal().id();
    let mut platform = Platform::start().await;
    platform.propose(&definition).await;
    let now_s = pnyx_backbone::clock::now().0 / 1_000;
    for seed in 0..40 {
        let choice = choice_json(VotingSystem::RankedChoice, seed);
        platform.append(&definition, ballot(&definition, seed % 9 + 1, &choice, now_s - u64::from(seed % 5))).await;
    }
    assert!(matches!(platform.archives.stream(proposal).await, Err(ArchiveError::NotFinal { .. })));
    platform.count(&definition).await;
    platform.close();
    platform.phases_until(Phase::Final).await;

    let remembered = platform.archive(&definition).await;
    assert_eq!(platform.archive(&definition).await, remembered);
    audit_with(&remembered, &[]).unwrap();

    // After a restart nothing is remembered, no tally runs, and the ballots are counted again.
    let platform = platform.restart().await;
    assert_eq!(platform.archive(&definition).await, remembered);

    let threads = std::num::NonZeroUsize::MIN;
    let comparison = offline::compare(&platform.log, &platform.proposals, proposal, threads, |_| {}).await.unwrap();
    assert_eq!((comparison.cut_is_decided, comparison.agrees()), (true, Some(true)));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_proposal_has_no_archive() {
    let platform = Platform::start().await;
    let proposal = pnyx_core::id::ProposalId::new([3; 32]);
    assert!(matches!(platform.archives.stream(proposal).await, Err(ArchiveError::UnknownProposal { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn archives_at_once_are_bounded_and_end_with_the_process() {
    let definition = definition(VotingSystem::Basic, window_closing_in(2_000), 1);
    let proposal = definition.proposal().id();
    let mut platform = Platform::start().await;
    platform.propose(&definition).await;
    let record = ballot(&definition, 1, "1", pnyx_backbone::clock::now().0 / 1_000);
    // More than the queue between an archive and its reader takes, so that one nobody reads stays under way.
    for _ in 0..8 * CHUNK_BYTES_MIN / record.len() {
        platform.append(&definition, record.clone()).await;
    }
    platform.count(&definition).await;
    platform.close();
    platform.phases_until(Phase::Final).await;

    let mut unread = Vec::new();
    for _ in 0..STREAMS_AT_ONCE_MAX {
        unread.push(platform.archives.stream(proposal).await.unwrap());
    }
    assert!(matches!(platform.archives.stream(proposal).await, Err(ArchiveError::Busy)));

    platform.shutdown.trigger();
    platform.shutdown.drained(PATIENCE).await.unwrap();
    for stream in unread {
        let last = stream.collect::<Vec<_>>().await.pop();
        assert!(matches!(last, Some(Err(ArchiveError::ShuttingDown))), "{last:?}");
    }
}

/// A vote of one ballot, on a platform that keeps archives at `place`.
async fn voted(place: ArchivePlace) -> (Platform, Arc<Definition>) {
    let definition = definition(VotingSystem::Basic, window_closing_in(300), 1);
    let platform = Platform::open_keeping(TempDir::new().unwrap(), Some(place)).await;
    platform.propose(&definition).await;
    platform.append(&definition, ballot(&definition, 1, "1", pnyx_backbone::clock::now().0 / 1_000)).await;
    platform.count(&definition).await;
    (platform, definition)
}

/// What stands of a stored archive, once it does.
async fn stored(platform: &Platform, definition: &Definition) -> Arc<StoredArchive> {
    let began = Instant::now();
    loop {
        let book = platform.proposals.book();
        if let Some(stored) = book.get(definition.proposal().id()).and_then(|decisions| decisions.archive.clone()) {
            return stored;
        }
        assert!(began.elapsed() < PATIENCE, "the archive is not stored");
        tokio::time::sleep(PATIENCE / 1_000).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_that_is_kept_is_served_from_there() {
    let folder = TempDir::new().unwrap();
    let place = ArchivePlace::Folder(folder.path().to_owned());
    let (mut platform, definition) = voted(place.clone()).await;
    let proposal = definition.proposal().id();
    platform.close();
    platform.phases_until(Phase::Final).await;
    let archive = stored(&platform, &definition).await;

    let file = folder.path().join(archive.location());
    let bytes = fs::read(&file).unwrap();
    assert_eq!((archive.location(), archive.bytes), (&*format!("{proposal}.jsonl"), bytes.len() as u64));
    assert_eq!(audit_with(&bytes, &[]).unwrap().core.ballots, 1);
    assert_eq!(platform.archive(&definition).await, bytes);

    // In another process, which remembers nothing.
    let Platform { dir, .. } = platform.restart().await;
    let platform = Platform::open_keeping(dir, Some(place)).await;
    assert_eq!(platform.archive(&definition).await, bytes);

    // A short one is noticed before it is sent, and the log still has it all.
    fs::write(&file, &bytes[1..]).unwrap();
    assert_eq!(platform.archive(&definition).await, bytes);
    let mut damaged = bytes.clone();
    damaged[100] ^= 1;
    fs::write(&file, &damaged).unwrap();
    let pieces: Vec<_> = platform.archives.stream(proposal).await.unwrap().collect().await;
    assert!(matches!(pieces.last(), Some(Err(ArchiveError::Damaged { .. }))), "{pieces:?}");
    fs::remove_file(&file).unwrap();
    assert_eq!(platform.archive(&definition).await, bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_does_not_wait_for_its_archive_and_that_is_made_up_for() {
    let parent = TempDir::new().unwrap();
    let folder = parent.path().join("archives");
    let (platform, definition) = voted(ArchivePlace::Folder(folder.clone())).await;
    let proposal = definition.proposal().id();
    let refused = platform.close_one(proposal).await;
    assert!(matches!(refused, Err(CloseError::Archive(StoringError::Store(_)))), "{refused:?}");
    assert!(platform.proposals.book().get(proposal).unwrap().result.is_some(), "the result stands");
    let made = platform.archive(&definition).await;
    assert!(platform.proposals.book().get(proposal).unwrap().archive.is_none());

    fs::create_dir(&folder).unwrap();
    assert_eq!(platform.close_one(proposal).await.unwrap(), Phase::Final);
    let archive = stored(&platform, &definition).await;
    assert_eq!(fs::read(folder.join(archive.location())).unwrap(), made);
}

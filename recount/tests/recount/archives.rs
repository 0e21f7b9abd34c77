//! Archives from the embedded log: the same bytes whenever they are made, and only of final proposals.

use pnyx_core::{lifecycle::Phase, proposal::VotingSystem};
use pnyx_recount::{
    ArchiveError,
    archive::{CHUNK_BYTES_MIN, STREAMS_AT_ONCE_MAX},
    offline,
};
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

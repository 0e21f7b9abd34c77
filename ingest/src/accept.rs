//! What becomes of one posted ballot.

use std::cell::RefCell;

use axum::body::Bytes;
use pnyx_backbone::{
    clock,
    log::{AppendError, AppendTo, Topic},
};
use pnyx_core::{
    ballot::{Envelope, HashMemo, ParsedBallot},
    decisions::ProposalDecisions,
    id::{ProposalId, RecordHash},
    proposal::Proposal,
    receipt::{Receipt, SignedReceipt},
    rejection::Rejection,
    time::{TimestampMs, WindowPosition},
    wire,
};
use tokio::time::timeout;
use tracing::warn;

use crate::{Inner, answer::Refused, config::APPEND_WAIT_MAX};

thread_local! {
    /// Hashes that ballots repeat, one memo a thread so that requests never wait for each other.
    static MEMO: RefCell<HashMemo> = RefCell::default();
}

/// Checks what the edge may check, appends, judges the append time, and signs the receipt.
pub(crate) async fn accept(ingest: &Inner, body: Bytes) -> Result<SignedReceipt, Refused> {
    let (decisions, ballot) = parse(ingest, &body)?;
    let proposal = decisions.definition.proposal();
    check_before_append(&decisions, &ballot, clock::now())?;

    let record = wire::record::encode(&body);
    let hash = RecordHash::of(&record);
    let topic = Topic::ballots(proposal.id());
    // Dropping the append does not take the record back, but without an answer it was never acknowledged.
    let append = timeout(APPEND_WAIT_MAX, ingest.log.append(&topic, AppendTo::Any, record));
    let appended = match append.await {
        Ok(Ok(appended)) => appended,
        Ok(Err(error)) => return Err(append_refusal(&error)),
        Err(_) => return Err(Refused::AppendSlow),
    };
    check_time(proposal, &ballot, appended.appended_at, |closes_at| Refused::AppendedLate {
        closes_at,
        appended_at: appended.appended_at,
    })?;

    let receipt = Receipt {
        proposal: proposal.id(),
        digest: ballot.digest(),
        record: hash,
        place: appended.place,
        appended_at: appended.appended_at,
    };
    ingest.signer.sign(receipt).await.ok_or(Refused::ShuttingDown)
}

/// The ballot and what is decided of its proposal.
fn parse(ingest: &Inner, body: &[u8]) -> Result<(ProposalDecisions, ParsedBallot), Refused> {
    MEMO.with_borrow_mut(|memo| {
        let envelope = Envelope::parse(body, memo).map_err(|refusal| Refused::Rejected(refusal.rejection))?;
        let decisions = decisions(ingest, envelope.proposal()).ok_or(Refused::Rejected(Rejection::UnknownProposal))?;
        let ballot = envelope.for_proposal(decisions.definition.proposal());
        Ok((decisions, ballot.map_err(|refusal| Refused::Rejected(refusal.rejection))?))
    })
}

fn decisions(ingest: &Inner, proposal: ProposalId) -> Option<ProposalDecisions> {
    ingest.book.borrow().get(proposal).cloned()
}

fn check_before_append(decisions: &ProposalDecisions, ballot: &ParsedBallot, now: TimestampMs) -> Result<(), Refused> {
    if decisions.cut.is_some() {
        return Err(Refused::CutDecided);
    }
    let proposal = decisions.definition.proposal();
    check_time(proposal, ballot, now, |closes_at| Refused::Late { closes_at, received_at: now })
}

/// The window first: to a ballot that is early nothing else matters yet.
fn check_time(
    proposal: &Proposal,
    ballot: &ParsedBallot,
    time: TimestampMs,
    late: impl FnOnce(TimestampMs) -> Refused,
) -> Result<(), Refused> {
    let window = proposal.window();
    match window.position(time) {
        WindowPosition::Before => Err(Refused::Early { opens_at: window.opens_at(), now: time }),
        WindowPosition::After => Err(late(window.closes_at())),
        WindowPosition::Inside => {
            ballot.check_time(time, proposal).map_err(|refusal| Refused::Rejected(refusal.rejection))
        }
    }
}

fn append_refusal(error: &AppendError) -> Refused {
    match error {
        AppendError::Overloaded => Refused::Overloaded,
        AppendError::TooLarge { .. } => Refused::Rejected(Rejection::TooLarge),
        // The topic of a proposal that was defined a moment ago is still being made.
        AppendError::UnknownTopic { .. } | AppendError::UnknownPartition { .. } | AppendError::Closed => {
            Refused::LogUnavailable
        }
        AppendError::Failed { .. } => {
            warn!(error = pnyx_backbone::telemetry::chain(error), "a ballot could not be appended");
            Refused::LogUnavailable
        }
    }
}

//! What becomes of one posted ballot.

use std::cell::RefCell;

use axum::body::Bytes;
use pnyx_backbone::{
    clock,
    log::{AppendError, AppendTo, Topic},
    traces::{self, Step},
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
use tokio::time::{Instant, timeout};
use tracing::{debug, warn};

use crate::{Inner, answer::Refused};

thread_local! {
    /// Hashes that ballots repeat, one memo a thread so that requests never wait for each other.
    static MEMO: RefCell<HashMemo> = RefCell::default();
}

/// Checks what the edge may check, appends, judges the append time, and signs the receipt.
pub(crate) async fn accept(ingest: &Inner, body: Bytes) -> Result<SignedReceipt, Refused> {
    let began = Instant::now();
    let (decisions, ballot) = parse(ingest, &body)?;
    let proposal = decisions.definition.proposal();
    check_before_append(&decisions, &ballot, clock::now())?;

    let record = wire::record::encode(&body);
    let hash = RecordHash::of(&record);
    let topic = Topic::ballots(proposal.id());
    // Dropping the append does not take the record back, but without an answer it was never acknowledged.
    let append = timeout(ingest.config.append_wait_max, ingest.log.append(&topic, AppendTo::Any, record));
    let appended = match append.await {
        Ok(Ok(appended)) => appended,
        Ok(Err(error)) => return Err(append_refusal(&error)),
        Err(_) => return Err(Refused::AppendSlow),
    };
    check_time(proposal, &ballot, appended.appended_at, |closes_at| Refused::AppendedLate {
        closes_at,
        appended_at: appended.appended_at,
    })?;

    debug!(
        digest = %ballot.digest(),
        proposal = %proposal.id(),
        partition = appended.place.partition,
        offset = appended.place.offset,
        "ballot durable",
    );
    let receipt = Receipt {
        proposal: proposal.id(),
        digest: ballot.digest(),
        record: hash,
        place: appended.place,
        appended_at: appended.appended_at,
    };
    let signed = ingest.signer.sign(receipt).await.ok_or(Refused::ReceiptUnsigned)?;
    let step = Step::Accepted { proposal: proposal.id() };
    traces::note(ballot.digest(), appended.place, step, began.elapsed());
    Ok(signed)
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

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse as _;
    use pnyx_core::{
        ballot::compose,
        power::Power,
        proposal::{Abstentions, ProposalParts, Strategy, Voting, VotingSystem},
        signing::SigningKey,
        time::Window,
    };

    use super::*;

    const OPENS_AT: TimestampMs = TimestampMs(1_796_000_000_000);
    const CLOSES_AT: TimestampMs = TimestampMs(1_796_000_600_000);

    fn proposal() -> Proposal {
        Proposal::new(ProposalParts {
            platform: "test".to_owned(),
            namespace: "default".to_owned(),
            name: "p".to_owned(),
            space: "dao.example.eth".to_owned(),
            title: "P".to_owned(),
            body: String::new(),
            discussion: String::new(),
            author: String::new(),
            choices: vec!["For".to_owned(), "Against".to_owned()],
            voting: Voting {
                system: VotingSystem::SingleChoice,
                quorum: None,
                approval_threshold: None,
                abstentions: Abstentions::default(),
            },
            window: Window::new(OPENS_AT, CLOSES_AT).unwrap(),
            strategies: vec![Strategy::Ticket(Power::ONE)],
            snapshots: std::collections::BTreeMap::new(),
            clock_skew_s: 300,
        })
        .unwrap()
    }

    /// After the append nobody may be told that nothing was stored.
    #[tokio::test]
    async fn a_missing_signature_does_not_deny_the_record() {
        let answer = Refused::ReceiptUnsigned.into_response();
        assert_eq!(answer.status(), axum::http::StatusCode::SERVICE_UNAVAILABLE);
        let body = axum::body::to_bytes(answer.into_body(), 1_000).await.unwrap();
        expect_test::expect![[r#"{"error":"server_error","error_description":"shutting down","detail":"it may have been stored; sending it again is harmless"}"#]].assert_eq(str::from_utf8(&body).unwrap());
    }

    #[tokio::test]
    async fn the_append_time_has_the_last_word() {
        let proposal = proposal();
        let key = SigningKey::from_bytes([1; 32]).unwrap();
        let signed_at_s = OPENS_AT.0 / 1_000;
        let unsigned = compose(key.address(), "dao.example.eth", signed_at_s, proposal.id(), "1", "", "").unwrap();
        let body = unsigned.body_with(&key.sign_digest(*unsigned.digest().as_bytes()));
        let ballot = Envelope::parse(&body, &mut HashMemo::default()).unwrap().for_proposal(&proposal).unwrap();
        let check = |appended_at| {
            check_time(&proposal, &ballot, appended_at, |closes_at| Refused::AppendedLate { closes_at, appended_at })
        };
        assert_eq!(check(OPENS_AT), Ok(()));
        assert_eq!(check(TimestampMs(CLOSES_AT.0 - 1)), Ok(()));
        let late = check(CLOSES_AT.saturating_add_ms(3)).unwrap_err();
        let body = axum::body::to_bytes(late.into_response().into_body(), 1_000).await.unwrap();
        expect_test::expect![[r#"{"error":"client_error","error_description":"not in voting window","detail":"closed 2026-11-30T01:03:20.000Z, appended 2026-11-30T01:03:20.003Z"}"#]].assert_eq(str::from_utf8(&body).unwrap());
    }
}

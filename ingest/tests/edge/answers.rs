//! What each request is answered.

use std::{convert::Infallible, net::SocketAddr, num::NonZeroU32};

use axum::{
    body::{Body, Bytes},
    extract::ConnectInfo,
    http::{Method, Request, Response},
};
use expect_test::{Expect, expect};
use futures_util::stream;
use pnyx_backbone::clock;
use pnyx_core::{
    decisions::Decision,
    id::{ProposalId, Root},
    result::{Cut, CutPartition},
    time::TimestampMs,
};
use pnyx_ingest::{Cors, IngestConfig, RateLimit};
use tower::ServiceExt as _;

use crate::support::{Answer, Bed, SPACE, ballot, ballot_at, ballot_for};

const NEW_YEAR_2020: TimestampMs = TimestampMs(1_577_836_800_000);
const NEW_YEAR_2100: TimestampMs = TimestampMs(4_102_444_800_000);

/// Status, `Retry-After` if any, and the body; the time of the test is not shown.
fn check(answer: &Answer, expected: &Expect) {
    let Answer { status, retry_after, body } = answer;
    let after = retry_after.as_ref().map_or_else(String::new, |seconds| format!("after {seconds} s "));
    let body = body.to_string();
    let body = body.split_once("received ").map_or(body.as_str(), |(head, _)| head);
    expected.assert_eq(&format!("{status} {after}{body}"));
}

#[tokio::test]
async fn refusals() {
    let bed = Bed::new().await;
    let (id, now_s) = (bed.open().await, clock::now().0 / 1_000);
    let good = String::from_utf8(ballot(id, 1)).unwrap();
    let table: [(Vec<u8>, Expect); 9] = [
        (
            vec![],
            expect![[
                r#"400 {"detail":"malformedEnvelope","error":"client_error","error_description":"wrong envelope format"}"#
            ]],
        ),
        (
            vec![b' '; 100_000],
            expect![[r#"400 {"detail":"tooLarge","error":"client_error","error_description":"too large message"}"#]],
        ),
        (
            good.replace("0.1.4", "0.1.5").into(),
            expect![[r#"400 {"detail":"wrongDomain","error":"client_error","error_description":"wrong domain"}"#]],
        ),
        (
            good.replace("uint64", "uint32").into(),
            expect![[r#"400 {"detail":"wrongTypes","error":"client_error","error_description":"wrong types"}"#]],
        ),
        (
            good.replace(r#""timestamp":"#, r#""timestamp":-"#).into(),
            expect![[
                r#"400 {"detail":"malformedMessage","error":"client_error","error_description":"wrong vote format"}"#
            ]],
        ),
        (
            ballot(ProposalId::new([3; 32]), 1),
            expect![[
                r#"400 {"detail":"unknownProposal","error":"client_error","error_description":"unknown proposal"}"#
            ]],
        ),
        (
            ballot_for(id, 1, now_s, "other.eth", "1"),
            expect![[r#"400 {"detail":"wrongSpace","error":"client_error","error_description":"unknown space"}"#]],
        ),
        (
            ballot_for(id, 1, now_s, SPACE, "3"),
            expect![[r#"400 {"detail":"invalidChoice","error":"client_error","error_description":"invalid choice"}"#]],
        ),
        (
            ballot_at(id, 1, now_s + 600),
            expect![[
                r#"400 {"detail":"signedInFuture","error":"client_error","error_description":"wrong timestamp"}"#
            ]],
        ),
    ];
    for (body, expected) in table {
        check(&bed.post(body).await, &expected);
    }
    assert!(bed.records(id).await.is_empty(), "what is refused is not stored");
}

#[tokio::test]
async fn early_and_late() {
    let bed = Bed::new().await;
    let early = bed.define("early", NEW_YEAR_2100, NEW_YEAR_2100.saturating_add_ms(1)).await;
    let late = bed.define("late", TimestampMs(NEW_YEAR_2020.0 - 1), NEW_YEAR_2020).await;
    let mut answer = bed.post(ballot(early, 1)).await;
    let wait_s: u64 = answer.retry_after.take().unwrap().parse().unwrap();
    assert!(wait_s.abs_diff((NEW_YEAR_2100.0 - clock::now().0) / 1_000) <= 2, "{wait_s} s");
    check(
        &answer,
        &expect![[
            r#"503 {"detail":"opens 2100-01-01T00:00:00.000Z","error":"server_error","error_description":"not in voting window"}"#
        ]],
    );
    check(&bed.post(ballot(late, 1)).await, &expect![[r#"400 {"detail":"closed 2020-01-01T00:00:00.000Z, "#]]);
    assert!(bed.records(early).await.is_empty() && bed.records(late).await.is_empty());
}

#[tokio::test]
async fn nothing_after_the_cut() {
    let bed = Bed::new().await;
    let id = bed.open().await;
    let partitions = vec![CutPartition { end_offset: 0, records_root: Root::new([0; 32]) }; 3];
    bed.proposals.decide(Decision::Cut(Cut { proposal: id, decided_at: clock::now(), partitions })).await.unwrap();
    check(
        &bed.post(ballot(id, 1)).await,
        &expect![[
            r#"400 {"detail":"the ballots that count are fixed","error":"client_error","error_description":"not in voting window"}"#
        ]],
    );
}

#[tokio::test]
async fn other_methods_and_bodies_that_break_off() {
    let bed = Bed::new().await;
    let request = Request::get("/").body(Body::empty()).unwrap();
    check(
        &bed.send(request).await,
        &expect![[r#"405 {"error":"client_error","error_description":"method not allowed"}"#]],
    );
    let broken = stream::iter([Ok(Bytes::from_static(b"{")), Err("gone".to_owned())]);
    check(
        &bed.post(Body::from_stream(broken)).await,
        &expect![[
            r#"400 {"detail":"the body broke off","error":"client_error","error_description":"wrong envelope format"}"#
        ]],
    );
    let elsewhere = crate::support::read(pnyx_ingest::not_found().await).await;
    check(&elsewhere, &expect![[r#"404 {"error":"client_error","error_description":"not found"}"#]]);
}

#[tokio::test]
async fn beyond_the_bound_comes_503() {
    let bed = Bed::with_in_flight_max(1).await;
    let id = bed.open().await;
    let endless = stream::pending::<Result<Bytes, Infallible>>();
    let endless = Request::post("/").body(Body::from_stream(endless)).unwrap();
    let waiting = tokio::spawn(bed.router.clone().oneshot(endless));
    while !bed.metrics.encode().contains("pnyx_ingest_requests_in_flight 1\n") {
        tokio::task::yield_now().await;
    }
    check(
        &bed.post(ballot(id, 1)).await,
        &expect![[
            r#"503 after 1 s {"detail":"nothing was stored","error":"server_error","error_description":"too many requests in flight"}"#
        ]],
    );
    waiting.abort();
    assert!(waiting.await.unwrap_err().is_cancelled());
    assert_eq!(bed.post(ballot(id, 1)).await.status, 200, "a client that goes gives its place back");
}

#[tokio::test]
async fn a_closed_log_and_a_shutdown_come_503() {
    let bed = Bed::new().await;
    let id = bed.open().await;
    bed.log.close().await;
    check(
        &bed.post(ballot(id, 1)).await,
        &expect![[
            r#"503 after 1 s {"detail":"the log is unavailable; send the ballot again","error":"server_error","error_description":"not acknowledged"}"#
        ]],
    );
    bed.shutdown.trigger();
    check(
        &bed.post(ballot(id, 1)).await,
        &expect![[
            r#"503 after 1 s {"detail":"nothing was stored; send the ballot again","error":"server_error","error_description":"shutting down"}"#
        ]],
    );
}

#[tokio::test]
async fn requests_are_counted_by_outcome() {
    let bed = Bed::new().await;
    let id = bed.open().await;
    assert!(bed.metrics.encode().contains("pnyx_ingest_requests_total{outcome=\"overloaded\"} 0\n"));
    bed.post(ballot(id, 1)).await;
    bed.post("nonsense").await;
    let text = bed.metrics.encode();
    for line in [
        "pnyx_ingest_requests_total{outcome=\"accepted\"} 1\n",
        "pnyx_ingest_requests_total{outcome=\"malformedEnvelope\"} 1\n",
        "pnyx_ingest_request_seconds_count 2\n",
        "pnyx_ingest_requests_in_flight 0\n",
        "pnyx_ingest_receipts_per_signature_count 1\n",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
}

#[tokio::test]
async fn browsers_of_allowed_origins_may_post() {
    async fn allowed(bed: &Bed, cors: &Cors, origin: &str) -> Option<String> {
        let preflight = Request::builder()
            .method(Method::OPTIONS)
            .uri("/")
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "content-type");
        let router = bed.router.clone().layer(pnyx_ingest::cors(cors));
        let answer: Response<Body> = router.oneshot(preflight.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(answer.status(), 200);
        answer.headers().get("access-control-allow-origin").map(|value| value.to_str().unwrap().to_owned())
    }
    let bed = Bed::new().await;
    assert_eq!(allowed(&bed, &Cors::Any, "https://somewhere.example").await.as_deref(), Some("*"));
    let one = Cors::Origins(vec!["https://vote.example.org".parse().unwrap()]);
    let origin = "https://vote.example.org";
    assert_eq!(allowed(&bed, &one, origin).await.as_deref(), Some(origin));
    assert_eq!(allowed(&bed, &one, "https://somewhere.example").await, None);
}

#[tokio::test]
async fn each_address_has_a_share_of_its_own() {
    let rate_limit =
        RateLimit { requests_per_second: NonZeroU32::MIN, trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()] };
    let bed = Bed::with(IngestConfig { rate_limit: Some(rate_limit), ..IngestConfig::default() }).await;
    let id = bed.open().await;
    let post = async |peer: [u8; 4], forwarded: &str, voter: u8| {
        let request = Request::post("/").header("x-forwarded-for", forwarded);
        let peer = ConnectInfo(SocketAddr::from((peer, 4711)));
        bed.send(request.extension(peer).body(ballot(id, voter).into()).unwrap()).await
    };
    assert_eq!(post([10, 0, 0, 1], "203.0.113.1", 1).await.status, 200);
    let refused = post([10, 0, 0, 1], "203.0.113.1", 2).await;
    assert_eq!((refused.status, refused.retry_after.as_deref()), (429, Some("1")));
    expect![[
        r#"{"detail":"from this address; nothing was stored","error":"client_error","error_description":"too many requests"}"#
    ]]
    .assert_eq(&refused.body.to_string());
    // Another address, and the same voter, are not touched by it; what a client claims by itself changes nothing.
    assert_eq!(post([10, 0, 0, 1], "203.0.113.2", 1).await.status, 200);
    assert_eq!(post([192, 0, 2, 1], "203.0.113.3", 3).await.status, 200);
    assert_eq!(post([192, 0, 2, 1], "203.0.113.4", 4).await.status, 429);
    let metrics = bed.metrics.encode();
    assert!(metrics.contains("pnyx_ingest_requests_total{outcome=\"rateLimited\"} 2\n"), "{metrics}");
}

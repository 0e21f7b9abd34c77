//! What readers get.

use std::{collections::BTreeSet, error::Error};

use axum::http::StatusCode;
use expect_test::{Expect, expect, expect_file};
use futures_util::{FutureExt as _, future};
use pnyx_core::{
    choice::{Choice, Ranking},
    id::{ProposalId, Root, Voter},
    proposal::VotingSystem,
    rejection::Rejection,
};
use pnyx_tally::api::{ApiState, ArchiveProblem, RecountSource};
use serde_json::Value;

use crate::rig::{Rig, counts, definition, definition_open, rejects, voter};

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap() + "\n"
}

/// Puts a fixed time where an answer says when its figures were true.
fn hide_time(body: &mut Value) {
    for path in ["/asOf", "/tally/asOf"] {
        if let Some(as_of) = body.pointer_mut(path) {
            as_of.as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
            *as_of = "2026-11-21T12:00:00.000Z".into();
        }
    }
}

async fn check_error(rig: &Rig, path: &str, status: StatusCode, expected: Expect) {
    let answer = rig.get(path).await;
    assert_eq!(answer.status, status, "{path}");
    expected.assert_eq(&answer.body.to_string());
}

/// A small proposal whose window is long over, with two voters and a rejected record.
async fn small(rig: &Rig) -> ProposalId {
    let definition = definition_open("small", VotingSystem::Basic, &["For", "Against"], 1_000, 2_000_000);
    let id = rig.propose(&definition).await;
    rig.judge(
        id,
        &[
            counts(0, voter(1), Choice::Single(1), "1.5"),
            counts(1, voter(2), Choice::Single(2), "1.5"),
            rejects(2, voter(2), Rejection::WrongSigner),
            counts(3, voter(2), Choice::Single(1), "1.5"),
        ],
    )
    .await;
    rig.counted(id).await;
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_proposal_reads_like_this() {
    let rig = Rig::new().await;
    let id = small(&rig).await;
    for (path, file) in [
        ("/v1/proposals".to_owned(), expect_file!["../golden/proposals.json"]),
        (format!("/v1/proposals/{id}"), expect_file!["../golden/proposal.json"]),
        ("/v1/proposals/small/ballots".to_owned(), expect_file!["../golden/ballots.json"]),
        ("/v1/proposals/default%2Fsmall/leaderboard".to_owned(), expect_file!["../golden/leaderboard.json"]),
        ("/v1/proposals/small/rejections".to_owned(), expect_file!["../golden/rejections.json"]),
        ("/v1/proposals/small/progress".to_owned(), expect_file!["../golden/progress.json"]),
        (format!("/v1/proposals/small/voters/{}", voter(2)), expect_file!["../golden/voter.json"]),
        (format!("/v1/proposals/small/voters/{}", voter(9)), expect_file!["../golden/voter-without-ballot.json"]),
    ] {
        let mut answer = rig.get(&path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.body);
        hide_time(&mut answer.body);
        file.assert_eq(&pretty(&answer.body));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_describes_every_route() {
    let document = serde_json::to_value(pnyx_tally::api::openapi()).unwrap();
    let paths: Vec<&String> = document["paths"].as_object().unwrap().keys().collect();
    expect![[r#"
        [
            "/v1/proposals",
            "/v1/proposals/{id}",
            "/v1/proposals/{id}/archive",
            "/v1/proposals/{id}/ballots",
            "/v1/proposals/{id}/events",
            "/v1/proposals/{id}/leaderboard",
            "/v1/proposals/{id}/progress",
            "/v1/proposals/{id}/rejections",
            "/v1/proposals/{id}/result",
            "/v1/proposals/{id}/voters/{address}",
        ]
    "#]]
    .assert_debug_eq(&paths);
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_say_what_to_do() {
    let rig = Rig::new().await;
    small(&rig).await;
    check_error(
        &rig,
        "/v1/proposals/smal",
        StatusCode::NOT_FOUND,
        expect![[r#"{"detail":"no proposal has the id or name \"smal\"; GET /v1/proposals lists all","error":"client_error","error_description":"unknown proposal"}"#]],
    )
    .await;
    check_error(
        &rig,
        "/v1/proposals/small/ballots?limit=0",
        StatusCode::BAD_REQUEST,
        expect![[r#"{"detail":"limit: must be a number from 1 to 1000, not \"0\"","error":"client_error","error_description":"wrong parameter limit"}"#]],
    )
    .await;
    check_error(
        &rig,
        "/v1/proposals/small/leaderboard?cursor=1.5",
        StatusCode::BAD_REQUEST,
        expect![[r#"{"detail":"cursor: must be the nextCursor of the page before, not \"1.5\"","error":"client_error","error_description":"wrong parameter cursor"}"#]],
    )
    .await;
    check_error(
        &rig,
        "/v1/proposals?phase=opened",
        StatusCode::BAD_REQUEST,
        expect![[r#"{"detail":"phase: must be one of pending, open, closed, draining, recounting, final, disputed, not \"opened\"","error":"client_error","error_description":"wrong parameter phase"}"#]],
    )
    .await;
    check_error(
        &rig,
        "/v1/proposals/small/voters/0x12",
        StatusCode::BAD_REQUEST,
        expect![[r#"{"detail":"address: expected 0x followed by 40 lower-case hexadecimal digits","error":"client_error","error_description":"wrong parameter address"}"#]],
    )
    .await;
    for path in ["/v1/proposals/small/result", "/v1/proposals/small/archive"] {
        let answer = rig.get(path).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND);
        assert_eq!(answer.body["detail"], "the proposal is closed; it has one once it is final");
    }
}

/// All entries of a list, page by page.
async fn pages(rig: &Rig, path: &str, list: &str, limit: usize) -> Vec<Value> {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let answer = rig.get(&format!("{path}?limit={limit}{cursor}")).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        let page = answer.body[list].as_array().unwrap();
        assert!(page.len() <= limit);
        all.extend(page.iter().cloned());
        match answer.body["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return all,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn paging_yields_every_entry_once() {
    let rig = Rig::new().await;
    let id = rig.propose(&definition("pages", VotingSystem::SingleChoice, &["A", "B"])).await;
    let mut verdicts: Vec<_> = (0..107_u32)
        .map(|number| {
            let power = format!("{}.{}", number % 7 + 1, number % 3 + 1);
            counts(number.into(), voter(number), Choice::Single(1), &power)
        })
        .collect();
    verdicts.extend((107..140).map(|number| rejects(number, voter(1), Rejection::WrongSigner)));
    rig.judge(id, &verdicts).await;
    rig.counted(id).await;

    let base = format!("/v1/proposals/{id}");
    for limit in [1, 10, 107, 1000] {
        let ballots = pages(&rig, &format!("{base}/ballots"), "ballots", limit).await;
        let voters: Vec<Voter> =
            ballots.iter().map(|b| Voter::from_checksummed(b["voter"].as_str().unwrap()).unwrap()).collect();
        assert_eq!(voters.len(), 107);
        assert!(voters.is_sorted_by(|low, high| low < high), "by voter, each once");

        let ranked = pages(&rig, &format!("{base}/leaderboard"), "voters", limit).await;
        let powers: Vec<f64> = ranked.iter().map(|v| v["power"].as_str().unwrap().parse().unwrap()).collect();
        assert!(powers.is_sorted_by(|high, low| high >= low), "the highest power first");
        let distinct: BTreeSet<&str> = ranked.iter().map(|v| v["voter"].as_str().unwrap()).collect();
        assert_eq!((ranked.len(), distinct.len()), (107, 107));

        let rejections = pages(&rig, &format!("{base}/rejections"), "rejections", limit).await;
        let places: BTreeSet<String> = rejections.iter().map(|r| r["place"].to_string()).collect();
        assert_eq!((rejections.len(), places.len()), (33, 33));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn proposals_are_listed_by_age_and_filtered() {
    let rig = Rig::new().await;
    for name in ["first", "second", "third"] {
        rig.propose(&definition(name, VotingSystem::SingleChoice, &["A", "B"])).await;
    }
    small(&rig).await;
    let names = async |path: &str| -> Vec<String> {
        let answer = rig.get(path).await;
        answer.body["proposals"].as_array().unwrap().iter().map(|p| p["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names("/v1/proposals").await, ["first", "second", "third", "small"]);
    assert_eq!(names("/v1/proposals?phase=open").await, ["first", "second", "third"]);
    assert_eq!(names("/v1/proposals?phase=closed&limit=1").await, ["small"]);
    assert!(names("/v1/proposals?space=other.eth").await.is_empty());
    assert_eq!(pages(&rig, "/v1/proposals", "proposals", 3).await.len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_client_has_is_not_sent_again() {
    let rig = Rig::new().await;
    let id = small(&rig).await;
    let paths = ["/v1/proposals/small", "/v1/proposals", "/v1/proposals/small/ballots"];
    for (number, path) in (10..).zip(paths) {
        let first = rig.get(path).await;
        let tag = first.headers["etag"].to_str().unwrap().to_owned();
        assert!(tag.starts_with("W/\""), "{tag}");
        assert_eq!(first.headers["cache-control"], "public, max-age=1");
        let again = rig.get_with(path, &[("if-none-match", &format!("\"other\", {tag}"))]).await;
        assert_eq!(again.status, StatusCode::NOT_MODIFIED, "{path}");
        assert_eq!(again.headers["etag"], tag.as_str());
        rig.judge(id, &[counts(number.into(), voter(number), Choice::Single(1), "1")]).await;
        rig.counted(id).await;
        let changed = rig.get_with(path, &[("if-none-match", &tag)]).await;
        assert_eq!(changed.status, StatusCode::OK, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_final_proposal_has_result_archive_and_proofs() {
    let rig = Rig::new().await;
    let definition = definition("final", VotingSystem::RankedChoice, &["A", "B", "C"]);
    let id = rig.propose(&definition).await;
    let ranking = Choice::Ranking(Ranking::new(&[2, 1, 3]).unwrap());
    let verdicts: Vec<_> = (0..21).map(|number| counts(number.into(), voter(number), ranking.clone(), "2")).collect();
    rig.judge(id, &verdicts).await;
    rig.counted(id).await;
    let cut = rig.cut(id, &[100, 100]).await;
    let result = rig.publish(&definition, cut).await;

    let by_id = rig.get(&format!("/v1/proposals/{id}/result")).await;
    assert_eq!(by_id.body["core"]["ballots"], 21);
    assert_eq!(by_id.headers["cache-control"], "public, max-age=31536000, immutable");
    let by_name = rig.get("/v1/proposals/final/result").await;
    assert_eq!(by_name.body, by_id.body);
    assert_eq!(by_name.headers["cache-control"], "public, max-age=1", "a later proposal may have the name");
    assert_eq!(rig.get("/v1/proposals/final").await.body["phase"], "final");
    assert_eq!(rig.get("/v1/proposals/final/archive").await.body, format!("archive of {id}\n"));

    for number in 0..21 {
        let answer = rig.get(&format!("/v1/proposals/final/voters/{}", voter(number))).await;
        let inclusion = &answer.body["inclusion"];
        assert_eq!(inclusion["root"], result.core.ballots_root.to_string());
        assert_eq!(proven_root(inclusion), result.core.ballots_root.to_string(), "voter {number}");
    }
    assert!(rig.get(&format!("/v1/proposals/final/voters/{}", voter(30))).await.body["inclusion"].is_null());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_known_of_a_voter_is_served_while_there_is_no_proof() {
    let rig = Rig::new().await;
    let definition = definition("final", VotingSystem::Basic, &["For", "Against", "Abstain"]);
    let id = rig.propose(&definition).await;
    rig.judge(id, &[counts(0, voter(1), Choice::Single(1), "2")]).await;
    rig.counted(id).await;
    let cut = rig.cut(id, &[100, 100]).await;
    // The tally holds other ballots than the result was made of, as one that is being rebuilt.
    rig.publish_with_root(&definition, cut, Root::new([9; 32])).await;

    let answer = rig.get(&format!("/v1/proposals/final/voters/{}", voter(1))).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.body["ballot"]["power"], "2");
    assert!(answer.body["inclusion"].is_null());
    expect!["the tally is being rebuilt; the result stands, and its proofs are served again afterwards"]
        .assert_eq(answer.body["inclusionMissing"].as_str().unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_that_cannot_be_opened_is_answered_with_its_status() {
    async fn check(make: fn(Box<dyn Error + Send + Sync>) -> ArchiveProblem, status: StatusCode) {
        let mut rig = Rig::new().await;
        let definition = definition("final", VotingSystem::Basic, &["For", "Against", "Abstain"]);
        let id = rig.propose(&definition).await;
        let cut = rig.cut(id, &[0, 0]).await;
        rig.counted(id).await;
        rig.publish(&definition, cut).await;
        let recount = RecountSource { archive: Box::new(move |_| future::err(make("the reason".into())).boxed()) };
        (rig.router, _) = pnyx_tally::api::router(ApiState::new(rig.tally.clone(), recount));
        let answer = rig.get("/v1/proposals/final/archive").await;
        assert_eq!(answer.status, status);
        assert_eq!(answer.body["detail"], "the reason");
        assert_eq!(answer.headers.contains_key("retry-after"), status == StatusCode::SERVICE_UNAVAILABLE);
        assert!(!answer.headers.contains_key("etag"), "nobody may keep it");
    }
    check(ArchiveProblem::Missing, StatusCode::NOT_FOUND).await;
    check(ArchiveProblem::Unavailable, StatusCode::SERVICE_UNAVAILABLE).await;
    check(ArchiveProblem::Failed, StatusCode::INTERNAL_SERVER_ERROR).await;
}

/// The root that an inclusion path leads to, from its JSON alone as a stranger would compute it (RFC 9162 §2.1.3.2).
fn proven_root(inclusion: &Value) -> String {
    use pnyx_core::merkle::InclusionPath;

    let bytes = |value: &Value| alloy_primitives::hex::decode(value.as_str().unwrap()).unwrap();
    let path = InclusionPath {
        index: inclusion["index"].as_u64().unwrap(),
        size: inclusion["size"].as_u64().unwrap(),
        hashes: inclusion["hashes"].as_array().unwrap().iter().map(|h| bytes(h).try_into().unwrap()).collect(),
    };
    path.root_from(&bytes(&inclusion["leaf"])).unwrap().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tally_never_falls_while_a_lane_is_rebuilt() {
    let rig = Rig::new().await;
    let id = rig.propose(&definition("steady", VotingSystem::SingleChoice, &["A", "B"])).await;
    let verdicts: Vec<_> = (0..50).map(|number| counts(number.into(), voter(number), Choice::Single(1), "1")).collect();
    rig.judge(id, &verdicts).await;
    rig.counted(id).await;
    assert_eq!(rig.get("/v1/proposals/steady").await.body["tally"]["ballots"], 50);
    rig.store.flush().await.unwrap();
    let mut saw_behind = false;
    let ends = vec![0; 4];
    assert!(rig.tally.drained_to(id, &ends).await.unwrap());
    let began = std::time::Instant::now();
    // Without pauses: it may be behind for a moment only.
    while began.elapsed() < std::time::Duration::from_secs(20) {
        let tally = rig.get("/v1/proposals/steady").await.body["tally"].clone();
        assert_eq!(tally["ballots"], 50, "shown as behind, not as fallen");
        saw_behind |= tally["behind"].as_u64().unwrap() > 0;
        if saw_behind && tally["behind"] == 0 {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("the lanes were never shown as behind, or never came back");
}

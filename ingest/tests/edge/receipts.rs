//! What an acknowledged ballot's answer is worth.

use std::{collections::BTreeSet, time::Duration};

use axum::{body::Body, http::Request};
use pnyx_core::{
    id::{RecordHash, Voter},
    receipt::SignedReceipt,
    wire,
};
use tokio::task::JoinSet;
use tower::ServiceExt as _;

use crate::support::{Answer, Bed, ballot, read};

fn receipt(answer: &Answer, key: Voter) -> SignedReceipt {
    assert_eq!(answer.status, 200, "{}", answer.body);
    let signed = wire::receipt::decode(&answer.body["receipt"].to_string()).unwrap();
    signed.verify().unwrap();
    assert_eq!(signed.key, key);
    signed
}

#[tokio::test]
async fn the_answer_is_snapshots_with_a_receipt_beside() {
    let bed = Bed::new().await;
    let id = bed.open().await;
    let body = ballot(id, 1);
    let answer = bed.post(body.clone()).await;
    let signed = receipt(&answer, bed.key.address());
    let records = bed.records(id).await;
    let [(place, record)] = records.as_slice() else { panic!("one record") };
    assert_eq!(record.value, [&[1], body.as_slice()].concat());
    assert_eq!(signed.receipt.proposal, id);
    assert_eq!(signed.receipt.place, *place);
    assert_eq!(signed.receipt.record, RecordHash::of(&record.value));
    assert_eq!(signed.receipt.appended_at, record.appended_at);
    assert_eq!(answer.body["id"], signed.receipt.digest.to_string());
    assert_eq!(answer.body["relayer"]["address"], bed.key.address().to_string());
    assert_eq!(answer.body["relayer"]["receipt"], answer.body["receipt"]["signature"]);
    assert!(answer.body["ipfs"].as_str().unwrap().starts_with("bafkrei"));
}

#[tokio::test]
async fn resending_makes_another_record_of_the_same_ballot() {
    let bed = Bed::new().await;
    let body = ballot(bed.open().await, 1);
    let first = receipt(&bed.post(body.clone()).await, bed.key.address()).receipt;
    let second = receipt(&bed.post(body).await, bed.key.address()).receipt;
    assert_eq!((first.digest, first.record), (second.digest, second.record));
    assert_ne!(first.place, second.place);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_acknowledgement_has_its_record() {
    let bed = Bed::new().await;
    let id = bed.open().await;
    let mut posts = JoinSet::new();
    for number in 1..=200 {
        let request = Request::post("/").body(Body::from(ballot(id, number))).unwrap();
        let posted = bed.router.clone().oneshot(request);
        posts.spawn(async move { read(posted.await.unwrap()).await });
    }
    let answers = posts.join_all().await;
    let receipts: Vec<_> = answers.iter().map(|answer| receipt(answer, bed.key.address())).collect();
    let promised: BTreeSet<_> = receipts.iter().map(|it| (it.receipt.place, it.receipt.record.to_string())).collect();
    let records = bed.records(id).await;
    let stored: BTreeSet<_> =
        records.iter().map(|(place, record)| (*place, RecordHash::of(&record.value).to_string())).collect();
    assert_eq!(promised, stored);
    assert_eq!(stored.len(), 200);
}

#[tokio::test]
async fn a_false_signature_is_acknowledged_and_left_to_the_verifier() {
    let bed = Bed::new().await;
    let id = bed.open().await;
    let forged = String::from_utf8(ballot(id, 1)).unwrap();
    let at = forged.find(r#""sig":"0x"#).unwrap() + r#""sig":"0x"#.len();
    let forged = [&forged[..at], "ff", &forged[at + 2..]].concat();
    receipt(&bed.post(forged).await, bed.key.address());
}

#[tokio::test]
async fn nothing_of_the_edge_outlives_the_process() {
    let bed = Bed::new().await;
    let id = bed.open().await;
    receipt(&bed.post(ballot(id, 1)).await, bed.key.address());
    bed.shutdown.trigger();
    bed.shutdown.drained(Duration::from_secs(10)).await.unwrap();
}

//! Receipts against archives: what became of each, and forgeries that only a receipt can show.

use std::fmt::Write as _;

use expect_test::expect_file;
use pnyx_core::{
    id::{Digest, ProposalId},
    receipt::{Receipt, SignedReceipt, sign_receipts},
    time::TimestampMs,
};
use pnyx_recount::{AuditOptions, audit, audit::ReceiptFinding};

use crate::sample::{Sample, audit_with, options, platform_key, wallet, weighted};

fn receipt_at(sample: &Sample, partition: u32, offset: u64) -> SignedReceipt {
    let at =
        |signed: &SignedReceipt| signed.receipt.place.partition == partition && signed.receipt.place.offset == offset;
    sample.receipts().into_iter().find(at).expect("the record has a digest")
}

fn finding(partition: u32, offset: u64) -> ReceiptFinding {
    let sample = weighted();
    let report = audit_with(&sample.archive(), &[receipt_at(&sample, partition, offset)]).unwrap();
    report.receipts[0].finding
}

#[test]
fn each_fate_is_told() {
    let sample = weighted();
    let changed_again = receipt_at(&sample, 0, 4).receipt.digest;
    assert_eq!(finding(0, 4), ReceiptFinding::Counts);
    assert_eq!(finding(1, 0), ReceiptFinding::Superseded { by: changed_again });
    assert_eq!(finding(1, 2), ReceiptFinding::Counts);
    let rejected = |partition, offset| match finding(partition, offset) {
        ReceiptFinding::Rejected { rejection, stands_by_another_copy } => (rejection.name(), stands_by_another_copy),
        other => panic!("{other:?}"),
    };
    assert_eq!(rejected(0, 0), ("outsideWindow", true));
    assert_eq!(rejected(0, 6), ("noPower", false));
    assert_eq!(rejected(0, 10), ("outsideWindow", false));
    assert_eq!(rejected(1, 5), ("wrongSigner", true));
}

/// Leaves a record out and makes everything else fit again, as somebody with the platform's key could.
fn forged_without(partition: usize, offset: usize) -> Vec<u8> {
    let mut sample = weighted();
    sample.partitions[partition].remove(offset);
    let archive = sample.archive();
    audit_with(&archive, &[]).expect("the forgery contradicts itself nowhere");
    archive
}

/// The record closing the window, moved out of it, and everything else made to fit.
fn forged_append_time() -> Vec<u8> {
    let mut sample = weighted();
    sample.partitions[0][9].0 = TimestampMs(crate::sample::CLOSES_AT_MS);
    let archive = sample.archive();
    audit_with(&archive, &[]).expect("the forgery contradicts itself nowhere");
    archive
}

#[test]
fn forgeries_and_worthless_receipts_are_named() {
    let sample = weighted();
    let (genuine, archive) = (receipt_at(&sample, 0, 4), sample.archive());
    let with = |change: fn(&mut Receipt)| {
        let mut receipt = genuine.receipt;
        change(&mut receipt);
        receipt
    };
    let signed = |receipt, key| sign_receipts(&[receipt], key).remove(0);
    let (platform, somebody) = (platform_key(), wallet(1));
    let altered = SignedReceipt { receipt: with(|receipt| receipt.appended_at = TimestampMs(1)), ..genuine.clone() };
    let elsewhere = with(|receipt| receipt.proposal = ProposalId::new([5; 32]));
    let other_ballot = with(|receipt| receipt.digest = Digest::new([5; 32]));
    let beyond = with(|receipt| receipt.place.partition = 9);
    let failures = [
        ("ballot dropped consistently", &forged_without(1, 4), receipt_at(&sample, 1, 4)),
        ("last ballot dropped consistently", &forged_without(1, 7), receipt_at(&sample, 1, 7)),
        ("append time altered consistently", &forged_append_time(), receipt_at(&sample, 0, 9)),
        ("partition that is not in the cut", &archive, signed(beyond, &platform)),
        ("receipt altered", &archive, altered),
        ("receipt signed by somebody", &archive, signed(genuine.receipt, &somebody)),
        ("receipt of another proposal", &archive, signed(elsewhere, &platform)),
        ("receipt that names another ballot", &archive, signed(other_ballot, &platform)),
    ];
    let mut text = String::new();
    for (name, archive, receipt) in failures {
        writeln!(text, "{name}\n  {}", audit_with(archive, &[receipt]).unwrap_err()).unwrap();
    }
    let other_key = AuditOptions { keys: vec![somebody.address()], ..options() };
    let failure = audit(&archive[..], &[], &other_key, &mut |_| {}).unwrap_err();
    writeln!(text, "result by another key than the one insisted on\n  {failure}").unwrap();
    expect_file!["receipts.txt"].assert_eq(&text);
}

#[test]
fn keys_that_are_insisted_on_hold_for_result_and_receipts() {
    let sample = weighted();
    let keys = vec![wallet(1).address(), platform_key().address()];
    let options = AuditOptions { keys, ..options() };
    let report = audit(&sample.archive()[..], &sample.receipts(), &options, &mut |_| {}).unwrap();
    assert!(report.key_was_given);
    let with_digest = sample.records().iter().filter(|record| record.record.starts_with(b"\x01{")).count();
    assert_eq!(report.receipts.len(), with_digest);
}

//! What is written today, byte for byte. A golden file is never changed once its version was released: what it holds
//! must stay readable.

use std::fmt::Debug;

use alloy_primitives::hex;
use expect_test::{ExpectFile, expect_file};
use pnyx_core::{
    merkle,
    receipt::signed_text,
    wire::{archive, decision, receipt, record, result, verdict},
};

use crate::{chain_samples, samples};

/// The values are written as the lines of the golden file, and its lines are read as the values.
fn check<T: PartialEq + Debug>(
    golden: ExpectFile,
    values: &[T],
    encode: impl Fn(&T) -> String,
    decode: impl Fn(&str) -> T,
) {
    golden.assert_eq(&lines(values.iter().map(encode)));
    let read: Vec<T> = golden.data().lines().map(decode).collect();
    assert_eq!(read, values);
}

fn lines(lines: impl IntoIterator<Item = String>) -> String {
    lines.into_iter().map(|line| line + "\n").collect()
}

#[test]
fn ballot_record() {
    let bodies = [b"{\"address\":\"0x\"}".to_vec(), Vec::new()];
    check(
        expect_file!["../golden/ballot-record-v1.hex"],
        &bodies,
        |body| hex::encode(record::encode(body)),
        |line| record::decode(&hex::decode(line).unwrap()).unwrap().to_vec(),
    );
}

#[test]
fn verdict_record() {
    check(
        expect_file!["../golden/verdict-v1.hex"],
        &samples::verdicts(),
        |verdict| hex::encode(verdict::encode(verdict)),
        |line| verdict::decode(&hex::decode(line).unwrap()).unwrap(),
    );
}

#[test]
fn decision_records() {
    check(
        expect_file!["../golden/decision-v1.jsonl"],
        &samples::decisions(),
        |decision| String::from_utf8(decision::encode(decision)).unwrap(),
        |line| decision::decode(line.as_bytes()).unwrap(),
    );
}

#[test]
fn receipts() {
    check(expect_file!["../golden/receipt-v1.jsonl"], &samples::receipts(), receipt::encode, |line| {
        receipt::decode(line).unwrap()
    });
}

#[test]
fn signed_result() {
    check(expect_file!["../golden/result-v1.jsonl"], &[samples::result()], result::encode, |line| {
        result::decode(line).unwrap()
    });
}

#[test]
fn archive_lines() {
    check(expect_file!["../golden/archive-v1.jsonl"], &samples::archive(), archive::encode, |line| {
        archive::decode(line).unwrap()
    });
}

#[test]
fn chains() {
    check(
        expect_file!["../golden/decision-chains-v1.jsonl"],
        &chain_samples::decisions(),
        |decision| String::from_utf8(decision::encode(decision)).unwrap(),
        |line| decision::decode(line.as_bytes()).unwrap(),
    );
    check(
        expect_file!["../golden/verdict-chains-v1.hex"],
        &[chain_samples::verdict()],
        |verdict| hex::encode(verdict::encode(verdict)),
        |line| verdict::decode(&hex::decode(line).unwrap()).unwrap(),
    );
    check(expect_file!["../golden/archive-chains-v1.jsonl"], &chain_samples::archive(), archive::encode, |line| {
        archive::decode(line).unwrap()
    });
    let leaves = chain_samples::powers().map(|(voter, power)| merkle::power_leaf(voter, power));
    let (root, _) = merkle::paths(&leaves);
    assert_eq!(root, chain_samples::evidence().powers_root);
    let leaves = leaves.iter().map(|leaf| format!("power leaf {}", hex::encode(leaf)));
    let text = leaves.chain([format!("powers root {root}")]);
    expect_file!["../golden/hashed-chains-v1.txt"].assert_eq(&lines(text));
}

/// What is hashed or signed but never read back.
#[test]
fn hashed_bytes() {
    let ballots = samples::standing().map(|(voter, ballot)| merkle::ballot_leaf(voter, &ballot));
    let (ballots_root, ballot_paths) = merkle::paths(&ballots);
    let receipts = samples::receipts();
    let receipts_root = receipts[0].path.root_from(&receipts[0].receipt.leaf()).unwrap();
    let mut text = Vec::new();
    for (leaf, path) in ballots.iter().zip(&ballot_paths) {
        text.push(format!("ballot leaf {}", hex::encode(leaf)));
        text.push(format!("ballot sibling {}", hex::encode(path.hashes[0])));
    }
    text.push(format!("ballots root {ballots_root}"));
    for signed in &receipts {
        text.push(format!("receipt leaf {}", hex::encode(signed.receipt.leaf())));
    }
    text.push(format!("receipts text {}", signed_text(receipts_root)));
    text.push(format!("result text {}", result::signed_text(&samples::core(), &samples::provenance())));
    expect_file!["../golden/hashed-v1.txt"].assert_eq(&lines(text));
}

#[test]
fn result_parts_stand_in_the_document_in_their_canonical_bytes() {
    let document = result::encode(&samples::result());
    assert!(document.contains(&format!("\"core\":{},", result::encode_core(&samples::core()))));
    assert!(document.contains(&format!("\"provenance\":{},", result::encode_provenance(&samples::provenance()))));
}

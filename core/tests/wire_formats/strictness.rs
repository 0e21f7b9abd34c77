//! Documents that say nearly the right thing, and what the decoders answer.

use expect_test::{Expect, expect};
use pnyx_core::{
    result::DISPUTE_DIFFERENCES_MAX,
    wire::{WireError, archive, decision, receipt, result, verdict},
};

use crate::samples;

fn check<T: std::fmt::Debug>(read: Result<T, WireError>, expected: Expect) {
    expected.assert_eq(&read.unwrap_err().to_string());
}

fn altered(json: &str, from: &str, to: &str) -> String {
    assert!(json.contains(from), "{from} stands in {json}");
    json.replacen(from, to, 1)
}

fn decision_with(which: usize, from: &str, to: &str) -> Result<pnyx_core::decisions::Decision, WireError> {
    let json = String::from_utf8(decision::encode(&samples::decisions()[which])).unwrap();
    decision::decode(altered(&json, from, to).as_bytes())
}

#[test]
fn later_versions_are_named() {
    check(verdict::decode(&[2]), expect!["verdict record has version 2, this build reads 1"]);
    check(
        decision::decode(br#"{"v":2,"kind":"new","x":[]}"#),
        expect!["decision record has version 2, this build reads 1"],
    );
    check(receipt::decode(r#"{"v":9}"#), expect!["receipt has version 9, this build reads 1"]);
    check(archive::decode(r#"{"v":2,"kind":"archive"}"#), expect!["archive line has version 2, this build reads 1"]);
    check(result::decode(r#"{"v":3}"#), expect!["result has version 3, this build reads 1"]);
}

#[test]
fn definitions_must_have_their_id_and_hold_together() {
    check(
        decision_with(1, r#""title":"Fund"#, r#""title":"Refund"#),
        expect![
            "decision record is malformed: proposal: is not the id of these parts, 0xa18dbc7d7bb20724fa7180961a5fc6b98567a581b1a22d8e337ea47deaad8dc9"
        ],
    );
    check(
        decision_with(1, r#""lanes":4"#, r#""lanes":0"#),
        expect!["decision record is malformed: lanes must be 1 to 256"],
    );
    check(
        decision_with(1, r#""lanes":4"#, r#""lanes":4,"extra":1"#),
        expect![
            "decision record is malformed: unknown field `extra`, expected one of `proposal`, `platform`, `namespace`, `name`, `space`, `title`, `body`, `discussion`, `author`, `choices`, `voting`, `window`, `clockSkewSeconds`, `strategies`, `snapshots`, `lanes`, `ballotsPartitions` at line 1 column 1011"
        ],
    );
    check(
        decision_with(1, r#""lanes":4"#, r#""lanes":4,"lanes":4"#),
        expect!["decision record is malformed: duplicate field `lanes` at line 1 column 1011"],
    );
    check(
        decision_with(1, r#""system":"basic""#, r#""system":"Basic""#),
        expect!["decision record is malformed: voting.system: is not a voting system"],
    );
    check(
        decision_with(1, r#""approvalThreshold":666667"#, r#""approvalThreshold":0"#),
        expect!["decision record is malformed: voting.approvalThreshold: must be 1 to 1000000 millionths"],
    );
    check(
        decision_with(1, r#""1250.5""#, r#""1250.50""#),
        expect!["decision record is malformed: its bytes are not the canonical ones"],
    );
    check(
        decision_with(1, r#""closesAtMs":1796130000000"#, r#""closesAtMs":1"#),
        expect!["decision record is malformed: window.closesAtMs: must be after opensAt"],
    );
    check(
        decision_with(1, "0xaA", "0xaa"),
        expect!["decision record is malformed: strategies.params.addresses: address is not EIP-55 checksummed"],
    );
}

#[test]
fn canonical_documents_have_one_form() {
    check(
        decision_with(0, r#""v":1,"#, r#""v": 1,"#),
        expect!["decision record is malformed: its bytes are not the canonical ones"],
    );
    check(
        decision_with(2, r#""endOffset":2"#, r#""endOffset":2.0"#),
        expect!["decision record is malformed: invalid type: floating point `2.0`, expected u64 at line 1 column 165"],
    );
    check(
        decision_with(3, r#""rejected":{"#, r#""rejected":{"tooLarge":0,"#),
        expect!["result is malformed: its bytes are not the canonical ones"],
    );
    check(
        decision_with(3, r#""rejected":{"#, r#""rejected":{"malformedEnvelope":1,"#),
        expect!["result is malformed: its bytes are not the canonical ones"],
    );
    check(
        decision_with(3, r#""rejected":{"#, r#""rejected":{"unheard":1,"#),
        expect![[r#"result is malformed: provenance.rejected: "unheard" is not a rejection"#]],
    );
    check(
        decision_with(3, r#"{"kind":"passed"}"#, r#"{"kind":"won","choice":4}"#),
        expect!["result is malformed: core.decision: names choices that do not exist or are not ascending"],
    );
    check(
        decision_with(3, r#"{"kind":"passed"}"#, r#"{"kind":"tied","choices":[2,1]}"#),
        expect!["result is malformed: core.decision: names choices that do not exist or are not ascending"],
    );
    check(
        decision_with(3, r#"{"kind":"passed"}"#, r#"{"kind":"passed","choice":1}"#),
        expect!["result is malformed: unknown field `choice`, there are no fields at line 1 column 316"],
    );
}

#[test]
fn log_and_dispute_records_have_one_form() {
    check(
        decision_with(4, "\"0x44", "\"0x4"),
        expect!["decision record is malformed: log: expected 0x followed by 32 lower-case hexadecimal digits"],
    );
    check(
        decision_with(4, "\"0x44", "\"44"),
        expect!["decision record is malformed: log: expected 0x followed by 32 lower-case hexadecimal digits"],
    );
    check(
        decision_with(4, "0x4444", "0x4A44"),
        expect!["decision record is malformed: log: expected 0x followed by 32 lower-case hexadecimal digits"],
    );
    check(
        decision_with(4, "\"log\":\"0x", "\"identity\":\"0x"),
        expect![
            "decision record is malformed: unknown field `identity`, expected one of `v`, `kind`, `log` at line 1 column 30"
        ],
    );
    check(
        decision_with(5, r#""proposal":"0x"#, r#""proposal":"0X"#),
        expect!["decision record is malformed: proposal: expected 0x followed by 64 lower-case hexadecimal digits"],
    );
    check(
        decision_with(5, r#""differences":["#, r#""differences":[1,"#),
        expect!["decision record is malformed: invalid type: integer `1`, expected a string at line 1 column 120"],
    );
    check(
        decision_with(5, r#""differences":["#, r#""note":"","differences":["#),
        expect![
            "decision record is malformed: unknown field `note`, expected one of `v`, `kind`, `proposal`, `differences` at line 1 column 110"
        ],
    );
    let many = format!("\"differences\":[{}", r#""more","#.repeat(DISPUTE_DIFFERENCES_MAX));
    check(
        decision_with(5, r#""differences":["#, &many),
        expect!["decision record is malformed: its bytes are not the canonical ones"],
    );
}

#[test]
fn archive_lines_are_checked_by_kind() {
    let ballot = archive::encode(&samples::archive()[6]);
    let with = |from, to| archive::decode(&altered(&ballot, from, to));
    check(
        archive::decode("{\"v\":1,\"kind\":\"header\"}"),
        expect![[r#"decision record is malformed: kind: "header" is not a decision"#]],
    );
    check(archive::decode("{\"v\":1}"), expect!["decision record is malformed: kind: is missing"]);
    check(
        archive::decode(
            "{\"v\":1,\"kind\":\"record\",\"partition\":0,\"offset\":0,\"appendedAtMs\":0,\"record\":\"AQ\"}",
        ),
        expect!["archive line is malformed: record: Invalid padding"],
    );
    check(
        archive::decode(&String::from_utf8(decision::encode(&samples::decisions()[0])).unwrap()),
        expect!["archive line is malformed: kind: an archive has no such line"],
    );
    for which in [4, 5] {
        let line = String::from_utf8(decision::encode(&samples::decisions()[which])).unwrap();
        assert!(archive::decode(&line).is_err(), "an archive has no such line: {line}");
    }
    check(with(r#"{"single":2}"#, r#"{"single":0}"#), expect!["archive line is malformed: choice: is not canonical"]);
    check(
        with(r#"{"single":2}"#, r#"{"approval":[1,1]}"#),
        expect!["archive line is malformed: its bytes are not the canonical ones"],
    );
    check(
        with(r#"{"single":2}"#, r#"{"approval":[65]}"#),
        expect!["archive line is malformed: choice: is not canonical"],
    );
    check(
        with(r#"{"single":2}"#, r#"{"weights":{"1":"0.0000000001"}}"#),
        expect!["archive line is malformed: choice: is not canonical"],
    );
    check(
        with(r#"{"single":2}"#, r#"{"weights":{"01":"1"}}"#),
        expect!["archive line is malformed: its bytes are not the canonical ones"],
    );
    check(
        with(r#"{"single":2}"#, r#"{"ranking":[1,3]}"#),
        expect!["archive line is malformed: choice: is not canonical"],
    );
}

#[test]
fn each_kind_of_choice_has_its_json() {
    let archive::ArchiveLine::Ballot(ballot) = samples::archive().swap_remove(6) else {
        panic!("the sample archive's seventh line is a ballot");
    };
    let json = |choice| {
        let line = archive::ArchiveLine::Ballot(archive::ArchivedBallot { choice, ..ballot.clone() });
        let json = archive::encode(&line);
        assert_eq!(archive::decode(&json), Ok(line));
        let (from, to) = (json.find("\"choice\":").unwrap(), json.find(",\"power\"").unwrap());
        json[from..to].to_owned() + "\n"
    };
    expect![[r#"
        "choice":{"single":2}
        "choice":{"approval":[1,3]}
        "choice":{"weights":{"1":"2.5","3":"0.000000001"}}
        "choice":{"ranking":[3,1,2]}
    "#]]
    .assert_eq(&samples::choices().map(json).concat());
}

#[test]
fn receipts_keep_their_content_in_any_layout() {
    let signed = &samples::receipts()[0];
    let json = receipt::encode(signed);
    let spread = json.replace(',', " ,\n  ").replace(r#"{"v":1 ,"#, "{");
    let spread = format!("{},\"v\":1}}\n", spread.strip_suffix('}').unwrap());
    assert_eq!(receipt::decode(&spread).as_ref(), Ok(signed));

    let with = |from, to| receipt::decode(&altered(&json, from, to));
    check(
        with(r#""offset":0"#, r#""offset":0,"note":"""#),
        expect![
            "receipt is malformed: unknown field `note`, expected one of `v`, `proposal`, `digest`, `record`, `partition`, `offset`, `appendedAtMs`, `path`, `key`, `signature` at line 1 column 274"
        ],
    );
    check(
        with(r#""offset":0"#, r#""offset":-1"#),
        expect!["receipt is malformed: invalid value: integer `-1`, expected u64 at line 1 column 268"],
    );
    check(
        with(r#""signature":"0x"#, r#""signature":"0x00"#),
        expect!["receipt is malformed: signature: expected 0x followed by 130 lower-case hexadecimal digits"],
    );
    check(
        with(r#""proposal":"0x"#, r#""proposal":"0X"#),
        expect!["receipt is malformed: proposal: expected 0x followed by 64 lower-case hexadecimal digits"],
    );
    let zero = format!("\"hashes\":[{}", format!("\"0x{}\",", "00".repeat(32)).repeat(64));
    check(with("\"hashes\":[", &zero), expect!["receipt is malformed: path.hashes: has more than 64 entries"]);
}

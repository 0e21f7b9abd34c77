//! Every way to tamper with an archive shows as itself: by its own failure, with a message that says what it means.
//!
//! Results are signed again by the platform's own key after each change, so that nothing hides behind the signature.

use std::fmt::Write as _;

use expect_test::expect_file;
use pnyx_core::{
    id::{RecordHash, Root, Voter},
    merkle::{RootBuilder, record_leaf},
    outcome::OutcomeDecision,
    power::Power,
    rejection::Rejection,
    result::{Cut, PublishedResult},
    time::TimestampMs,
    wire::archive::{ArchiveLine, ArchivedBallot, ArchivedRecord, decode, encode},
};

use pnyx_recount::audit::LINE_BYTES_MAX;

use crate::sample::{audit_with, platform_key, wallet, weighted};

/// Decoded lines without the end line, which is added again with the right count.
type Lines = Vec<ArchiveLine>;

enum Tampering {
    OfLines(fn(&mut Lines)),
    OfText(fn(String) -> String),
}

use Tampering::{OfLines, OfText};

const TAMPERINGS: &[(&str, Tampering)] = &[
    ("record dropped", OfLines(|lines| drop(lines.remove(record(lines, 1, 3))))),
    ("last record of a partition dropped", OfLines(|lines| drop(lines.remove(record(lines, 0, 10))))),
    ("last record dropped", OfLines(|lines| drop(lines.remove(record(lines, 1, 7))))),
    ("record dropped and the rest renumbered", OfLines(drop_and_renumber)),
    ("record added at the end", OfLines(add_record)),
    (
        "record repeated",
        OfLines(|lines| {
            let at = record(lines, 1, 3);
            lines.insert(at, lines[at].clone());
        }),
    ),
    ("record altered", OfLines(|lines| record_mut(lines, 1, 4).record[300] ^= 1)),
    (
        "records reordered",
        OfLines(|lines| {
            let at = record(lines, 1, 3);
            lines.swap(at, at + 1);
        }),
    ),
    (
        "records exchanged and renumbered",
        OfLines(|lines| {
            let other = record_mut(lines, 1, 4).record.clone();
            let one = std::mem::replace(&mut record_mut(lines, 1, 3).record, other);
            record_mut(lines, 1, 4).record = one;
        }),
    ),
    (
        "append time moved before its predecessor's",
        OfLines(|lines| record_mut(lines, 1, 4).appended_at = TimestampMs(1)),
    ),
    (
        "append time moved out of the window",
        OfLines(|lines| {
            (9..=10).for_each(|offset| record_mut(lines, 0, offset).appended_at = TimestampMs(u64::MAX));
        }),
    ),
    ("proposal text altered", OfText(|text| text.replacen("Which tree", "What tree", 1))),
    ("choice text altered", OfText(|text| text.replacen("\"Oak\"", "\"Ash\"", 1))),
    ("window altered", OfText(|text| text.replacen("1760003600000", "1760003600001", 1))),
    ("power altered in the definition", OfText(|text| text.replacen("\"1.25\"", "\"9.25\"", 1))),
    (
        "header of another proposal",
        OfLines(|lines| {
            lines[0] = ArchiveLine::Header { proposal: pnyx_core::id::ProposalId::new([9; 32]) };
        }),
    ),
    ("cut of another proposal", OfLines(|lines| cut_mut(lines).proposal = pnyx_core::id::ProposalId::new([9; 32]))),
    ("cut raised", OfLines(|lines| cut_mut(lines).partitions[1].end_offset += 1)),
    ("cut lowered", OfLines(|lines| cut_mut(lines).partitions[1].end_offset -= 1)),
    ("cut with another record root", OfLines(|lines| cut_mut(lines).partitions[0].records_root = Root::new([7; 32]))),
    ("cut at another time", OfLines(|lines| cut_mut(lines).decided_at = TimestampMs(1))),
    ("cut without a partition", OfLines(|lines| cut_mut(lines).partitions.truncate(1))),
    (
        "cut altered in the result",
        OfLines(|lines| {
            resign(lines, |result| result.provenance.cut.partitions[0].end_offset -= 1);
        }),
    ),
    ("standing ballot left out", OfLines(|lines| drop(lines.remove(ballot(lines, 5))))),
    (
        "standing ballot invented",
        OfLines(|lines| {
            let at = ballot(lines, 5);
            let mut invented = ballot_at(lines, at).clone();
            invented.voter = Voter::new([0xff; 20]);
            let end = lines.len() - 1;
            lines.insert(end, ArchiveLine::Ballot(invented));
        }),
    ),
    (
        "voter twice",
        OfLines(|lines| {
            let at = ballot(lines, 5);
            lines.insert(at, lines[at].clone());
        }),
    ),
    (
        "ballots reordered",
        OfLines(|lines| {
            let first = lines.iter().position(|line| matches!(line, ArchiveLine::Ballot(_))).unwrap();
            lines.swap(first, first + 1);
        }),
    ),
    (
        "superseded ballot shown as standing",
        OfLines(|lines| {
            let superseded = ballot_at(lines, ballot(lines, 5)).digest;
            ballot_mut(lines, 2).digest = superseded;
        }),
    ),
    (
        "choice altered",
        OfLines(|lines| {
            let other = ballot_at(lines, ballot(lines, 6)).choice.clone();
            ballot_mut(lines, 5).choice = other;
        }),
    ),
    ("power altered", OfLines(|lines| ballot_mut(lines, 5).power = Power::parse("500").unwrap())),
    (
        "another copy as evidence",
        OfLines(|lines| {
            ballot_mut(lines, 4).record = RecordHash::of(&record_mut(lines, 1, 1).record);
        }),
    ),
    (
        "result of another proposal",
        OfLines(|lines| {
            resign(lines, |result| {
                let other = pnyx_core::id::ProposalId::new([9; 32]);
                (result.core.proposal, result.provenance.cut.proposal) = (other, other);
            });
        }),
    ),
    ("number of ballots altered", OfLines(|lines| resign(lines, |result| result.core.ballots += 1))),
    ("total altered", OfLines(|lines| resign(lines, |result| result.core.outcome.total_power += ONE_UNIT))),
    ("score altered", OfLines(|lines| resign(lines, |result| result.core.outcome.scores.0[1] += ONE_UNIT))),
    (
        "decision altered",
        OfLines(|lines| {
            resign(lines, |result| result.core.outcome.decision = OutcomeDecision::Won(2));
        }),
    ),
    (
        "quorum altered",
        OfLines(|lines| {
            resign(lines, |result| result.core.outcome.quorum_reached = Some(false));
        }),
    ),
    ("root altered", OfLines(|lines| resign(lines, |result| result.core.ballots_root = Root::new([7; 32])))),
    ("number of records altered", OfLines(|lines| resign(lines, |result| result.provenance.records += 1))),
    (
        "rejections altered",
        OfLines(|lines| {
            resign(lines, |result| {
                result.provenance.rejected.retain(|rejection, _| *rejection != Rejection::WrongSigner)
            });
        }),
    ),
    ("result signed by nobody", OfLines(|lines| result_mut(lines).signature[5] ^= 1)),
    ("result signed in another's name", OfLines(|lines| result_mut(lines).key = wallet(1).address())),
    ("line removed before the end line", OfText(|text| text.replacen("\"lines\":30}", "\"lines\":31}", 1))),
    (
        "line after the end line",
        OfText(|text| {
            let first = text.lines().next().unwrap().to_owned();
            text + &first + "\n"
        }),
    ),
    ("result missing", OfLines(|lines| drop(lines.pop()))),
    ("definition missing", OfLines(|lines| drop(lines.remove(1)))),
    ("truncated after the records", OfText(|text| text.lines().take(22).map(|line| format!("{line}\n")).collect())),
    ("truncated within a line", OfText(|text| text[..text.len() / 2].to_owned())),
    ("truncated before the end line", OfText(|text| text[..text.trim_end().rfind('\n').unwrap() + 1].to_owned())),
    ("line without end", OfText(|_| "x".repeat(LINE_BYTES_MAX + 1))),
    ("empty", OfText(|_| String::new())),
    ("not an archive", OfText(|_| "<html>\n".to_owned())),
];

const ONE_UNIT: alloy_primitives::U256 = alloy_primitives::U256::ONE;

#[test]
fn every_tampering_is_named() {
    let mut seen = String::new();
    for (name, tampering) in TAMPERINGS {
        let text = String::from_utf8(weighted().archive()).unwrap();
        let tampered = match tampering {
            OfLines(change) => {
                let mut lines: Lines = text.lines().map(|line| decode(line).unwrap()).collect();
                lines.pop();
                change(&mut lines);
                lines.push(ArchiveLine::End { lines: lines.len() as u64 });
                lines.iter().map(|line| encode(line) + "\n").collect()
            }
            OfText(change) => change(text.clone()),
        };
        assert!(tampered != text, "{name} changes nothing");
        let failure = audit_with(tampered.as_bytes(), &[]).expect_err(name);
        let debug = format!("{failure:?}");
        let variant = debug.split([' ', '{']).next().unwrap().to_owned();
        writeln!(seen, "{name}\n  {variant}: {failure}").unwrap();
    }
    expect_file!["tamperings.txt"].assert_eq(&seen);
}

#[test]
fn the_untouched_archive_is_valid() {
    let report = audit_with(&weighted().archive(), &[]).unwrap();
    assert_eq!(report.core, weighted().result().core);
    assert_eq!(report.to_json()["valid"], true);
}

fn record(lines: &Lines, partition: u32, offset: u64) -> usize {
    let at = |line: &ArchiveLine| matches!(line, ArchiveLine::Record(record) if record.place.partition == partition && record.place.offset == offset);
    lines.iter().position(at).unwrap()
}

fn record_mut(lines: &mut Lines, partition: u32, offset: u64) -> &mut ArchivedRecord {
    let at = record(lines, partition, offset);
    match &mut lines[at] {
        ArchiveLine::Record(record) => record,
        other => panic!("{other:?}"),
    }
}

fn ballot(lines: &Lines, voter: u8) -> usize {
    let voter = wallet(voter).address();
    lines.iter().position(|line| matches!(line, ArchiveLine::Ballot(ballot) if ballot.voter == voter)).unwrap()
}

fn ballot_at(lines: &Lines, at: usize) -> &ArchivedBallot {
    match &lines[at] {
        ArchiveLine::Ballot(ballot) => ballot,
        other => panic!("{other:?}"),
    }
}

fn ballot_mut(lines: &mut Lines, voter: u8) -> &mut ArchivedBallot {
    let at = ballot(lines, voter);
    match &mut lines[at] {
        ArchiveLine::Ballot(ballot) => ballot,
        other => panic!("{other:?}"),
    }
}

fn cut_mut(lines: &mut Lines) -> &mut Cut {
    match &mut lines[2] {
        ArchiveLine::Cut(cut) => cut,
        other => panic!("{other:?}"),
    }
}

fn result_mut(lines: &mut Lines) -> &mut PublishedResult {
    match lines.last_mut() {
        Some(ArchiveLine::Result(result)) => result,
        other => panic!("{other:?}"),
    }
}

/// Alters the result and signs it again, as somebody with the platform's key could.
fn resign(lines: &mut Lines, change: impl FnOnce(&mut PublishedResult)) {
    let result = result_mut(lines);
    change(result);
    *result = PublishedResult::sign(result.core.clone(), result.provenance.clone(), &platform_key());
}

fn drop_and_renumber(lines: &mut Lines) {
    lines.remove(record(lines, 1, 3));
    for offset in 3..7 {
        record_mut(lines, 1, offset + 1).place.offset = offset;
    }
    let mut root = RootBuilder::default();
    (0..7).for_each(|offset| root.push(&record_leaf(RecordHash::of(&record_mut(lines, 1, offset).record))));
    let cut = &mut cut_mut(lines).partitions[1];
    (cut.end_offset, cut.records_root) = (7, root.root());
}

fn add_record(lines: &mut Lines) {
    let at = record(lines, 1, 7);
    let mut added = record_mut(lines, 1, 7).clone();
    added.place.offset = 8;
    lines.insert(at + 1, ArchiveLine::Record(added));
}

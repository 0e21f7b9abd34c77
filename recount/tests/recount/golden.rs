//! The committed archive: bytes that may never change, for this audit and for anybody who writes another.

use std::fmt::Write as _;

use expect_test::expect_file;
use pnyx_core::{id::Digest, power::format_units, wire};

use crate::sample::{audit_with, platform_key, weighted};

#[test]
fn the_committed_archive_and_its_description_are_current() {
    let (archive, result) = (weighted().archive(), weighted().result());
    expect_file!["../../../docs/golden/archive-weighted.jsonl"].assert_eq(std::str::from_utf8(&archive).unwrap());

    let report = audit_with(&archive, &[]).unwrap();
    let mut text = "# Golden archive\n\n\
        `archive-weighted.jsonl` is the archive of a weighted vote made from fixed keys and fixed times. A test of\n\
        `recount/` writes it and this page again and fails if a byte differs. An independent auditor must come to:\n\n"
        .to_owned();
    writeln!(text, "| what | value |\n|---|---|").unwrap();
    writeln!(text, "| proposal | `{}` |", report.proposal).unwrap();
    writeln!(text, "| records below the cut | {} in {} partitions |", report.records, report.partitions).unwrap();
    for (rejection, count) in &report.rejected {
        writeln!(text, "| rejected as `{}` | {count} |", rejection.name()).unwrap();
    }
    writeln!(text, "| standing ballots | {} |", report.core.ballots).unwrap();
    writeln!(text, "| total power | {} |", format_units(report.core.outcome.total_power)).unwrap();
    for (choice, score) in report.choices.iter().zip(&report.core.outcome.scores.0) {
        writeln!(text, "| score of {choice} | {} |", format_units(*score)).unwrap();
    }
    writeln!(text, "| decision | {} |", report.decision()).unwrap();
    writeln!(text, "| ballots root | `{}` |", report.core.ballots_root).unwrap();
    writeln!(text, "| signed by | `{}` |", platform_key().address()).unwrap();
    writeln!(
        text,
        "\nThe core part of the result, byte for byte:\n\n```json\n{}\n```",
        wire::result::encode_core(&result.core)
    )
    .unwrap();
    expect_file!["../../../docs/golden/README.md"].assert_eq(&text);
}

#[test]
fn of_several_good_copies_the_smallest_represents_the_ballot() {
    let sample = weighted();
    let records = sample.records();
    let copies = records.iter().filter(|record| record.place.partition == 1 && (1..=3).contains(&record.place.offset));
    let smallest = copies.map(|record| &record.record).min().unwrap();
    let voter = crate::sample::wallet(4).address();
    let ballots = sample.recount(1).ballots;
    let ballot = ballots.iter().find(|ballot| ballot.voter == voter).unwrap();
    assert_eq!(ballot.record, pnyx_core::id::RecordHash::of(smallest));
    assert_ne!(ballot.digest, Digest::new([0; 32]));
}

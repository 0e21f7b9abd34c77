//! The ballot lines of an archive against the standing ballots that its records give.

use std::{collections::BTreeMap, io::BufRead};

use pnyx_core::{
    id::Voter,
    result::PublishedResult,
    wire::archive::{ArchiveLine, ArchivedBallot},
};

use super::{AuditFailure, lines::Lines};
use crate::count::CountedBallot;

/// Reads all ballot lines, the first of which may be `line`, and gives the result that follows them.
pub(super) fn compare_ballots<R: BufRead>(
    lines: &mut Lines<R>,
    mut line: ArchiveLine,
    standing: &BTreeMap<Voter, CountedBallot>,
) -> Result<PublishedResult, AuditFailure> {
    let mut expected = standing.iter();
    let mut previous = None;
    loop {
        let archived = match line {
            ArchiveLine::Ballot(archived) => archived,
            ArchiveLine::Result(result) => {
                return match expected.next() {
                    Some((&voter, counted)) => {
                        Err(AuditFailure::BallotLeftOut { voter, digest: counted.ballot.digest })
                    }
                    None => Ok(*result),
                };
            }
            other => return Err(lines.unexpected("a ballot or the result", &other)),
        };
        check_order(previous, &archived, lines.number())?;
        previous = Some(archived.voter);
        if !standing.contains_key(&archived.voter) {
            let (voter, digest) = (archived.voter, archived.digest);
            return Err(AuditFailure::BallotWithoutRecord { line: lines.number(), voter, digest });
        }
        let (&voter, counted) =
            expected.next().expect("ascending voters that all stand are no more than those that stand");
        if voter != archived.voter {
            return Err(left_out_or_moved(lines, voter, archived.voter, counted));
        }
        compare(&archived, counted)?;
        line = lines.next()?;
    }
}

fn check_order(previous: Option<Voter>, archived: &ArchivedBallot, line: u64) -> Result<(), AuditFailure> {
    let voter = archived.voter;
    match previous {
        Some(previous) if voter == previous => Err(AuditFailure::VoterRepeated { line, voter }),
        Some(previous) if voter < previous => Err(AuditFailure::BallotOutOfOrder { line, voter, previous }),
        Some(_) | None => Ok(()),
    }
}

/// What to say of a voter who should have a line but another has it: the line may follow further down.
fn left_out_or_moved<R: BufRead>(
    lines: &mut Lines<R>,
    voter: Voter,
    previous: Voter,
    counted: &CountedBallot,
) -> AuditFailure {
    while let Ok(ArchiveLine::Ballot(ballot)) = lines.next() {
        if ballot.voter == voter {
            return AuditFailure::BallotOutOfOrder { line: lines.number(), voter, previous };
        }
    }
    AuditFailure::BallotLeftOut { voter, digest: counted.ballot.digest }
}

fn compare(archived: &ArchivedBallot, counted: &CountedBallot) -> Result<(), AuditFailure> {
    let ArchivedBallot { voter, digest, choice, power, record } = archived;
    let (voter, ballot) = (*voter, &counted.ballot);
    if *digest != ballot.digest {
        return Err(AuditFailure::BallotDigest { voter, archived: *digest, recounted: ballot.digest });
    }
    if *choice != ballot.choice {
        let (archived, recounted) = (choice.to_string(), ballot.choice.to_string());
        return Err(AuditFailure::BallotChoice { voter, archived, recounted });
    }
    if *power != ballot.power {
        return Err(AuditFailure::BallotPower { voter, archived: *power, recounted: ballot.power });
    }
    if *record != counted.record {
        return Err(AuditFailure::BallotRecord { voter, archived: *record, recounted: counted.record });
    }
    Ok(())
}

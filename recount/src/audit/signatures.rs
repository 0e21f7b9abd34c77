//! The contractSignature lines of an archive: what voters' contracts said of signatures that are no key's. Without a chain at
//! hand they are believed, as evidence that anybody can ask for again at the pin; what follows from them is computed.

use std::io::BufRead;

use pnyx_core::{
    chain::Pin,
    id::{Digest, RecordHash, Root, Voter},
    signature_check::SignatureRuling,
    wire::archive::{ArchiveLine, ArchivedContractSignature},
};
use thiserror::Error;

use super::{AuditFailure, lines::Lines};
use crate::count::Weighed;

/// What can be wrong with what an archive says of contracts.
#[derive(Debug, Error)]
pub enum SignaturesFailure {
    /// A record that a contract had to judge, without a line.
    #[error(
        "record {record} claims account {voter}, and no line says what its contract made of the signature: evidence was left \
         out"
    )]
    LeftOut {
        /// The record.
        record: RecordHash,
        /// Its account.
        voter: Voter,
    },
    /// A line of a record that no contract had to judge.
    #[error(
        "line {line} says what a contract made of record {record}, but no record below the cut has that hash and needs a \
         contract: evidence was added"
    )]
    WithoutClaim {
        /// The line's number, from 1.
        line: u64,
        /// The record.
        record: RecordHash,
    },
    /// Another account's contract.
    #[error("line {line} names the contract of account {archived}, but record {record} claims {claimed}")]
    OtherVoter {
        /// The line's number, from 1.
        line: u64,
        /// The record.
        record: RecordHash,
        /// The account in the line.
        archived: Voter,
        /// The record's.
        claimed: Voter,
    },
    /// Lines that are not strictly sorted by record.
    #[error("line {line} is of record {record}, after that of {previous}: evidence was reordered or repeated")]
    OutOfOrder {
        /// The line's number, from 1.
        line: u64,
        /// The record.
        record: RecordHash,
        /// The record of the line before.
        previous: RecordHash,
    },
    /// Other rulings than the signed result vouches for.
    #[error(
        "the contractSignature lines have root {}, but the signed result says {}: what contracts said was changed after the \
         result was signed", text(.computed), text(.published)
    )]
    Root {
        /// What the result says.
        published: Option<Root>,
        /// What the lines give.
        computed: Option<Root>,
    },
}

/// What a contract was asked and said, by the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AskedSignature {
    /// The record that holds the signature.
    pub record: RecordHash,
    /// The account.
    pub voter: Voter,
    /// What is said to be signed.
    pub digest: Digest,
    /// The signature.
    pub signature: Vec<u8>,
    /// What was said of it.
    pub ruling: SignatureRuling,
}

/// What follows the power lines.
pub(super) struct Ruled {
    /// All claims are settled.
    pub(super) weighed: Weighed,
    /// Records that contracts were asked about.
    pub(super) count: u64,
    /// What they were asked, if that is to be kept.
    pub(super) asked: Vec<AskedSignature>,
    /// The line after the last that was read.
    pub(super) line: ArchiveLine,
}

/// Reads what contracts said, the first line of which may be `line`, and settles the claims with it. Without the pin of a
/// signers' chain there are none.
pub(super) fn read_rulings<R: BufRead>(
    lines: &mut Lines<R>,
    line: ArchiveLine,
    weighed: Weighed,
    pin: Option<&Pin>,
    keeps_asked: bool,
) -> Result<Ruled, AuditFailure> {
    let Some(pin) = pin else { return Ok(Ruled { weighed, count: 0, asked: Vec::new(), line }) };
    let claims = weighed.claims();
    let expected: Vec<(RecordHash, Voter)> =
        claims.iter().map(|(record, claim)| (*record, claim.claimed_voter())).collect();
    let (rulings, line) = read_lines(lines, line, &expected)?;
    let kept = claims.into_iter().zip(&rulings).filter(|_| keeps_asked);
    let asked = kept.map(|((record, claim), ruling)| {
        let question = claim.question();
        let signature = question.signature.to_vec();
        AskedSignature { record, voter: question.signer, digest: question.digest, signature, ruling: *ruling }
    });
    let (asked, count) = (asked.collect(), rulings.len() as u64);
    let said = expected.into_iter().zip(rulings).map(|((record, voter), ruling)| (record, voter, ruling));
    Ok(Ruled { weighed: weighed.settle(pin, said), count, asked, line })
}

/// The ruling of each of the `expected` records; and the line that follows them.
fn read_lines<R: BufRead>(
    lines: &mut Lines<R>,
    mut line: ArchiveLine,
    expected: &[(RecordHash, Voter)],
) -> Result<(Vec<SignatureRuling>, ArchiveLine), AuditFailure> {
    let mut rulings = Vec::with_capacity(expected.len());
    let mut previous = None;
    loop {
        let next = expected.get(rulings.len()).copied();
        let ArchiveLine::ContractSignature(ArchivedContractSignature { record, voter, ruling }) = line else {
            return match next {
                Some((record, voter)) => Err(SignaturesFailure::LeftOut { record, voter }.into()),
                None => Ok((rulings, line)),
            };
        };
        let number = lines.number();
        if let Some(previous) = previous.filter(|previous| record <= *previous) {
            return Err(SignaturesFailure::OutOfOrder { line: number, record, previous }.into());
        }
        if expected.binary_search_by_key(&record, |(record, _)| *record).is_err() {
            return Err(SignaturesFailure::WithoutClaim { line: number, record }.into());
        }
        let (awaited, claimed) = next.expect("ascending records that are all expected are no more than those expected");
        if awaited != record {
            return Err(SignaturesFailure::LeftOut { record: awaited, voter: claimed }.into());
        }
        if voter != claimed {
            return Err(SignaturesFailure::OtherVoter { line: number, record, archived: voter, claimed }.into());
        }
        previous = Some(record);
        rulings.push(ruling);
        line = lines.next()?;
    }
}

fn text(root: &Option<Root>) -> String {
    root.map_or_else(|| "none".to_owned(), |root| root.to_string())
}

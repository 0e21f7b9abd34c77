//! The contractSignature lines of an archive: what voters' contracts said of signatures that are no key's. Without a
//! chain at hand they are believed, as evidence that anybody can ask for again at the pin; what follows from them is
//! computed.

use std::io::BufRead;

use pnyx_core::{
    id::{Digest, RecordHash, Root, Voter},
    signature_check::SignatureRuling,
    wire::archive::{ArchiveLine, ArchivedContractSignature},
};
use thiserror::Error;

use super::{AuditFailure, lines::Lines, recorded::Rulings};

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

/// Reads all contractSignature lines, the first of which may be `line`; gives the line that follows them.
pub(super) fn read_rulings<R: BufRead>(
    lines: &mut Lines<R>,
    mut line: ArchiveLine,
) -> Result<(Rulings, ArchiveLine), AuditFailure> {
    let mut rulings = Rulings::new(lines.number());
    while let ArchiveLine::ContractSignature(ArchivedContractSignature { record, voter, ruling }) = line {
        if let Some(previous) = rulings.last().filter(|previous| record <= *previous) {
            return Err(SignaturesFailure::OutOfOrder { line: lines.number(), record, previous }.into());
        }
        rulings.push(record, (voter, ruling));
        line = lines.next()?;
    }
    Ok((rulings, line))
}

fn text(root: &Option<Root>) -> String {
    root.map_or_else(|| "none".to_owned(), |root| root.to_string())
}

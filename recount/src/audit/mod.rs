//! The audit: everything an archive says, computed again from its records alone, in the order of the file.
//!
//! The first wrong thing is named, so the order of checks matters: what a line says is checked before what follows from
//! it, and signatures last, so that each way of tampering shows as itself and not as its consequences. A file that
//! contradicts itself nowhere can still have been made by somebody who holds the platform's key and left ballots out;
//! that is what receipts are for.
//!
//! Memory is that of [`crate::count::Counter`], which grows with voters and not with records, and some eighty bytes for
//! each line of what chains said: those stand before the records, so that a claimed record is settled as it is read and
//! forgotten unless it may stand. Whoever is to ask contracts again ([`AuditOptions::asks_again`]) keeps one signature,
//! of 8 KiB at most, for each contractSignature line: for the records of accounts with power, and for no other.

mod ballots;
mod chains;
mod failure;
mod lines;
mod powers;
mod receipts;
mod recorded;
mod records;
mod report;
mod result;
mod signatures;

use std::{io::BufRead, num::NonZeroUsize, sync::Arc};

use pnyx_core::{id::Voter, receipt::SignedReceipt, wire::archive::ArchiveLine};

pub use chains::{ChainAnswers, ChainDifference, LookUpError, PowerDifference, look_up_again};
pub use failure::AuditFailure;
pub use lines::LINE_BYTES_MAX;
pub use powers::PowersFailure;
pub use receipts::{ReceiptFinding, ReceiptReport};
pub use report::{AuditReport, AuditedSignatures, PowerEvidence};
pub use signatures::{AskedSignature, SignaturesFailure};

use crate::{count::all_cores, recounting::Recounted};

/// How an archive is audited.
#[derive(Debug, Clone)]
pub struct AuditOptions {
    /// Keys that may have signed the result and the receipts; empty: whichever key signed the result.
    pub keys: Vec<Voter>,
    /// Cores that check signatures.
    pub threads: NonZeroUsize,
    /// Whether [`look_up_again`] follows: what contracts were asked is kept in memory for it, and else they are not
    /// asked.
    pub asks_again: bool,
}

impl Default for AuditOptions {
    fn default() -> Self {
        Self { keys: Vec::new(), threads: all_cores(), asks_again: false }
    }
}

/// Audits an archive and holds receipts against it. `progress` is given the number of records read so far.
///
/// # Errors
/// The first thing that is wrong.
pub fn audit(
    reader: impl BufRead,
    receipts: &[SignedReceipt],
    options: &AuditOptions,
    progress: &mut dyn FnMut(u64),
) -> Result<AuditReport, AuditFailure> {
    let mut lines = lines::Lines::new(reader);
    let opening = records::read_opening(&mut lines)?;
    let said = records::read_said(&mut lines, &opening, options.asks_again)?;
    let recorded = said.0.clone();
    let watched = receipts::places(receipts);
    let (signed, line) = records::count_records(&mut lines, &opening, said, watched, options, progress)?;
    let records::Opening { definition, cut, pins } = opening;
    let proposal = definition.proposal();
    let signers = signed.signers();
    let recorded::Evidence { powers, signatures, asked } = match recorded {
        Some(recorded) => Arc::into_inner(recorded).expect("all workers have ended").finish(&signers)?,
        None => recorded::Evidence::listed(proposal, &signers),
    };
    let audited =
        proposal.signers().map(|_| AuditedSignatures { asked: signatures.len() as u64, are_asked_again: false });
    let counted = signed.count(powers, signatures);
    let published = ballots::compare_ballots(&mut lines, line, &counted.standing)?;
    read_end(&mut lines)?;

    let believed_key = [published.key];
    let accepted_keys = if options.keys.is_empty() { &believed_key[..] } else { &options.keys[..] };
    let evidence = receipts::Evidence::new(proposal.id(), &cut, &counted, accepted_keys);
    let receipts = receipts.iter().map(|receipt| receipts::find(receipt, &evidence)).collect::<Vec<_>>();

    let recounted = Recounted::new(&definition, pins.as_ref(), cut, counted);
    result::compare_result(&published, &recounted, options)?;
    let power = if proposal.reads_power() { PowerEvidence::Recorded } else { PowerEvidence::Definition };
    let chain_answers = pins.clone().map(|pins| ChainAnswers {
        definition: Arc::clone(&definition),
        pins: Arc::new(pins),
        powers: recounted.powers,
        signatures: asked,
    });
    Ok(AuditReport {
        proposal: proposal.id(),
        title: proposal.parts().title.clone(),
        system: proposal.system(),
        choices: proposal.parts().choices.clone(),
        partitions: recounted.provenance.cut.partitions.len(),
        records: recounted.provenance.records,
        rejected: recounted.provenance.rejected,
        power,
        signatures: audited,
        chain_answers,
        core: recounted.core,
        key: published.key,
        key_was_given: !options.keys.is_empty(),
        result: published,
        receipts: receipts.into_iter().collect::<Result<_, _>>()?,
    })
}

/// The end line, with the right count, and nothing after it.
fn read_end<R: BufRead>(lines: &mut lines::Lines<R>) -> Result<(), AuditFailure> {
    let found = lines.number();
    match lines.next()? {
        ArchiveLine::End { lines: stated } if stated == found => lines.expect_end(),
        ArchiveLine::End { lines: stated } => Err(AuditFailure::LineCount { stated, found }),
        other => Err(lines.unexpected("the end line", &other)),
    }
}

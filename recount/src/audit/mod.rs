//! The audit: everything an archive says, computed again from its records alone, in the order of the file.
//!
//! The first wrong thing is named, so the order of checks matters: what a line says is checked before what follows from
//! it, and signatures last, so that each way of tampering shows as itself and not as its consequences. A file that
//! contradicts itself nowhere can still have been made by somebody who holds the platform's key and left ballots out;
//! that is what receipts are for.
//!
//! Memory is that of [`crate::count::Counter`]: it grows with voters, not with records.

mod ballots;
mod chains;
mod failure;
mod lines;
mod powers;
mod receipts;
mod records;
mod report;
mod result;

use std::{io::BufRead, num::NonZeroUsize, sync::Arc};

use pnyx_core::{id::Voter, receipt::SignedReceipt, wire::archive::ArchiveLine};

pub use chains::{ChainDifference, ChainPowers, LookUpError, PowerDifference, look_up_again};
pub use failure::AuditFailure;
pub use lines::LINE_BYTES_MAX;
pub use powers::PowersFailure;
pub use receipts::{ReceiptFinding, ReceiptReport};
pub use report::{AuditReport, PowerEvidence};

use pnyx_verification::ListedPower;

use crate::{count::all_cores, recounting::Recounted};

/// How an archive is audited.
#[derive(Debug, Clone)]
pub struct AuditOptions {
    /// Keys that may have signed the result and the receipts; empty: whichever key signed the result.
    pub keys: Vec<Voter>,
    /// Cores that check signatures.
    pub threads: NonZeroUsize,
}

impl Default for AuditOptions {
    fn default() -> Self {
        Self { keys: Vec::new(), threads: all_cores() }
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
    let (signed, after_records) =
        records::count_records(&mut lines, &opening, receipts::places(receipts), options, progress)?;
    let records::Opening { definition, cut, pins } = opening;
    let proposal = definition.proposal();
    let signers = signed.signers();
    let (powers, after_powers) = match &pins {
        Some(_) => powers::read_powers(&mut lines, after_records, &signers)?,
        None => (ListedPower::of(proposal).powers(&signers), after_records),
    };
    let counted = signed.weigh(&powers);
    let published = ballots::compare_ballots(&mut lines, after_powers, &counted.standing)?;
    read_end(&mut lines)?;

    let believed_key = [published.key];
    let accepted_keys = if options.keys.is_empty() { &believed_key[..] } else { &options.keys[..] };
    let evidence = receipts::Evidence::new(proposal.id(), &cut, &counted, accepted_keys);
    let receipts = receipts.iter().map(|receipt| receipts::find(receipt, &evidence)).collect::<Vec<_>>();

    let recounted = Recounted::new(&definition, pins.as_ref(), cut, counted);
    result::compare_result(&published, &recounted, options)?;
    let power = if pins.is_some() { PowerEvidence::Recorded } else { PowerEvidence::Definition };
    let chain_powers = pins.map(|pins| ChainPowers {
        definition: Arc::clone(&definition),
        pins: Arc::new(pins),
        powers: recounted.powers,
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
        chain_powers,
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

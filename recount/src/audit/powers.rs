//! The power lines of an archive: what the chains said of each voter who signed. Without a chain at hand they are
//! believed, as evidence that anybody can look up again at the pins; what follows from them is computed.

use std::io::BufRead;

use pnyx_core::{
    chain::Pins,
    id::Voter,
    power::VoterPower,
    proposal::Proposal,
    wire::archive::{ArchiveLine, ArchivedPower},
};

use super::{AuditFailure, lines::Lines};

/// Reads the pins line if the proposal reads chains, and holds it against the definition.
pub(super) fn read_pins<R: BufRead>(lines: &mut Lines<R>, proposal: &Proposal) -> Result<Option<Pins>, AuditFailure> {
    if proposal.parts().snapshots.is_empty() {
        return Ok(None);
    }
    match lines.next()? {
        ArchiveLine::Pins(pins) if pins.fit(proposal) => Ok(Some(pins)),
        ArchiveLine::Pins(_) => Err(AuditFailure::PinsOfOther { line: lines.number() }),
        other => Err(lines.unexpected("the pins", &other)),
    }
}

/// Reads the power line of each of `signers`, the first of which may be `line`; gives the line that follows them.
pub(super) fn read_powers<R: BufRead>(
    lines: &mut Lines<R>,
    mut line: ArchiveLine,
    signers: &[Voter],
) -> Result<(Vec<VoterPower>, ArchiveLine), AuditFailure> {
    let mut powers = Vec::with_capacity(signers.len());
    let mut previous = None;
    for signer in signers {
        let ArchivedPower { voter, power } = match line {
            ArchiveLine::Power(archived) => archived,
            _ => return Err(AuditFailure::PowerLeftOut { voter: *signer }),
        };
        check_order(previous, voter, lines.number())?;
        if voter != *signer {
            return Err(if signers.binary_search(&voter).is_ok() {
                AuditFailure::PowerLeftOut { voter: *signer }
            } else {
                AuditFailure::PowerWithoutRecord { line: lines.number(), voter }
            });
        }
        previous = Some(voter);
        powers.push(power);
        line = lines.next()?;
    }
    match line {
        ArchiveLine::Power(ArchivedPower { voter, .. }) => {
            check_order(previous, voter, lines.number())?;
            Err(AuditFailure::PowerWithoutRecord { line: lines.number(), voter })
        }
        other => Ok((powers, other)),
    }
}

fn check_order(previous: Option<Voter>, voter: Voter, line: u64) -> Result<(), AuditFailure> {
    match previous {
        Some(previous) if voter <= previous => Err(AuditFailure::PowerOutOfOrder { line, voter, previous }),
        Some(_) | None => Ok(()),
    }
}

//! The power lines of an archive: what the chains said of each voter who signed. Without a chain at hand they are
//! believed, as evidence that anybody can look up again at the pins; what follows from them is computed.

use std::io::BufRead;

use pnyx_core::{
    chain::Pins,
    id::{Root, Voter},
    power::VoterPower,
    proposal::Proposal,
    wire::archive::{ArchiveLine, ArchivedPower},
};
use thiserror::Error;

use super::{AuditFailure, lines::Lines};

/// What can be wrong with what an archive says of chains.
#[derive(Debug, Error)]
pub enum PowersFailure {
    /// Pins of other chains or blocks than the definition's rules admit.
    #[error(
        "the pins in line {line} are not blocks that the definition's snapshot rules admit: power was read elsewhere"
    )]
    PinsOfOther {
        /// The line's number, from 1.
        line: u64,
    },
    /// The pins line is not the one of the result.
    #[error(
        "the pins line differs from the pins in the signed result: power was read at other blocks than the archive says"
    )]
    PinsDiffer,
    /// A voter who signed a record but has no power line.
    #[error("voter {voter} signed a record but has no power line: evidence was left out")]
    PowerLeftOut {
        /// The voter.
        voter: Voter,
    },
    /// A power line of somebody who signed nothing.
    #[error("line {line} is the power of voter {voter}, who signed no record below the cut: evidence was added")]
    PowerWithoutRecord {
        /// The line's number, from 1.
        line: u64,
        /// The voter.
        voter: Voter,
    },
    /// Power lines that are not strictly sorted by voter.
    #[error("line {line} is the power of voter {voter}, after that of {previous}: evidence was reordered or repeated")]
    PowerOutOfOrder {
        /// The line's number, from 1.
        line: u64,
        /// The voter.
        voter: Voter,
        /// The voter of the line before.
        previous: Voter,
    },
    /// Other powers than the signed result vouches for.
    #[error(
        "the power lines have root {computed}, but the signed result says {published}: powers were changed after the \
         result was signed"
    )]
    PowersRoot {
        /// What the result says.
        published: Root,
        /// What the lines give.
        computed: Root,
    },
}

/// Reads the pins line if the proposal reads chains, and holds it against the definition.
pub(super) fn read_pins<R: BufRead>(lines: &mut Lines<R>, proposal: &Proposal) -> Result<Option<Pins>, AuditFailure> {
    if proposal.parts().snapshots.is_empty() {
        return Ok(None);
    }
    match lines.next()? {
        ArchiveLine::Pins(pins) if pins.fit(proposal) => Ok(Some(pins)),
        ArchiveLine::Pins(_) => Err(PowersFailure::PinsOfOther { line: lines.number() }.into()),
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
            _ => return Err(PowersFailure::PowerLeftOut { voter: *signer }.into()),
        };
        check_order(previous, voter, lines.number())?;
        if voter != *signer {
            return Err(if signers.binary_search(&voter).is_ok() {
                PowersFailure::PowerLeftOut { voter: *signer }
            } else {
                PowersFailure::PowerWithoutRecord { line: lines.number(), voter }
            }
            .into());
        }
        previous = Some(voter);
        powers.push(power);
        line = lines.next()?;
    }
    match line {
        ArchiveLine::Power(ArchivedPower { voter, .. }) => {
            check_order(previous, voter, lines.number())?;
            Err(PowersFailure::PowerWithoutRecord { line: lines.number(), voter }.into())
        }
        other => Ok((powers, other)),
    }
}

fn check_order(previous: Option<Voter>, voter: Voter, line: u64) -> Result<(), PowersFailure> {
    match previous {
        Some(previous) if voter <= previous => Err(PowersFailure::PowerOutOfOrder { line, voter, previous }),
        Some(_) | None => Ok(()),
    }
}

//! The power lines of an archive: what the chains said of each voter who signed, or is said to have. Without a chain at
//! hand they are believed, as evidence that anybody can look up again at the pins; what follows from them is computed.
//! Where the definition lists who has how much, and chains are read for signatures alone, nothing is believed.

use std::io::BufRead;

use pnyx_core::{
    chain::Pins,
    id::{Root, Voter},
    power::VoterPower,
    proposal::Proposal,
    wire::archive::{ArchiveLine, ArchivedPower},
};
use pnyx_verification::ListedPower;
use thiserror::Error;

use super::{AuditFailure, lines::Lines, recorded::Powers};

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
    #[error("voter {voter} signed a record, or is said to have, but has no power line: evidence was left out")]
    PowerLeftOut {
        /// The voter.
        voter: Voter,
    },
    /// A power line of somebody who signed nothing.
    #[error("line {line} is the power of voter {voter}, of whom no record below the cut is: evidence was added")]
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
    /// Another power than the definition lists.
    #[error("line {line} is another power of voter {voter} than the definition lists: the vote's weight was altered")]
    PowerUnlisted {
        /// The line's number, from 1.
        line: u64,
        /// The voter.
        voter: Voter,
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

/// Reads all power lines, the first of which may be `line`; gives the line that follows them.
pub(super) fn read_powers<R: BufRead>(
    lines: &mut Lines<R>,
    mut line: ArchiveLine,
    proposal: &Proposal,
) -> Result<(Powers, ArchiveLine), AuditFailure> {
    let listed = (!proposal.reads_power()).then(|| ListedPower::of(proposal));
    let mut powers = Powers::new(lines.number());
    while let ArchiveLine::Power(ArchivedPower { voter, power }) = line {
        check_order(powers.last(), voter, lines.number())?;
        if listed.as_ref().is_some_and(|listed| VoterPower::Known(listed.power(voter)) != power) {
            return Err(PowersFailure::PowerUnlisted { line: lines.number(), voter }.into());
        }
        powers.push(voter, power);
        line = lines.next()?;
    }
    Ok((powers, line))
}

fn check_order(previous: Option<Voter>, voter: Voter, line: u64) -> Result<(), PowersFailure> {
    match previous {
        Some(previous) if voter <= previous => Err(PowersFailure::PowerOutOfOrder { line, voter, previous }),
        Some(_) | None => Ok(()),
    }
}

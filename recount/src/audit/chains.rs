//! What an archive says that chains said, against the chains themselves, for an auditor who has endpoints of his own.
//!
//! First that each pin is the block that the definition's rule names, by these endpoints, and only then what stands in
//! it: powers of another block would say nothing. Then the powers, and what contracts make of signatures. What an
//! endpoint fails at is no finding.

use std::{fmt, sync::Arc};

use pnyx_chains::{ChainError, ChainSignatures, Chains, PinError, SignatureQuestion};
use pnyx_core::{
    chain::{ChainId, Pin, Pins, SnapshotRule},
    id::Voter,
    power::VoterPower,
    proposal::{Definition, Proposal},
    signature_check::SignatureRuling,
};
use pnyx_verification::{Caching, PowerSource, PowerUnavailable, SourceError};
use thiserror::Error;

use super::{AskedSignature, AuditReport, PowerEvidence};
use crate::{
    look_up::{self, patiently},
    pinning,
};

/// Signatures that contracts are asked about together: several full calls.
const SIGNATURES_AT_ONCE: usize = 512;

/// How often the same is asked. With the pauses it is longer than an endpoint that failed is left alone.
const TRIES_MAX: u32 = 6;

/// Voters who are named where powers differ: whoever made the mistake mostly made it for all.
const NAMED_MAX: usize = 5;

/// What an archive says that its proposal's chains said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainAnswers {
    /// What was voted on.
    pub definition: Arc<Definition>,
    /// Where power was read.
    pub pins: Arc<Pins>,
    /// The power of each voter who signed a record or is said to have, ascending by voter.
    pub powers: Vec<(Voter, VoterPower)>,
    /// What contracts were asked and said, ascending by record; `None` unless the audit was to keep it.
    pub signatures: Option<Vec<AskedSignature>>,
}

/// What the chains say otherwise than the archive.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ChainDifference {
    /// The pin is not the block that the rule names.
    #[error(
        "the archive says that power was read at {} of chain {}, but the definition's rule names {rule}, which is {}: power \
         was read elsewhere, or this endpoint follows another chain of that id",
        block(.archived), .archived.chain, found.as_ref().map_or_else(|| "no block".to_owned(), block)
    )]
    Pin {
        /// The definition's rule.
        rule: SnapshotRule,
        /// The archive's pin.
        archived: Pin,
        /// The block that the chain has for the rule; `None` where it began later.
        found: Option<Pin>,
    },
    /// Voters had other powers.
    #[error(
        "the chains give {differing} of {voters} voters another power than the archive: {}{}: other weights were counted, or \
         these endpoints do not tell the truth",
        list(.first), if .first.len() as u64 == *.differing { "" } else { ", …" }
    )]
    Powers {
        /// Voters who signed a record.
        voters: u64,
        /// Those of them whose power differs.
        differing: u64,
        /// The first few of those.
        first: Vec<PowerDifference>,
    },
    /// Contracts make something else of signatures.
    #[error(
        "the signers' chain rules otherwise on {differing} of {asked} signatures, first on record {}: the archive says {} and \
         the chain {}: other ballots were counted, or these endpoints do not tell the truth",
        .first.record, .first.ruling.name(), .found.name()
    )]
    Signatures {
        /// Signatures that contracts were asked about.
        asked: u64,
        /// Those that they rule on otherwise.
        differing: u64,
        /// The first of those.
        first: Box<AskedSignature>,
        /// What the chain says of it.
        found: SignatureRuling,
    },
}

/// A voter whose power differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PowerDifference {
    /// The voter.
    pub voter: Voter,
    /// By the archive.
    pub archived: VoterPower,
    /// By the chains.
    pub found: VoterPower,
}

/// Why the chains could not be asked. It says nothing about the archive.
#[derive(Debug, Error)]
pub enum LookUpError {
    /// An endpoint is missing.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A chain did not say which block a rule names.
    #[error("chain {chain} does not say now which block is {rule}")]
    Pin {
        /// The chain.
        chain: ChainId,
        /// The rule.
        rule: SnapshotRule,
        /// Why.
        #[source]
        source: PinError,
    },
    /// A chain did not say what power voters had.
    #[error("the voters' powers could not be looked up")]
    Power(#[from] PowerUnavailable),
    /// A chain did not say what contracts make of signatures.
    #[error("the voters' contracts could not be asked")]
    Signatures(#[from] ChainError),
}

/// Looks up again what a valid archive says of power and contracts' signatures, past all caches, and says so in its
/// report if all is the same. `progress` is given the number of voters looked up so far. A proposal that reads no chain
/// has nothing to look up. Contracts are asked if the audit was told that this follows, and else the report does not
/// say that they were.
///
/// # Errors
/// If the chains could not be asked; else the first thing that they say otherwise.
pub async fn look_up_again(
    report: &mut AuditReport,
    chains: &Chains,
    progress: &mut (dyn FnMut(u64) + Send),
) -> Result<Option<ChainDifference>, LookUpError> {
    let Some(ChainAnswers { definition, pins, powers, signatures }) = &report.chain_answers else { return Ok(None) };
    let proposal = definition.proposal();
    let source = PowerSource::of(proposal, Some(pins), chains, Caching::Bypassed)?;
    if let Some(difference) = compare_pins(proposal, pins, chains).await? {
        return Ok(Some(difference));
    }
    let mut comparison = Comparison::default();
    for archived in powers.chunks(look_up::VOTERS_AT_ONCE) {
        let voters: Vec<Voter> = archived.iter().map(|(voter, _)| *voter).collect();
        comparison.take(archived, &look_up::part_of_powers(&source, &voters, TRIES_MAX).await?);
        progress(comparison.voters);
    }
    if let Some(difference) = comparison.difference() {
        return Ok(Some(difference));
    }
    let asked = proposal.signers().zip(signatures.as_deref());
    if let Some((signers, signatures)) = asked {
        let contracts = ChainSignatures::new(chains, signers, pins).map_err(SourceError::from)?;
        if let Some(difference) = compare_signatures(&contracts, signatures).await? {
            return Ok(Some(difference));
        }
    }
    let are_asked_again = asked.is_some();
    if report.power == PowerEvidence::Recorded {
        report.power = PowerEvidence::Chains;
    }
    if let Some(audited) = &mut report.signatures {
        audited.are_asked_again = are_asked_again;
    }
    Ok(None)
}

async fn compare_signatures(
    contracts: &ChainSignatures,
    asked: &[AskedSignature],
) -> Result<Option<ChainDifference>, ChainError> {
    let mut differing = Vec::new();
    for archived in asked.chunks(SIGNATURES_AT_ONCE) {
        let questions: Vec<_> = archived.iter().map(AskedSignature::question).collect();
        let found = patiently(TRIES_MAX, || contracts.rulings(&questions), |_| true).await?;
        differing.extend(archived.iter().zip(found).filter(|(archived, found)| archived.ruling != *found));
    }
    let count = differing.len() as u64;
    Ok(differing.into_iter().next().map(|(first, found)| ChainDifference::Signatures {
        asked: asked.len() as u64,
        differing: count,
        first: Box::new(first.clone()),
        found,
    }))
}

async fn compare_pins(
    proposal: &Proposal,
    pins: &Pins,
    chains: &Chains,
) -> Result<Option<ChainDifference>, LookUpError> {
    for (id, rule) in &proposal.parts().snapshots {
        let chain = chains.get(*id).ok_or(SourceError::NoEndpoint(*id))?;
        let archived = *pins.get(*id).ok_or(SourceError::NotPinned)?;
        let unknown = |source| LookUpError::Pin { chain: *id, rule: *rule, source };
        let found = pinning::named_block(chain, *rule).await.map_err(unknown)?;
        if found != Some(archived) {
            return Ok(Some(ChainDifference::Pin { rule: *rule, archived, found }));
        }
    }
    Ok(None)
}

/// Powers side by side.
#[derive(Debug, Default)]
struct Comparison {
    voters: u64,
    differing: u64,
    first: Vec<PowerDifference>,
}

impl Comparison {
    /// `found` are the powers of the same voters, in the same order.
    fn take(&mut self, archived: &[(Voter, VoterPower)], found: &[VoterPower]) {
        for ((voter, archived), found) in archived.iter().zip(found) {
            self.voters += 1;
            if archived == found {
                continue;
            }
            self.differing += 1;
            if self.first.len() < NAMED_MAX {
                self.first.push(PowerDifference { voter: *voter, archived: *archived, found: *found });
            }
        }
    }

    fn difference(self) -> Option<ChainDifference> {
        let Self { voters, differing, first } = self;
        (differing > 0).then_some(ChainDifference::Powers { voters, differing, first })
    }
}

impl AskedSignature {
    fn question(&self) -> SignatureQuestion<'_> {
        SignatureQuestion { signer: self.voter, digest: self.digest, signature: &self.signature }
    }
}

impl fmt::Display for PowerDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { voter, archived, found } = self;
        write!(f, "{voter} has {} by the archive and {} by the chains", text(*archived), text(*found))
    }
}

fn text(power: VoterPower) -> String {
    match power {
        VoterPower::Known(power) => power.to_string(),
        VoterPower::Unavailable => "no power that can be read".to_owned(),
    }
}

fn block(pin: &Pin) -> String {
    format!("block {} ({})", pin.number, pin.hash)
}

fn list(differences: &[PowerDifference]) -> String {
    differences.iter().map(PowerDifference::to_string).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use pnyx_core::power::Power;

    use super::*;

    fn voter(number: u8) -> Voter {
        Voter::new([number; 20])
    }

    fn known(power: &str) -> VoterPower {
        VoterPower::Known(Power::parse(power).unwrap())
    }

    #[test]
    fn the_first_voters_whose_power_differs_are_named() {
        let archived: Vec<_> = (1..=9).map(|number| (voter(number), known("1.5"))).collect();
        let found: Vec<_> = (1..=9).map(|number| known(if number < 3 { "1.5" } else { "2" })).collect();
        let mut comparison = Comparison::default();
        comparison.take(&archived, &found);
        let Some(ChainDifference::Powers { voters: 9, differing: 7, first }) = comparison.difference() else {
            panic!("seven differ");
        };
        let named: Vec<Voter> = first.iter().map(|difference| difference.voter).collect();
        assert_eq!(named, [3, 4, 5, 6, 7].map(voter));
    }

    #[test]
    fn no_power_and_none_that_can_be_read_are_not_the_same() {
        let mut comparison = Comparison::default();
        let zero = known("0");
        comparison.take(&[(voter(1), zero), (voter(2), VoterPower::Unavailable)], &[zero, zero]);
        expect![[r"
            the chains give 1 of 2 voters another power than the archive: 0x0202020202020202020202020202020202020202 has no power that can be read by the archive and 0 by the chains: other weights were counted, or these endpoints do not tell the truth"]]
        .assert_eq(&comparison.difference().unwrap().to_string());
        let mut same = Comparison::default();
        same.take(&[(voter(1), zero)], &[zero]);
        assert_eq!(same.difference(), None);
    }
}

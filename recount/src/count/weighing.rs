//! From signatures to what counts: claims with what chains said of them, and the power of everybody.

use std::collections::BTreeMap;

use pnyx_core::{
    chain::Pin, id::Voter, power::VoterPower, tally::StandingBallot, verdict::CountingBallot,
    wire::archive::ArchivedContractSignature,
};
use pnyx_verification::ClaimAnswer;

use super::{ClaimedRecord, Counted, CountedBallot, Partial, add};

/// What the signatures came to: everything but power is decided.
#[derive(Debug)]
pub struct Signed {
    pub(super) partial: Partial,
}

/// Claims that were handed over, and what became of them.
#[derive(Debug, Default)]
pub(crate) struct Settled {
    partial: Partial,
}

impl Settled {
    /// Decides a claim by what was found at the pin of the signers' chain.
    pub(crate) fn settle(&mut self, claimed: ClaimedRecord, answer: ClaimAnswer, pin: &Pin) {
        self.partial.settle(claimed, answer, pin);
    }
}

impl Signed {
    /// With the claims that were handed over.
    pub(crate) fn with(self, settled: Settled) -> Self {
        Self { partial: self.partial.merge(settled.partial) }
    }

    /// Whose power [`Self::count`] needs: each voter with a validly signed record once, ascending.
    pub fn signers(&self) -> Vec<Voter> {
        self.partial.signers.keys().copied().collect()
    }

    /// What counts: with the power of each of the [`Self::signers`] and of whoever was claimed, ascending by voter, and
    /// what contracts said, ascending by record.
    ///
    /// # Panics
    /// If the power of a signer is not among them.
    pub fn count(self, powers: Vec<(Voter, VoterPower)>, signatures: Vec<ArchivedContractSignature>) -> Counted {
        let Partial { records, mut rejected, signers, mut watched } = self.partial;
        let mut standing = BTreeMap::new();
        let mut without_power = BTreeMap::new();
        for (voter, candidate) in signers {
            match candidate.ballot.with_power(power_of(&powers, voter)) {
                Ok(CountingBallot { voter: _, digest, signed_at_s, choice, power, check: _ }) => {
                    let ballot = StandingBallot { digest, signed_at_s, choice, power, place: candidate.place };
                    standing.insert(voter, CountedBallot { ballot, record: candidate.record });
                }
                Err(refusal) => {
                    add(&mut rejected, refusal.rejection, candidate.records);
                    without_power.insert(voter, refusal.rejection);
                }
            }
        }
        for record in watched.values_mut().filter(|record| record.rejection.is_none()) {
            record.rejection = record.voter.and_then(|voter| without_power.get(&voter).copied());
        }
        Counted { records, rejected, standing, watched, powers, signatures }
    }
}

/// The power of a voter among those that were found, ascending by voter.
fn power_of(powers: &[(Voter, VoterPower)], voter: Voter) -> VoterPower {
    let index = powers.binary_search_by_key(&voter, |(voter, _)| *voter).expect("power was looked up for everybody");
    powers[index].1
}

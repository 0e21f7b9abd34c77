//! From signatures to what counts: the power of all voters, and what contracts say of claimed records.

use std::collections::BTreeMap;

use pnyx_core::{
    chain::Pin,
    id::{RecordHash, Voter},
    power::VoterPower,
    signature_check::SignatureRuling,
    tally::StandingBallot,
    verdict::CountingBallot,
    wire::archive::ArchivedContractSignature,
};
use pnyx_verification::{Claim, ClaimAnswer, RecordedRulings};

use super::{ClaimedRecord, Counted, CountedBallot, Partial, add};

/// What the signatures came to: everything but power is decided, and claims that were kept.
#[derive(Debug)]
pub struct Signed {
    pub(super) partial: Partial,
    pub(super) settled: Settled,
}

/// The same with the power of everybody.
#[derive(Debug)]
pub struct Weighed {
    partial: Partial,
    /// Ascending by voter.
    powers: Vec<(Voter, VoterPower)>,
    rulings: RecordedRulings,
}

/// Claims and what became of them.
#[derive(Debug, Default)]
pub(crate) struct Settled {
    partial: Partial,
    /// Of each account that was claimed.
    pub(crate) powers: BTreeMap<Voter, VoterPower>,
    /// What contracts said, of accounts with power.
    pub(crate) rulings: RecordedRulings,
}

impl Settled {
    /// What is known to decide a claim; `None` if its contract has to be asked first.
    ///
    /// # Panics
    /// If the power of its account is not known.
    pub(crate) fn answer(&self, claim: &Claim) -> Option<ClaimAnswer> {
        let power = *self.powers.get(&claim.claimed_voter()).expect("power is looked up before contracts are asked");
        ClaimAnswer::unasked(power).or_else(|| Some(ClaimAnswer::Asked(power, self.rulings.get(&claim.record())?.1)))
    }

    /// Decides a claim whose answer is known, at the pin of the signers' chain.
    ///
    /// # Panics
    /// If it is not.
    pub(crate) fn settle(&mut self, claimed: ClaimedRecord, pin: &Pin) {
        let answer = self.answer(&claimed.claim).expect("contracts were asked before");
        self.partial.settle(claimed, answer, pin);
    }
}

impl Signed {
    /// With the claims that were handed over.
    pub(crate) fn with(self, settled: Settled) -> Self {
        Self { settled, ..self }
    }

    /// Whose power [`Self::weigh`] needs: each voter with a validly signed or kept claimed record once, ascending, but for
    /// those whose power is known from claims that are settled.
    pub fn signers(&self) -> Vec<Voter> {
        let claims = self.partial.claims.iter().map(|claimed| claimed.claim.claimed_voter());
        let mut signers: Vec<Voter> = self.partial.signers.keys().copied().chain(claims).collect();
        signers.retain(|voter| !self.settled.powers.contains_key(voter));
        signers.sort_unstable();
        signers.dedup();
        signers
    }

    /// Gives each of the [`Self::signers`] the power at the same position.
    ///
    /// # Panics
    /// If there are not as many powers as signers.
    pub fn weigh(self, powers: &[VoterPower]) -> Weighed {
        let signers = self.signers();
        assert_eq!(signers.len(), powers.len(), "there is a power for each signer");
        let Self { partial, settled } = self;
        let Settled { partial: of_claims, powers: known, rulings } = settled;
        let mut powers: Vec<_> = signers.into_iter().zip(powers.iter().copied()).chain(known).collect();
        powers.sort_unstable_by_key(|(voter, _)| *voter);
        Weighed { partial: partial.merge(of_claims), powers, rulings }
    }
}

impl Weighed {
    /// What [`Self::settle`] has to be told of: the kept claims of accounts with power, each record once, ascending by hash.
    pub fn claims(&self) -> BTreeMap<RecordHash, &Claim> {
        let claims = self.partial.claims.iter().map(|claimed| &claimed.claim);
        let is_asked = |claim: &&Claim| ClaimAnswer::unasked(power_of(&self.powers, claim.claimed_voter())).is_none();
        claims.filter(is_asked).map(|claim| (claim.record(), claim)).collect()
    }

    /// Decides all kept claims by what was said at the pin of the signers' chain.
    ///
    /// # Panics
    /// If nothing was said of one of [`Self::claims`].
    #[must_use]
    pub fn settle(self, pin: &Pin, said: impl IntoIterator<Item = (RecordHash, Voter, SignatureRuling)>) -> Self {
        let Self { mut partial, powers, mut rulings } = self;
        rulings.extend(said.into_iter().map(|(record, voter, ruling)| (record, (voter, ruling))));
        let mut settled = Settled { partial: Partial::default(), powers: powers.iter().copied().collect(), rulings };
        for claimed in std::mem::take(&mut partial.claims) {
            settled.settle(claimed, pin);
        }
        let Settled { partial: of_claims, powers: _, rulings } = settled;
        Self { partial: partial.merge(of_claims), powers, rulings }
    }

    /// What counts.
    ///
    /// # Panics
    /// If claims are not settled.
    pub fn count(self) -> Counted {
        assert!(self.partial.claims.is_empty(), "claims are settled before they are counted");
        let Self { partial, powers, rulings } = self;
        let Partial { records, mut rejected, signers, mut watched, claims: _ } = partial;
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
        let signature = |(record, (voter, ruling))| ArchivedContractSignature { record, voter, ruling };
        let signatures = rulings.into_iter().map(signature).collect();
        Counted { records, rejected, standing, watched, powers, signatures }
    }
}

/// The power of a voter among those that were found, ascending by voter.
fn power_of(powers: &[(Voter, VoterPower)], voter: Voter) -> VoterPower {
    let index = powers.binary_search_by_key(&voter, |(voter, _)| *voter).expect("power was looked up for everybody");
    powers[index].1
}

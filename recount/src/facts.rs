//! What chains said of one proposal at its pins, kept over the tries of its recount: an outage delays what is open and
//! never asks anything a second time.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use pnyx_core::{
    id::{RecordHash, Voter},
    power::VoterPower,
    signature_check::SignatureRuling,
};
use pnyx_verification::{Claim, ClaimAnswer, RecordedRulings};

/// Powers, and rulings of claims of accounts with power.
#[derive(Debug, Default)]
pub(crate) struct ChainFacts {
    pub(crate) powers: BTreeMap<Voter, VoterPower>,
    pub(crate) rulings: RecordedRulings,
}

/// What the tries of one recount share. Memory grows with voters and with records that contracts were asked about; each
/// is kept once. Nothing is carried into a recount that follows one which came to its end.
#[derive(Debug, Clone, Default)]
pub(crate) struct Facts(Arc<Mutex<Tries>>);

#[derive(Debug, Default)]
struct Tries {
    /// What the try under way has asked for: all of it is evidence.
    now: ChainFacts,
    /// What tries before found and this one has not asked for yet.
    before: ChainFacts,
}

impl Facts {
    /// Begins another try.
    pub(crate) fn begin_try(&self) {
        let mut tries = self.lock();
        let ChainFacts { powers, rulings } = std::mem::take(&mut tries.now);
        tries.before.powers.extend(powers);
        tries.before.rulings.extend(rulings);
    }

    /// Of these voters those whose power has to be looked up, each once, ascending.
    pub(crate) fn unknown(&self, voters: impl IntoIterator<Item = Voter>) -> Vec<Voter> {
        let mut tries = self.lock();
        let mut unknown: Vec<Voter> = voters.into_iter().filter(|voter| !tries.knows_power(*voter)).collect();
        unknown.sort_unstable();
        unknown.dedup();
        unknown
    }

    /// Remembers what was found of each voter.
    pub(crate) fn note_powers(&self, found: impl IntoIterator<Item = (Voter, VoterPower)>) {
        self.lock().now.powers.extend(found);
    }

    /// Remembers what was said of a claim.
    pub(crate) fn note_ruling(&self, claim: &Claim, ruling: SignatureRuling) {
        self.lock().now.rulings.insert(claim.record(), (claim.claimed_voter(), ruling));
    }

    /// What decides a claim; `None` if its contract has to be asked first.
    ///
    /// # Panics
    /// If the power of its account is not known.
    pub(crate) fn answer(&self, claim: &Claim) -> Option<ClaimAnswer> {
        let mut tries = self.lock();
        let power =
            *tries.now.powers.get(&claim.claimed_voter()).expect("power is looked up before contracts are asked");
        ClaimAnswer::unasked(power).or_else(|| Some(ClaimAnswer::Asked(power, tries.ruling(claim.record())?)))
    }

    /// All that this try has asked for. What is known besides is forgotten.
    pub(crate) fn take(&self) -> ChainFacts {
        std::mem::take(&mut *self.lock()).now
    }

    fn lock(&self) -> MutexGuard<'_, Tries> {
        // Whoever panics with it has not changed half of an entry.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tries {
    fn knows_power(&mut self, voter: Voter) -> bool {
        if let Some(known) = self.before.powers.remove_entry(&voter) {
            self.now.powers.extend([known]);
        }
        self.now.powers.contains_key(&voter)
    }

    fn ruling(&mut self, record: RecordHash) -> Option<SignatureRuling> {
        if let Some(known) = self.before.rulings.remove_entry(&record) {
            self.now.rulings.extend([known]);
        }
        self.now.rulings.get(&record).map(|(_, ruling)| *ruling)
    }
}

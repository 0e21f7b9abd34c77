//! What an archive says that chains said, while its records are counted: each claim is settled as it is read, and it is
//! noted which lines some record needs and what none of them says. So nothing of a record has to be kept, and at the
//! end it shows whether the lines are those of the records, no more and no fewer.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use pnyx_core::{
    chain::Pin,
    id::{RecordHash, Voter},
    power::VoterPower,
    proposal::Proposal,
    signature_check::SignatureRuling,
    wire::archive::ArchivedContractSignature,
};
use pnyx_verification::{Claim, ClaimAnswer, ListedPower};

use super::{AskedSignature, AuditFailure, powers::PowersFailure, signatures::SignaturesFailure};

/// Lines of one kind that stand together, strictly ascending by what they are of.
#[derive(Debug)]
pub(super) struct Table<K, V> {
    /// The number of the first one, from 1.
    first_line: u64,
    entries: Vec<(K, V)>,
}

impl<K: Ord + Copy, V> Table<K, V> {
    /// None yet, of which the first will have this number.
    pub(super) const fn new(first_line: u64) -> Self {
        Self { first_line, entries: Vec::new() }
    }

    /// What the last line is of.
    pub(super) fn last(&self) -> Option<K> {
        self.entries.last().map(|(key, _)| *key)
    }

    /// Adds a line, which belongs behind the last.
    pub(super) fn push(&mut self, key: K, value: V) {
        self.entries.push((key, value));
    }

    fn find(&self, key: K) -> Option<usize> {
        self.entries.binary_search_by_key(&key, |(key, _)| *key).ok()
    }

    /// The first line that no record needed.
    fn unneeded(&self, needed: &[AtomicBool]) -> Option<(u64, K)> {
        let index = needed.iter().position(|needed| !needed.load(Ordering::Relaxed))?;
        Some((self.first_line.saturating_add(index as u64), self.entries[index].0))
    }
}

/// The lines of powers.
pub(super) type Powers = Table<Voter, VoterPower>;

/// The lines of what contracts said.
pub(super) type Rulings = Table<RecordHash, (Voter, SignatureRuling)>;

/// What an archive says that chains said. Memory is some eighty bytes a line.
#[derive(Debug)]
pub(super) struct Recorded {
    powers: Powers,
    rulings: Rulings,
    /// Where contracts were asked; only if they may sign.
    pin: Option<Pin>,
    power_needed: Vec<AtomicBool>,
    ruling_needed: Vec<AtomicBool>,
    noted: Mutex<Noted>,
}

/// What comes up while records are counted, in whichever order that happens.
#[derive(Debug, Default)]
struct Noted {
    /// The first voter by address whose power is needed and not said.
    power_left_out: Option<Voter>,
    /// The first record by hash that needs a ruling and has none, and its account.
    ruling_left_out: Option<(RecordHash, Voter)>,
    /// The first record whose ruling is another account's, and the account that it claims.
    other_voter: Option<(RecordHash, Voter)>,
    /// What contracts were asked, by record, if that is to be kept.
    asked: Option<BTreeMap<RecordHash, AskedSignature>>,
}

/// The same once all records are counted, and nothing is wrong with it.
pub(super) struct Evidence {
    /// By voter.
    pub(super) powers: Vec<(Voter, VoterPower)>,
    /// By record.
    pub(super) signatures: Vec<ArchivedContractSignature>,
    /// By record, if it was to be kept.
    pub(super) asked: Option<Vec<AskedSignature>>,
}

impl Recorded {
    pub(super) fn new(powers: Powers, rulings: Rulings, pin: Option<Pin>, keeps_asked: bool) -> Self {
        let flags = |count| (0..count).map(|_| AtomicBool::new(false)).collect();
        let (power_needed, ruling_needed) = (flags(powers.entries.len()), flags(rulings.entries.len()));
        let noted = Noted { asked: keeps_asked.then(BTreeMap::new), ..Noted::default() };
        Self { powers, rulings, pin, power_needed, ruling_needed, noted: Mutex::new(noted) }
    }

    /// Where contracts were asked; `None` where only keys sign.
    pub(super) const fn pin(&self) -> Option<Pin> {
        self.pin
    }

    /// What decides a claim by the lines; `None`, and noted, if they do not say.
    pub(super) fn answer(&self, claim: &Claim) -> Option<ClaimAnswer> {
        let power = self.power(claim.claimed_voter())?;
        ClaimAnswer::unasked(power).or_else(|| Some(ClaimAnswer::Asked(power, self.ruling(claim)?)))
    }

    fn power(&self, voter: Voter) -> Option<VoterPower> {
        let Some(index) = self.powers.find(voter) else {
            keep_first(&mut self.noted().power_left_out, voter);
            return None;
        };
        self.power_needed[index].store(true, Ordering::Relaxed);
        Some(self.powers.entries[index].1)
    }

    fn ruling(&self, claim: &Claim) -> Option<SignatureRuling> {
        let (record, claimed) = (claim.record(), claim.claimed_voter());
        let Some(index) = self.rulings.find(record) else {
            keep_first(&mut self.noted().ruling_left_out, (record, claimed));
            return None;
        };
        let (_, (voter, ruling)) = self.rulings.entries[index];
        let was_needed = self.ruling_needed[index].swap(true, Ordering::Relaxed);
        if voter != claimed {
            keep_first(&mut self.noted().other_voter, (record, claimed));
            return None;
        }
        if !was_needed && let Some(asked) = &mut self.noted().asked {
            let question = claim.question();
            let (digest, signature) = (question.digest, question.signature.to_vec());
            asked.insert(record, AskedSignature { record, voter, digest, signature, ruling });
        }
        Some(ruling)
    }

    /// Once all claims were settled: the lines, if they are of these signers and of the claims, no more and no fewer.
    ///
    /// # Errors
    /// The first line, by kind and number, that nobody needs or that is of another account; else the first that is
    /// missing.
    pub(super) fn finish(self, signers: &[Voter]) -> Result<Evidence, AuditFailure> {
        for signer in signers {
            self.power(*signer);
        }
        let Self { powers, rulings, pin: _, power_needed, ruling_needed, noted } = self;
        let noted = noted.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Some((line, voter)) = powers.unneeded(&power_needed) {
            return Err(PowersFailure::PowerWithoutRecord { line, voter }.into());
        }
        if let Some(voter) = noted.power_left_out {
            return Err(PowersFailure::PowerLeftOut { voter }.into());
        }
        if let Some((line, record)) = rulings.unneeded(&ruling_needed) {
            return Err(SignaturesFailure::WithoutClaim { line, record }.into());
        }
        if let Some((record, claimed)) = noted.other_voter {
            let index = rulings.find(record).expect("a line named another account");
            let (line, archived) = (rulings.first_line.saturating_add(index as u64), rulings.entries[index].1.0);
            return Err(SignaturesFailure::OtherVoter { line, record, archived, claimed }.into());
        }
        if let Some((record, voter)) = noted.ruling_left_out {
            return Err(SignaturesFailure::LeftOut { record, voter }.into());
        }
        let signature = |(record, (voter, ruling))| ArchivedContractSignature { record, voter, ruling };
        Ok(Evidence {
            powers: powers.entries,
            signatures: rulings.entries.into_iter().map(signature).collect(),
            asked: noted.asked.map(|asked| asked.into_values().collect()),
        })
    }

    fn noted(&self) -> MutexGuard<'_, Noted> {
        // Whoever panics with it has not changed half of an entry.
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Evidence {
    /// That of a proposal that reads no chain.
    pub(super) fn listed(proposal: &Proposal, signers: &[Voter]) -> Self {
        let powers = signers.iter().copied().zip(ListedPower::of(proposal).powers(signers)).collect();
        Self { powers, signatures: Vec::new(), asked: None }
    }
}

/// Keeps what comes first in order, whatever came first in time.
fn keep_first<T: Ord>(first: &mut Option<T>, found: T) {
    match first {
        Some(first) if *first <= found => {}
        Some(_) | None => *first = Some(found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_costs_no_more_than_documented() {
        let entry_bytes = size_of::<(Voter, VoterPower)>().max(size_of::<(RecordHash, (Voter, SignatureRuling))>());
        assert!(entry_bytes + size_of::<AtomicBool>() <= 80, "{entry_bytes}");
    }
}

//! Claimed records: those whose signature only the voter's contract can judge, and what the chains make of them.
//!
//! Power comes first, so that nobody without any makes work for the chain; then the contract is asked, of an account with
//! power and of no other. Shards, recount and audit ask at different times and in different batches, and all end in
//! [`Claim::settle`], so a claim gets the same verdict everywhere.

use pnyx_chains::SignatureQuestion;
use pnyx_core::{
    ballot::{ClaimedBallot, Refusal, SignedBallot},
    chain::Pin,
    id::{RecordHash, Voter},
    power::VoterPower,
    signature_check::SignatureRuling,
    verdict::{Ruling, Verdict},
};

use crate::verifier::{BallotRecord, rejected};

/// A ballot that no key signed, and the record that holds it.
#[derive(Debug)]
pub struct Claim {
    ballot: ClaimedBallot,
    record: RecordHash,
}

/// What the chains say about a claim: all that decides it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClaimAnswer {
    /// The account has no power, or none that can be found, so its contract is not asked.
    NotAsked(VoterPower),
    /// The account has this power, and the signers' chain said this.
    Asked(VoterPower, SignatureRuling),
}

impl Claim {
    pub(crate) const fn new(ballot: ClaimedBallot, record: RecordHash) -> Self {
        Self { ballot, record }
    }

    /// The account whose contract is to judge.
    pub const fn claimed_voter(&self) -> Voter {
        self.ballot.claimed_voter()
    }

    /// The hash of the record: what the contract says of it is recorded under that.
    pub const fn record(&self) -> RecordHash {
        self.record
    }

    /// What the contract is asked.
    pub fn question(&self) -> SignatureQuestion<'_> {
        let ballot = &self.ballot;
        SignatureQuestion { signer: ballot.claimed_voter(), digest: ballot.digest(), signature: ballot.signature() }
    }

    /// Bytes that the contract is asked about.
    pub fn signature_bytes(&self) -> usize {
        self.ballot.signature().len()
    }

    /// What the answer, found at the `pin` of the signers' chain, makes of the ballot.
    pub fn settle(self, answer: ClaimAnswer, pin: &Pin) -> Result<SignedBallot, Refusal> {
        match answer {
            ClaimAnswer::NotAsked(_) => Err(self.ballot.without_power()),
            ClaimAnswer::Asked(_, ruling) => self.ballot.ruled(ruling, pin, self.record),
        }
    }

    /// The verdict on `record`, the one that holds the ballot.
    pub fn verdict(self, record: BallotRecord<'_>, answer: ClaimAnswer, pin: &Pin) -> Verdict {
        let (hash, power) = (self.record, answer.power());
        let counting = self.settle(answer, pin).and_then(|ballot| ballot.with_power(power));
        Verdict {
            place: record.place,
            appended_at: record.appended_at,
            ruling: counting.map_or_else(|refusal| rejected(hash, refusal, Some(power)), Ruling::Counts),
        }
    }
}

impl ClaimAnswer {
    /// The answer for an account that has nothing to be asked about; `None` if its contract decides.
    pub fn unasked(power: VoterPower) -> Option<Self> {
        (!ClaimedBallot::is_asked_with(power)).then_some(Self::NotAsked(power))
    }

    /// The account's power.
    pub const fn power(self) -> VoterPower {
        match self {
            Self::NotAsked(power) | Self::Asked(power, _) => power,
        }
    }

    /// What its contract said, if it was asked.
    pub const fn ruling(self) -> Option<SignatureRuling> {
        match self {
            Self::NotAsked(_) => None,
            Self::Asked(_, ruling) => Some(ruling),
        }
    }
}

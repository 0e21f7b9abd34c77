//! Ballots after their signature was held against the voter's key: signed, or claimed and the voter's contract's to judge.

use super::{ParsedBallot, Refusal, signature};
use crate::{
    chain::Pin,
    choice::Choice,
    id::{Digest, RecordHash, Voter},
    power::VoterPower,
    proposal::Proposal,
    rejection::Rejection,
    signature_check::{SignatureCheck, SignatureRuling},
    verdict::CountingBallot,
};

/// A ballot whose signature was proven to be its voter's.
#[derive(Debug)]
pub struct SignedBallot {
    voter: Voter,
    digest: Digest,
    signed_at_s: u64,
    choice: Choice,
    check: SignatureCheck,
}

/// A ballot whose signature is not its voter's key's, of a proposal whose voters' contracts may sign: the voter's contract
/// has to be asked, if the voter has power.
#[derive(Debug)]
pub struct ClaimedBallot {
    voter: Voter,
    digest: Digest,
    signed_at_s: u64,
    choice: Choice,
    signature: Vec<u8>,
    key_refusal: Rejection,
}

/// A ballot after its signature was held against its voter's key.
#[derive(Debug)]
pub enum KeyChecked {
    /// The key signed it.
    Signed(SignedBallot),
    /// The key did not, but the voter's contract may.
    Claimed(ClaimedBallot),
}

impl ParsedBallot {
    /// Holds the signature against the voter's key, without any chain; with [`ClaimedBallot::ruled`] the only way to a
    /// [`SignedBallot`]. Where the key did not sign and contracts may, the ballot is claimed; otherwise it is refused.
    pub fn check_key(self, proposal: &Proposal) -> Result<KeyChecked, Refusal> {
        let checked = signature::verify(self.digest, &self.signature, self.voter);
        if let (Err(rejection), None) = (checked, proposal.signers()) {
            return Err(self.refusal(rejection));
        }
        let Self { voter, digest, signed_at_s, choice, signature } = self;
        Ok(match checked {
            Ok(()) => {
                KeyChecked::Signed(SignedBallot { voter, digest, signed_at_s, choice, check: SignatureCheck::Key })
            }
            Err(key_refusal) => {
                KeyChecked::Claimed(ClaimedBallot { voter, digest, signed_at_s, choice, signature, key_refusal })
            }
        })
    }
}

impl SignedBallot {
    /// Who signed.
    pub const fn voter(&self) -> Voter {
        self.voter
    }

    /// The ballot's identity.
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// The voter's own claim of when, in seconds since the epoch.
    pub const fn signed_at_s(&self) -> u64 {
        self.signed_at_s
    }

    /// What proved the signature.
    pub const fn check(&self) -> SignatureCheck {
        self.check
    }

    /// Gives the ballot its power; refuses it where there is none.
    pub fn with_power(self, power: VoterPower) -> Result<CountingBallot, Refusal> {
        let Self { voter, digest, signed_at_s, choice, check } = self;
        let rejection = match power {
            VoterPower::Known(power) if !power.is_zero() => {
                return Ok(CountingBallot { voter, digest, signed_at_s, choice, power, check });
            }
            VoterPower::Known(_) => Rejection::NoPower,
            VoterPower::Unavailable => Rejection::PowerUnavailable,
        };
        Err(Refusal { rejection, digest: Some(digest), claimed_voter: Some(voter) })
    }
}

impl ClaimedBallot {
    /// The voter the ballot claims to speak for, whose contract is to be asked.
    pub const fn claimed_voter(&self) -> Voter {
        self.voter
    }

    /// The ballot's identity: what is asked about.
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// When the voter says to have signed, in seconds since the epoch.
    pub const fn signed_at_s(&self) -> u64 {
        self.signed_at_s
    }

    /// What the voter is said to have chosen.
    pub const fn choice(&self) -> &Choice {
        &self.choice
    }

    /// What is said to be the contract's signature, at most [`super::SIGNATURE_BYTES_MAX`] bytes and possibly none: a
    /// Safe takes that for a question about its approvals.
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }

    /// Why it is not the key's: the rejection of an account without a contract.
    pub const fn key_refusal(&self) -> Rejection {
        self.key_refusal
    }

    /// Whether the voter's contract has to be asked: only one of an account with power, so that nobody without any makes
    /// work for the chain. Where it need not be, [`Self::without_power`] is the verdict.
    pub fn is_asked_with(power: VoterPower) -> bool {
        match power {
            VoterPower::Known(power) => !power.is_zero(),
            VoterPower::Unavailable => false,
        }
    }

    /// The verdict on an account that has no power, or whose power has no answer: its contract is not asked.
    pub const fn without_power(&self) -> Refusal {
        self.refusal(Rejection::SignerWithoutPower)
    }

    /// What the chain said at `pin`, that of the proposal's signers' chain, makes of the ballot of `record`.
    pub fn ruled(self, ruling: SignatureRuling, pin: &Pin, record: RecordHash) -> Result<SignedBallot, Refusal> {
        let kind = match ruling {
            SignatureRuling::Accepted(kind) => kind,
            SignatureRuling::Refused => return Err(self.refusal(Rejection::ContractRefused)),
            SignatureRuling::NoContract => return Err(self.refusal(self.key_refusal)),
        };
        let Self { voter, digest, signed_at_s, choice, signature: _, key_refusal: _ } = self;
        let check = SignatureCheck::Contract { kind, block: pin.number, record };
        Ok(SignedBallot { voter, digest, signed_at_s, choice, check })
    }

    const fn refusal(&self, rejection: Rejection) -> Refusal {
        Refusal { rejection, digest: Some(self.digest), claimed_voter: Some(self.voter) }
    }
}

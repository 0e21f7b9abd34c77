//! What a verifier says of one record.

use crate::{
    choice::Choice,
    id::{Digest, Lane, Place, RecordHash, Voter},
    power::{Power, VoterPower},
    rejection::Rejection,
    signature_check::{SignatureCheck, SignatureRuling},
    time::TimestampMs,
};

/// What a verifier says of the record at `place`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Where the record lies in the ballots topic.
    pub place: Place,
    /// When the log appended it.
    pub appended_at: TimestampMs,
    /// What it is worth.
    pub ruling: Ruling,
}

/// Counts, or rejected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ruling {
    /// The record passed every check.
    Counts(CountingBallot),
    /// The record failed one.
    Rejected(RejectedRecord),
}

/// A ballot whose signature was proven and whose voter has power.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CountingBallot {
    /// Who signed.
    pub voter: Voter,
    /// The ballot's identity.
    pub digest: Digest,
    /// The voter's own claim of when, in seconds since the epoch; orders this voter's ballots only.
    pub signed_at_s: u64,
    /// What the voter meant.
    pub choice: Choice,
    /// The voter's weight at the snapshot; above 0.
    pub power: Power,
    /// What proved the signature: of no weight in the count.
    pub check: SignatureCheck,
}

/// A record that does not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectedRecord {
    /// The first check that failed.
    pub rejection: Rejection,
    /// Hash of the record.
    pub record: RecordHash,
    /// The ballot's identity, where the record could be read that far.
    pub digest: Option<Digest>,
    /// The voter the record claims to speak for, where it could be read that far. Proven only if
    /// [`Rejection::signer_is_proven`].
    pub claimed_voter: Option<Voter>,
    /// What the chains said of that voter's power, of a record whose signature is no key's where contracts may sign.
    pub claimed_power: Option<VoterPower>,
}

impl Verdict {
    /// The lane this verdict belongs to: the voter's if the signature was proven, else one keyed by digest or record.
    pub fn lane(&self, lanes: u16) -> Lane {
        match &self.ruling {
            Ruling::Counts(ballot) => Lane::of_voter(ballot.voter, lanes),
            Ruling::Rejected(rejected) => match rejected.claimed_voter {
                Some(voter) if rejected.rejection.signer_is_proven() => Lane::of_voter(voter, lanes),
                Some(_) | None => {
                    let key = rejected.digest.map_or(*rejected.record.as_bytes(), |digest| *digest.as_bytes());
                    Lane::of_unproven(&key, lanes)
                }
            },
        }
    }
}

impl Ruling {
    /// Whose power was looked up, and what was said of it: the signer's, or that of the account that is said to have signed.
    pub fn weighed(&self) -> Option<(Voter, VoterPower)> {
        let rejected = match self {
            Self::Counts(ballot) => return Some((ballot.voter, VoterPower::Known(ballot.power))),
            Self::Rejected(rejected) => rejected,
        };
        let power = match (rejected.claimed_power, rejected.rejection) {
            (Some(power), _) => power,
            (None, Rejection::NoPower) => VoterPower::Known(Power::ZERO),
            (None, Rejection::PowerUnavailable) => VoterPower::Unavailable,
            (None, _) => return None,
        };
        rejected.claimed_voter.map(|voter| (voter, power))
    }

    /// What the signers' chain was asked, if it was: about the signature of which record and account, and what it said.
    pub fn contract_ruling(&self) -> Option<(RecordHash, Voter, SignatureRuling)> {
        match self {
            Self::Counts(ballot) => match ballot.check {
                SignatureCheck::Key => None,
                SignatureCheck::Contract { kind, block: _, record } => {
                    Some((record, ballot.voter, SignatureRuling::Accepted(kind)))
                }
            },
            Self::Rejected(rejected) => {
                let ruling = rejected.claimed_power.and_then(|_| rejected.rejection.contract_ruling())?;
                Some((rejected.record, rejected.claimed_voter?, ruling))
            }
        }
    }
}

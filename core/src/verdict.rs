//! What a verifier says of one record.

use crate::{
    choice::Choice,
    id::{Digest, Lane, Place, RecordHash, Voter},
    power::Power,
    rejection::Rejection,
    signature_check::SignatureCheck,
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

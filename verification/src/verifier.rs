//! The verifier of one proposal's records, in two stages: signatures (CPU only), then power.
//!
//! The stages are apart because what follows them differs: a shard waits for the power of a batch, the recount asks once
//! for all voters. Both end in [`JudgedRecord::weigh`], so a record gets the same verdict everywhere. A record that no key
//! signed where contracts may sign takes another way from here, as a [`Claim`].

use std::sync::Arc;

use pnyx_core::{
    ballot::{Envelope, HashMemo, KeyChecked, Refusal, SignedBallot},
    id::{Place, RecordHash, Voter},
    power::VoterPower,
    proposal::Definition,
    rejection::Rejection,
    time::TimestampMs,
    verdict::{RejectedRecord, Ruling, Verdict},
    wire,
};

use crate::claim::Claim;

/// A record as it lies in the ballots topic.
#[derive(Debug, Clone, Copy)]
pub struct BallotRecord<'a> {
    /// Where it lies.
    pub place: Place,
    /// When the log appended it.
    pub appended_at: TimestampMs,
    /// Its bytes, version byte included.
    pub bytes: &'a [u8],
}

/// A record after the first stage: a ballot that its voter's key signed, or why there is none.
#[derive(Debug)]
pub struct JudgedRecord(Result<SignedBallot, Refusal>);

/// What the first stage makes of a record.
#[derive(Debug)]
pub enum Judged {
    /// Everything but power is decided.
    Record(JudgedRecord),
    /// No key signed it, and the voter's contract may have.
    Claim(Claim),
}

/// Judges the records of one proposal. Shared between threads; each brings a [`HashMemo`] of its own, which stays fast
/// when it is kept from batch to batch.
#[derive(Debug, Clone)]
pub struct ProposalVerifier {
    definition: Arc<Definition>,
}

impl ProposalVerifier {
    /// A verifier of this proposal's records.
    pub const fn new(definition: Arc<Definition>) -> Self {
        Self { definition }
    }

    /// What is voted on.
    pub const fn definition(&self) -> &Arc<Definition> {
        &self.definition
    }

    /// The first stage: every check that needs nothing but the record and the definition.
    pub fn judge(&self, record: BallotRecord<'_>, memo: &mut HashMemo) -> Judged {
        match self.check(record, memo) {
            Ok(KeyChecked::Signed(ballot)) => Judged::Record(JudgedRecord(Ok(ballot))),
            Ok(KeyChecked::Claimed(ballot)) => Judged::Claim(Claim::new(ballot, RecordHash::of(record.bytes))),
            Err(refusal) => Judged::Record(JudgedRecord(Err(refusal))),
        }
    }

    fn check(&self, record: BallotRecord<'_>, memo: &mut HashMemo) -> Result<KeyChecked, Refusal> {
        let body = wire::record::decode(record.bytes).map_err(|_| Refusal {
            rejection: Rejection::MalformedEnvelope,
            digest: None,
            claimed_voter: None,
        })?;
        let proposal = self.definition.proposal();
        let ballot = Envelope::parse(body, memo)?.for_proposal(proposal)?;
        ballot.check_time(record.appended_at, proposal)?;
        ballot.check_key(proposal)
    }
}

/// Whose power [`weigh`] needs: the signers, in the order of the records. Voters may repeat.
pub fn signers(judged: &[JudgedRecord]) -> Vec<Voter> {
    judged.iter().filter_map(JudgedRecord::signer).collect()
}

/// The second stage for a batch: `records` as they were judged, and a power for each of its [`signers`], in that order.
///
/// # Panics
/// If there are fewer records or powers.
pub fn weigh<'a>(
    records: impl IntoIterator<Item = BallotRecord<'a>>,
    judged: Vec<JudgedRecord>,
    powers: &[VoterPower],
) -> Vec<Verdict> {
    let (mut records, mut powers) = (records.into_iter(), powers.iter());
    let verdict = |judged: JudgedRecord| {
        let record = records.next().expect("these are the records that were judged");
        judged.weigh(record, |_| *powers.next().expect("there is a power for each signer"))
    };
    judged.into_iter().map(verdict).collect()
}

impl Judged {
    /// The judged record, of a proposal without signers' chain: none of its records is claimed.
    ///
    /// # Panics
    /// If it is claimed.
    pub fn unclaimed(self) -> JudgedRecord {
        match self {
            Self::Record(judged) => judged,
            Self::Claim(claim) => panic!("record {} is claimed", claim.record()),
        }
    }
}

impl JudgedRecord {
    /// The voter whose signature was proven, if one was.
    pub fn signer(&self) -> Option<Voter> {
        self.0.as_ref().ok().map(SignedBallot::voter)
    }

    /// The ballot that was signed, or why there is none.
    pub fn into_signed(self) -> Result<SignedBallot, Refusal> {
        self.0
    }

    /// The verdict on `record`, the one that was judged. Only a proven signer's power is asked for.
    pub fn weigh(self, record: BallotRecord<'_>, power: impl FnOnce(Voter) -> VoterPower) -> Verdict {
        let counting = self.0.and_then(|ballot| {
            let power = power(ballot.voter());
            ballot.with_power(power)
        });
        Verdict {
            place: record.place,
            appended_at: record.appended_at,
            ruling: counting
                .map_or_else(|refusal| rejected(RecordHash::of(record.bytes), refusal, None), Ruling::Counts),
        }
    }
}

/// What a refusal comes to; with the power that was looked up of a claimed record.
pub(crate) fn rejected(record: RecordHash, refusal: Refusal, claimed_power: Option<VoterPower>) -> Ruling {
    let Refusal { rejection, digest, claimed_voter } = refusal;
    Ruling::Rejected(RejectedRecord { rejection, record, digest, claimed_voter, claimed_power })
}

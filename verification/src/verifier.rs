//! The verifier of one proposal's records, in two stages: signatures (CPU only), then power.
//!
//! The stages are apart because what follows them differs: a shard waits for the power of a batch, the recount asks once
//! for all voters. Both end in [`JudgedRecord::weigh`], so a record gets the same verdict everywhere.

use std::sync::Arc;

use pnyx_core::{
    ballot::{Envelope, HashMemo, Refusal, SignedBallot},
    id::{Place, RecordHash, Voter},
    power::VoterPower,
    proposal::Definition,
    rejection::Rejection,
    time::TimestampMs,
    verdict::{RejectedRecord, Ruling, Verdict},
    wire,
};

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

/// A record after the first stage: a ballot that its voter signed, or why there is none.
#[derive(Debug)]
pub struct JudgedRecord(Result<SignedBallot, Refusal>);

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
    pub fn judge(&self, record: BallotRecord<'_>, memo: &mut HashMemo) -> JudgedRecord {
        JudgedRecord(self.prove(record, memo))
    }

    fn prove(&self, record: BallotRecord<'_>, memo: &mut HashMemo) -> Result<SignedBallot, Refusal> {
        let body = wire::record::decode(record.bytes).map_err(|_| Refusal {
            rejection: Rejection::MalformedEnvelope,
            digest: None,
            claimed_voter: None,
        })?;
        let proposal = self.definition.proposal();
        let ballot = Envelope::parse(body, memo)?.for_proposal(proposal)?;
        ballot.check_time(record.appended_at, proposal)?;
        ballot.verify_signature()
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
            ruling: counting.map_or_else(|refusal| rejected(record.bytes, refusal), Ruling::Counts),
        }
    }
}

fn rejected(record: &[u8], refusal: Refusal) -> Ruling {
    let Refusal { rejection, digest, claimed_voter } = refusal;
    Ruling::Rejected(RejectedRecord { rejection, record: RecordHash::of(record), digest, claimed_voter })
}

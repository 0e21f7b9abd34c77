//! The verifier of one proposal's records, in two stages: signatures (CPU only), then power.

use std::sync::Arc;

use pnyx_core::{
    ballot::{Envelope, HashMemo, Refusal, SignedBallot},
    id::{Place, RecordHash},
    proposal::Definition,
    rejection::Rejection,
    time::TimestampMs,
    verdict::{RejectedRecord, Ruling, Verdict},
    wire,
};

use crate::power::{PowerSource, PowerUnavailable};

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
pub struct JudgedRecord<'a> {
    record: BallotRecord<'a>,
    signed: Result<SignedBallot, Refusal>,
}

/// Judges the records of one proposal. Shared between threads; each brings a [`HashMemo`] of its own, which stays fast
/// when it is kept from batch to batch.
#[derive(Debug, Clone)]
pub struct ProposalVerifier {
    definition: Arc<Definition>,
    power: PowerSource,
}

impl ProposalVerifier {
    /// A verifier with the source of power that the proposal's strategies ask for.
    pub fn new(definition: Arc<Definition>) -> Self {
        let power = PowerSource::of(definition.proposal());
        Self { definition, power }
    }

    /// What is voted on.
    pub const fn definition(&self) -> &Arc<Definition> {
        &self.definition
    }

    /// Where power comes from.
    pub const fn power_source(&self) -> &PowerSource {
        &self.power
    }

    /// The verdict on one record.
    pub fn verify(&self, record: BallotRecord<'_>, memo: &mut HashMemo) -> Result<Verdict, PowerUnavailable> {
        let mut verdicts = self.verify_batch([record], memo)?;
        Ok(verdicts.pop().expect("each record gets a verdict"))
    }

    /// The verdicts on records, in their order.
    pub fn verify_batch<'a>(
        &self,
        records: impl IntoIterator<Item = BallotRecord<'a>>,
        memo: &mut HashMemo,
    ) -> Result<Vec<Verdict>, PowerUnavailable> {
        let judged = records.into_iter().map(|record| self.judge_signature(record, memo)).collect();
        self.weigh(judged)
    }

    /// The first stage: every check that needs nothing but the record and the definition.
    pub fn judge_signature<'a>(&self, record: BallotRecord<'a>, memo: &mut HashMemo) -> JudgedRecord<'a> {
        JudgedRecord { record, signed: self.prove(record, memo) }
    }

    /// The second stage: looks up the power of all signed ballots at once.
    pub fn weigh(&self, judged: Vec<JudgedRecord<'_>>) -> Result<Vec<Verdict>, PowerUnavailable> {
        let voters: Vec<_> = judged.iter().filter_map(|one| Some(one.signed.as_ref().ok()?.voter())).collect();
        let mut powers = self.power.powers(&voters)?.into_iter();
        let verdict = |JudgedRecord { record, signed }: JudgedRecord<'_>| {
            let ballot = signed.and_then(|ballot| {
                let no_power = Refusal {
                    rejection: Rejection::NoPower,
                    digest: Some(ballot.digest()),
                    claimed_voter: Some(ballot.voter()),
                };
                ballot.with_power(powers.next().expect("a source answers for each voter")).ok_or(no_power)
            });
            Verdict {
                place: record.place,
                appended_at: record.appended_at,
                ruling: ballot.map_or_else(|refusal| rejected(record.bytes, refusal), Ruling::Counts),
            }
        };
        Ok(judged.into_iter().map(verdict).collect())
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

fn rejected(record: &[u8], refusal: Refusal) -> Ruling {
    let Refusal { rejection, digest, claimed_voter } = refusal;
    Ruling::Rejected(RejectedRecord { rejection, record: RecordHash::of(record), digest, claimed_voter })
}

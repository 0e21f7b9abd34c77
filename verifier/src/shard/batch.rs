//! The work of a batch: signatures, power, what is deferred or asked of contracts, and what that is written to.
//!
//! Of the ballots topic, records that no key signed are deferred where contracts may sign; all others get their verdicts.
//! Of the deferred topic all get theirs, but those whose contract was not heard: they are put back, behind the others.

use std::sync::Arc;

use futures_util::future::try_join;
use pnyx_backbone::{
    blocking::{RuntimeEnded, blocking},
    log::{GroupBatch, LogRecord, Topic},
};
use pnyx_core::{
    ballot::HashMemo,
    id::{Lane, Place, Voter},
    power::VoterPower,
    verdict::Verdict,
    wire::{
        self,
        deferred::{self, DeferredRecord},
    },
};
use pnyx_verification::{BallotRecord, Claim, ClaimAnswer, ContractSigners, Judged, signers, weigh};
use tokio::time::Instant;

use super::{
    Shards, Stage,
    chains::{Behind, Heard},
    failing::{Pause, ShardError, Tried},
};

/// A batch whose outcome is durable, unless the shards were stopped before.
pub(super) struct Finished {
    pub(super) partition: u32,
    pub(super) next_offset: u64,
    pub(super) verdicts: Vec<Verdict>,
    /// Records that were deferred, or put back.
    pub(super) deferred: usize,
    pub(super) memo: HashMemo,
    pub(super) started: Instant,
    pub(super) is_durable: bool,
}

/// What becomes of the records of a batch.
struct Decided {
    verdicts: Vec<Verdict>,
    /// For the deferred topic, by partition.
    deferred: Vec<(u32, Vec<u8>)>,
}

/// A record that no key signed.
struct ClaimedRecord<'a> {
    record: BallotRecord<'a>,
    claim: Claim,
}

/// The records of a batch, as they lie in the ballots topic.
fn records<'a>(stage: &Stage, batch: &'a GroupBatch) -> Result<Vec<BallotRecord<'a>>, ShardError> {
    let record = |record: &'a LogRecord| {
        let place = Place { partition: batch.partition, offset: record.offset };
        match stage {
            Stage::Ballots => Ok(BallotRecord { place, appended_at: record.appended_at, bytes: &record.value }),
            Stage::Deferred(_) => match deferred::decode(&record.value) {
                Ok(DeferredRecord { place, appended_at, record }) => {
                    Ok(BallotRecord { place, appended_at, bytes: record })
                }
                Err(source) => Err(ShardError::Deferred { at: place, source: Box::new(source) }),
            },
        }
    };
    batch.records.iter().map(record).collect()
}

fn next_offset(batch: &GroupBatch) -> u64 {
    batch.records.last().map_or(0, |record| record.offset + 1)
}

impl Shards {
    /// Makes the outcome of a batch durable.
    pub(super) async fn work_on(self, batch: GroupBatch, memo: HashMemo) -> Result<Finished, ShardError> {
        let started = Instant::now();
        let partition = batch.partition;
        let next_offset = next_offset(&batch);
        let (batch, judged, memo) = self.check_signatures(batch, memo).await;
        let decided = self.decide(&batch, judged?).await?;
        let (verdicts, deferred, is_durable) = match decided {
            Some(Decided { verdicts, deferred }) => {
                let count = deferred.len();
                let is_durable = self.append(&verdicts, deferred).await?;
                (verdicts, count, is_durable)
            }
            None => (Vec::new(), 0, false),
        };
        Ok(Finished { partition, next_offset, verdicts, deferred, memo, started, is_durable })
    }

    /// Checks signatures on a thread where blocking is allowed, so that they never hold up what waits for the log.
    async fn check_signatures(
        &self,
        batch: GroupBatch,
        mut memo: HashMemo,
    ) -> (GroupBatch, Result<Vec<Judged>, ShardError>, HashMemo) {
        let core = Arc::clone(&self.cores).acquire_owned().await.expect("the semaphore is never closed");
        let (verifier, stage) = (Arc::clone(&self.verifier), self.stage.clone());
        let work = blocking(move || {
            let judged = records(&stage, &batch)
                .map(|records| records.into_iter().map(|record| verifier.judge(record, &mut memo)).collect());
            drop(core);
            (batch, judged, memo)
        });
        match work.await {
            Ok(done) => done,
            // This task is dropped at its next wait.
            Err(RuntimeEnded) => std::future::pending().await,
        }
    }

    /// What becomes of the records; `None` if the shards were stopped before that was known.
    async fn decide(&self, batch: &GroupBatch, judged: Vec<Judged>) -> Result<Option<Decided>, ShardError> {
        let (mut by_key, mut of_key, mut claims) = (Vec::new(), Vec::new(), Vec::new());
        for (record, judged) in records(&self.stage, batch)?.into_iter().zip(judged) {
            match judged {
                Judged::Record(judged) => {
                    by_key.push(record);
                    of_key.push(judged);
                }
                Judged::Claim(claim) => claims.push(ClaimedRecord { record, claim }),
            }
        }
        let Some(powers) = self.powers(&signers(&of_key)).await else { return Ok(None) };
        let mut verdicts = weigh(by_key, of_key, &powers);
        let left = match &self.stage {
            Stage::Ballots => claims,
            Stage::Deferred(contracts) => {
                let behind = Behind { partition: batch.partition, next_offset: next_offset(batch) };
                match self.settle(contracts, claims, behind, &mut verdicts).await {
                    Some(left) => left,
                    None => return Ok(None),
                }
            }
        };
        Ok(Some(Decided { verdicts, deferred: left.iter().map(|claimed| self.deferred(claimed)).collect() }))
    }

    /// Adds the verdicts on claimed records; gives back those whose contracts were not heard, and last those that the chain
    /// failed at, so that next time the others are asked about first.
    async fn settle<'a>(
        &self,
        contracts: &ContractSigners,
        claims: Vec<ClaimedRecord<'a>>,
        behind: Behind,
        verdicts: &mut Vec<Verdict>,
    ) -> Option<Vec<ClaimedRecord<'a>>> {
        let voters: Vec<Voter> = claims.iter().map(|claimed| claimed.claim.claimed_voter()).collect();
        let powers = self.powers(&voters).await?;
        let is_asked = |power: &VoterPower| ClaimAnswer::unasked(*power).is_none();
        let asked = claims.iter().zip(&powers).filter(|(_, power)| is_asked(power));
        let asked: Vec<&Claim> = asked.map(|(claimed, _)| &claimed.claim).collect();
        // What is decided already is not held back.
        let is_all = verdicts.is_empty() && asked.len() == claims.len();
        let mut rulings = self.rulings(contracts, &asked, is_all.then_some(behind)).await?.into_iter();
        let (mut late, mut failed) = (Vec::new(), Vec::new());
        for (claimed, power) in claims.into_iter().zip(powers) {
            let answer = match ClaimAnswer::unasked(power) {
                Some(answer) => answer,
                None => match rulings.next().expect("each that is asked about was heard or not") {
                    Heard::Said(ruling) => ClaimAnswer::Asked(power, ruling),
                    Heard::NotYet => {
                        late.push(claimed);
                        continue;
                    }
                    Heard::Failed => {
                        failed.push(claimed);
                        continue;
                    }
                },
            };
            let ClaimedRecord { record, claim } = claimed;
            verdicts.push(claim.verdict(record, answer, contracts.pin()));
        }
        late.extend(failed);
        Some(late)
    }

    /// What stands in the deferred topic, in the lane of the account that is to be asked.
    fn deferred(&self, ClaimedRecord { record, claim }: &ClaimedRecord<'_>) -> (u32, Vec<u8>) {
        let Lane(lane) = Lane::of_voter(claim.claimed_voter(), self.verifier.definition().lanes());
        let BallotRecord { place, appended_at, bytes } = *record;
        (lane.into(), deferred::encode(&DeferredRecord { place, appended_at, record: bytes }))
    }

    /// What is deferred and the verdicts at the same time, so that the ones wait for the disk no longer than without the
    /// others: the batch is committed once both are durable.
    async fn append(&self, verdicts: &[Verdict], deferred: Vec<(u32, Vec<u8>)>) -> Result<bool, ShardError> {
        let lanes = self.verifier.definition().lanes();
        let encoded = verdicts.iter().map(|verdict| {
            let Lane(lane) = verdict.lane(lanes);
            (u32::from(lane), wire::verdict::encode(verdict))
        });
        let verdicts = self.append_to(&self.topics.verdicts, encoded.collect());
        let Some(topic) = &self.topics.deferred else { return verdicts.await };
        let (verdicts, deferred) = try_join(verdicts, self.append_to(topic, deferred)).await?;
        Ok(verdicts && deferred)
    }

    /// Until the log has them; `false` if the shards were stopped before.
    async fn append_to(&self, topic: &Topic, encoded: Vec<(u32, Vec<u8>)>) -> Result<bool, ShardError> {
        if encoded.is_empty() {
            return Ok(true);
        }
        let mut pause = Pause::default();
        loop {
            let appended = self.log.append_batch(topic, encoded.clone()).await.map_err(ShardError::Append);
            match self.tried(appended, &mut pause).await? {
                Tried::Done(_) => return Ok(true),
                Tried::Again => {}
                Tried::Stopped => return Ok(false),
            }
        }
    }
}

//! Claims that wait: ballots that only their voters' contracts can judge, asked about here as the shards ask elsewhere.
//!
//! Endpoints may contradict each other over one voter's contract and agree about everything else, so nobody finds it who does
//! not ask that contract. A claim that has no answer is put back behind others, so the first of a partition need not be the
//! one that waits; it comes round again.

use pnyx_backbone::log::{DEFERRED_GROUP, Log, LogError, Topic};
use pnyx_chains::Chains;
use pnyx_core::{ballot::HashMemo, decisions::ProposalDecisions, id::Voter, wire};
use pnyx_verification::{
    BallotRecord, Caching, Claim, ClaimAnswer, ContractSigners, Judged, PowerSource, ProposalVerifier,
};

/// Claims of one look: each may cost a call of its own with all the gas that a contract may burn.
const CLAIMS_MAX: usize = 16;

/// Of these from one partition: a claim that waits may stand in any.
const PARTITION_CLAIMS_MAX: usize = 4;

/// Bytes of claims read at once from a partition.
const CLAIMS_BYTES_MAX: usize = 512 * 1024;

/// The first claims of each partition that has some.
pub(super) async fn waiting(log: &Log, decisions: &ProposalDecisions) -> Result<Vec<Claim>, LogError> {
    let verifier = ProposalVerifier::new(decisions.definition.clone());
    let topic = Topic::deferred(decisions.definition.proposal().id());
    let committed = log.committed(&topic, DEFERRED_GROUP).await?;
    let mut claims = Vec::new();
    for (partition, end_offset) in (0..).zip(log.ends(&topic).await?) {
        let from = committed.get(partition as usize).copied().unwrap_or(0);
        if from < end_offset && claims.len() < CLAIMS_MAX {
            let mut reader = log.reader(&topic, partition, from)?;
            let records = reader.next_batch(PARTITION_CLAIMS_MAX, CLAIMS_BYTES_MAX).await?;
            claims.extend(records.iter().filter_map(|record| claim(&verifier, &record.value)));
        }
    }
    Ok(claims)
}

/// Asks about them; what the chains say is not kept.
pub(super) async fn ask(decisions: &ProposalDecisions, chains: &Chains, claims: &[Claim]) {
    let (proposal, pins) = (decisions.definition.proposal(), decisions.pins.as_ref());
    let source = PowerSource::of(proposal, pins, chains, Caching::Bypassed);
    let signers = ContractSigners::of(proposal, pins, chains, Caching::Bypassed);
    let (Ok(source), Ok(Some(signers))) = (source, signers) else { return };
    let voters: Vec<Voter> = claims.iter().map(Claim::claimed_voter).collect();
    let Ok(powers) = source.powers(&voters).await else { return };
    let with_power = claims.iter().zip(powers).filter(|(_, power)| ClaimAnswer::unasked(*power).is_none());
    let asked: Vec<&Claim> = with_power.map(|(claim, _)| claim).collect();
    if !asked.is_empty() {
        drop(signers.rulings(&asked).await);
    }
}

fn claim(verifier: &ProposalVerifier, value: &[u8]) -> Option<Claim> {
    let deferred = wire::deferred::decode(value).ok()?;
    let (place, appended_at) = (deferred.place, deferred.appended_at);
    let record = BallotRecord { place, appended_at, bytes: deferred.record };
    match verifier.judge(record, &mut HashMemo::forgetful()) {
        Judged::Claim(claim) => Some(claim),
        Judged::Record(_) => None,
    }
}

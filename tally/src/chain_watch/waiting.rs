//! Where ballots wait: asks the chains here what the shards are waiting for elsewhere.
//!
//! Endpoints that contradict each other, or fail, over some voters alone are found by nobody who does not ask for those. So
//! where the verifiers stand still before a record, the power of its voter and of those behind is looked up here, too, and
//! thrown away: what the endpoints do meanwhile is what readers are told.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::future::join_all;
use pnyx_backbone::{
    clock,
    log::{Log, LogError, Topic},
    proposals::Proposals,
};
use pnyx_chains::Chains;
use pnyx_core::{
    ballot::{Envelope, HashMemo},
    decisions::ProposalDecisions,
    id::{ProposalId, Voter},
    wire::record,
};
use pnyx_verification::{Caching, PowerSource};
use tokio::time::{sleep, timeout};

use super::is_in_progress;
use crate::ends::{Ends, Verification};

/// Pause between two looks. Two of them that find the verifiers at the same place are told within 5 s.
const ROUND_INTERVAL: Duration = Duration::from_millis(1_500);

/// Proposals that are looked at in a round: each costs requests to the log.
const PROPOSALS_MAX: usize = 16;

/// Proposals for which chains are asked in a round.
const ASKED_MAX: usize = 4;

/// Records whose voters are looked up: one call, and about what a shard has in hand.
const RECORDS_MAX: usize = 256;

/// Of these from one partition: shards may stand still in some and not in others.
const PARTITION_RECORDS_MAX: usize = 64;

/// Bytes of records read at once.
const RECORDS_BYTES_MAX: usize = 1024 * 1024;

/// How long records that are there may be awaited before it is left to the next round.
const LOG_WAIT_MAX: Duration = Duration::from_secs(1);

/// What is needed to find and to ask.
#[derive(Debug, Clone)]
pub(super) struct Waiting {
    pub(super) chains: Chains,
    pub(super) log: Log,
    pub(super) ends: Ends,
    pub(super) proposals: Proposals,
}

impl Waiting {
    /// Looks until dropped, and notes whether any ballot waits.
    pub(super) async fn follow(self, is_waited_for: &AtomicBool) {
        let mut before = BTreeMap::new();
        loop {
            sleep(ROUND_INTERVAL).await;
            let found = self.find().await;
            is_waited_for.store(!found.is_empty() || self.waits_for_pins(), Ordering::Relaxed);
            let stuck =
                found.iter().filter(|(id, (_, verification))| before.get(*id) == Some(&verification.verified()));
            join_all(stuck.take(ASKED_MAX).map(|(_, (decisions, verification))| self.ask(decisions, verification)))
                .await;
            before = found.into_iter().map(|(id, (_, verification))| (id, verification.verified())).collect();
        }
    }

    /// Whether a proposal is open whose blocks are not decided: its ballots wait.
    fn waits_for_pins(&self) -> bool {
        let (book, now) = (self.proposals.book(), clock::now());
        book.proposals()
            .values()
            .any(|decisions| decisions.waits_for_pins() && decisions.definition.proposal().window().opens_at() <= now)
    }

    /// Pinned proposals with records that have no verdict.
    async fn find(&self) -> BTreeMap<ProposalId, (ProposalDecisions, Arc<Verification>)> {
        let (book, now) = (self.proposals.book(), clock::now());
        let is_candidate = |decisions: &&ProposalDecisions| {
            decisions.pins.is_some()
                && is_in_progress(decisions)
                && decisions.definition.proposal().window().opens_at() <= now
        };
        let mut found = BTreeMap::new();
        for decisions in book.proposals().values().filter(is_candidate).take(PROPOSALS_MAX) {
            let id = decisions.definition.proposal().id();
            // Whoever cannot read the log says so elsewhere.
            if let Ok(read) = self.ends.verification_known(&decisions.definition).await
                && read.value.lag() > 0
            {
                found.insert(id, (decisions.clone(), read.value));
            }
        }
        found
    }

    /// Asks the chains; what they say is not kept.
    async fn ask(&self, decisions: &ProposalDecisions, verification: &Verification) {
        let proposal = decisions.definition.proposal();
        let source = PowerSource::of(proposal, decisions.pins.as_ref(), &self.chains, Caching::Bypassed);
        let read = timeout(LOG_WAIT_MAX, self.waiting_voters(proposal.id(), &verification.committed)).await;
        if let (Ok(source), Ok(Ok(voters))) = (source, read) {
            // Requests end by themselves; dropping this one would keep others from an endpoint that is being tried.
            drop(source.powers(&voters).await);
        }
    }

    /// The claimed voters of the first records of each partition that has some without a verdict. Nobody has checked who
    /// signed them: they are looked up and nothing else.
    async fn waiting_voters(&self, id: ProposalId, committed: &[u64]) -> Result<Vec<Voter>, LogError> {
        let topic = Topic::ballots(id);
        let mut voters = Vec::new();
        for (partition, end_offset) in (0..).zip(self.log.ends(&topic).await?) {
            let from = committed.get(partition as usize).copied().unwrap_or(0);
            if from < end_offset && voters.len() < RECORDS_MAX {
                let mut reader = self.log.reader(&topic, partition, from)?;
                let records = reader.next_batch(PARTITION_RECORDS_MAX, RECORDS_BYTES_MAX).await?;
                voters.extend(records.iter().filter_map(|record| claimed_voter(&record.value)));
            }
        }
        Ok(voters)
    }
}

fn claimed_voter(value: &[u8]) -> Option<Voter> {
    let envelope = Envelope::parse(record::decode(value).ok()?, &mut HashMemo::forgetful()).ok()?;
    Some(envelope.claimed_voter())
}

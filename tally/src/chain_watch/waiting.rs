//! Where ballots wait: asks the chains here what the shards are waiting for elsewhere.
//!
//! Endpoints that contradict each other, or fail, over some voters alone are found by nobody who does not ask for those. So
//! where the verifiers stand still before a record, the power of its voter and of those behind is looked up here, too, and
//! thrown away: what the endpoints do meanwhile is what readers are told. A fixed account would not do, because whoever
//! lies may lie about one holder. Nobody has proven to be those voters, and nobody needs to: the verifiers stand before the
//! same records, and what forged ones cost is bounded below. Where records wait for contracts look after look, these are
//! asked, too ([`claims`]).

use std::{
    collections::BTreeMap,
    ops::Bound,
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

use super::{claims, is_in_progress};
use crate::ends::{Ends, Verification};

/// Pause between two looks. Two of them that find the verifiers at the same place are told within 5 s.
const ROUND_INTERVAL: Duration = Duration::from_millis(1_500);

/// Proposals that are looked at in a round: each costs requests to the log. The next round goes on behind them.
const PROPOSALS_MAX: usize = 16;

/// Proposals for which chains are asked in a round, with one call each in the ordinary case.
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

/// What the rounds before found.
#[derive(Debug, Default)]
struct Seen {
    /// Proposals with records that have no verdict, and how many have one.
    behind: BTreeMap<ProposalId, Behind>,
    /// The proposal that was looked at last.
    last: Option<ProposalId>,
}

/// A proposal with records that have no verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Behind {
    /// How many have one.
    verified: u64,
    /// Whether some wait for contracts.
    has_claims: bool,
}

/// A proposal for which the chains are asked.
#[derive(Debug)]
struct Stuck {
    decisions: ProposalDecisions,
    verification: Arc<Verification>,
    /// Whether the verifiers stand before the same record as when it was seen last.
    stands_still: bool,
    /// Whether records wait for contracts now as they did then: perhaps not the same, because claims that have no answer are
    /// put back behind others, so that nothing stands still.
    has_claims: bool,
}

impl Waiting {
    /// Looks until dropped, and notes whether any ballot waits.
    pub(super) async fn follow(self, is_waited_for: &AtomicBool) {
        let mut seen = Seen::default();
        loop {
            sleep(ROUND_INTERVAL).await;
            let stuck = self.find(&mut seen).await;
            is_waited_for.store(!seen.behind.is_empty() || self.waits_for_pins(), Ordering::Relaxed);
            join_all(stuck.iter().map(|stuck| self.ask(stuck))).await;
        }
    }

    /// Whether a proposal is open whose blocks are not decided: its ballots wait.
    fn waits_for_pins(&self) -> bool {
        let (book, now) = (self.proposals.book(), clock::now());
        book.proposals()
            .values()
            .any(|decisions| decisions.waits_for_pins() && decisions.definition.proposal().window().opens_at() <= now)
    }

    /// Of the pinned proposals whose turn it is, those that are where they were when they were seen last.
    async fn find(&self, seen: &mut Seen) -> Vec<Stuck> {
        let (book, now) = (self.proposals.book(), clock::now());
        let is_candidate = |decisions: &ProposalDecisions| {
            decisions.pins.is_some()
                && is_in_progress(decisions)
                && decisions.definition.proposal().window().opens_at() <= now
        };
        let candidates: BTreeMap<ProposalId, &ProposalDecisions> = book
            .proposals()
            .iter()
            .filter(|(_, decisions)| is_candidate(decisions))
            .map(|(id, it)| (*id, it))
            .collect();
        seen.behind.retain(|id, _| candidates.contains_key(id));
        let mut stuck = Vec::new();
        for (id, decisions) in in_turn(&candidates, seen.last).take(PROPOSALS_MAX) {
            if stuck.len() == ASKED_MAX {
                break;
            }
            seen.last = Some(*id);
            // Whoever cannot read the log says so elsewhere.
            let Ok(read) = self.ends.verification_known(&decisions.definition).await else { continue };
            let verification = read.value;
            if verification.lag() == 0 {
                seen.behind.remove(id);
                continue;
            }
            let now = Behind { verified: verification.verified(), has_claims: verification.deferred > 0 };
            let Some(then) = seen.behind.insert(*id, now) else { continue };
            let (stands_still, has_claims) = (then.verified == now.verified, then.has_claims && now.has_claims);
            if stands_still || has_claims {
                stuck.push(Stuck { decisions: (*decisions).clone(), verification, stands_still, has_claims });
            }
        }
        stuck
    }

    /// Asks the chains; what they say is not kept.
    async fn ask(&self, stuck: &Stuck) {
        let Stuck { decisions, verification, stands_still, has_claims } = stuck;
        if *stands_still {
            self.ask_powers(decisions, verification).await;
        }
        if *has_claims && let Ok(Ok(claims)) = timeout(LOG_WAIT_MAX, claims::waiting(&self.log, decisions)).await {
            claims::ask(decisions, &self.chains, &claims).await;
        }
    }

    async fn ask_powers(&self, decisions: &ProposalDecisions, verification: &Verification) {
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

/// All entries, beginning behind the one that was looked at last.
fn in_turn<K: Ord + Copy, V>(map: &BTreeMap<K, V>, last: Option<K>) -> impl Iterator<Item = (&K, &V)> {
    let behind = map.range((last.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded));
    behind.chain(last.into_iter().flat_map(move |last| map.range(..=last)))
}

fn claimed_voter(value: &[u8]) -> Option<Voter> {
    let envelope = Envelope::parse(record::decode(value).ok()?, &mut HashMemo::forgetful()).ok()?;
    Some(envelope.claimed_voter())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_proposal_has_its_turn() {
        let map: BTreeMap<u8, ()> = (1..=5).map(|key| (key, ())).collect();
        let keys = |last| in_turn(&map, last).map(|(key, ())| *key).collect::<Vec<_>>();
        assert_eq!(keys(None), [1, 2, 3, 4, 5]);
        assert_eq!(keys(Some(2)), [3, 4, 5, 1, 2]);
        assert_eq!(keys(Some(5)), [1, 2, 3, 4, 5]);
        assert_eq!(keys(Some(9)), [1, 2, 3, 4, 5], "it is over");
    }
}

//! Settling claimed records while others are counted: what no key signed is decided by the account's power and
//! contract, both asked past all caches.
//!
//! Workers hand claims over through a queue and wait while it is full, so claims take no more memory than
//! [`CLAIM_BYTES_MAX`], whoever sends how many; an entry of at most some hundred bytes stays of each record that a
//! contract was asked about, because the result vouches for it.

use std::{collections::BTreeMap, ops::Bound, sync::Arc};

use pnyx_core::id::{RecordHash, Voter};
use pnyx_verification::{Claim, ContractSigners, PowerSource, RulingsUnavailable};
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
};

use crate::{
    count::{ClaimedRecord, Settled},
    facts::Facts,
    look_up::{self, LOOK_UP_TRIES_MAX, Tries},
    recounting::RecountError,
};

/// Bytes of claims that may wait to be settled, those included about which contracts are being asked: a full batch, and
/// as much again for the next one.
const CLAIM_BYTES_MAX: usize = 2 * BATCH_BYTES_MAX;

/// Most claims that are settled at once: several full calls of a chain.
const BATCH_CLAIMS_MAX: usize = 512;

/// Bytes after which a batch is full although it has fewer claims.
const BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The end of the queue at which claims are handed over.
#[derive(Debug, Clone)]
pub(crate) struct ClaimSender {
    sender: mpsc::UnboundedSender<Queued>,
    room: Arc<Semaphore>,
    handle: Handle,
}

/// The other one.
#[derive(Debug)]
pub(crate) struct ClaimReceiver(mpsc::UnboundedReceiver<Queued>);

/// A claim and the room that it takes until it is settled.
#[derive(Debug)]
struct Queued {
    claimed: ClaimedRecord,
    room: OwnedSemaphorePermit,
}

/// A queue in which no more than [`CLAIM_BYTES_MAX`] wait.
pub(crate) fn queue(handle: &Handle) -> (ClaimSender, ClaimReceiver) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let room = Arc::new(Semaphore::new(CLAIM_BYTES_MAX));
    (ClaimSender { sender, room, handle: handle.clone() }, ClaimReceiver(receiver))
}

impl ClaimSender {
    /// Hands a claim over, and waits for room on a thread where that is allowed. A claim that is larger than all room
    /// waits until it is the only one.
    pub(crate) fn send(&self, claimed: ClaimedRecord) {
        let bytes =
            u32::try_from(claimed.bytes().min(CLAIM_BYTES_MAX)).expect("a bound of few megabytes fits in 32 bits");
        let room = self.handle.block_on(Arc::clone(&self.room).acquire_many_owned(bytes));
        let room = room.expect("the semaphore is never closed");
        // Where nobody receives any more, whoever settles has failed and says so.
        let _ = self.sender.send(Queued { claimed, room });
    }
}

/// Settles claims until nobody hands any over. What the chains say of them is in the `facts`, and not asked for if it
/// was there before.
///
/// # Errors
/// A chain gave no answer for long: whoever counts begins again later, with what is known by then.
pub(crate) async fn settle_all(
    power: PowerSource,
    contracts: ContractSigners,
    mut queue: ClaimReceiver,
    facts: Facts,
) -> Result<Settled, RecountError> {
    let mut settled = Settled::default();
    while let Some(first) = queue.0.recv().await {
        let batch = fill(first, &mut queue.0);
        let claims: Vec<&Claim> = batch.iter().map(|queued| &queued.claimed.claim).collect();
        let voters: Vec<Voter> = claims.iter().map(|claim| claim.claimed_voter()).collect();
        look_up::learn(&power, voters, &facts).await?;
        ask(&contracts, claims, &facts).await?;
        for Queued { claimed, room } in batch {
            let answer = facts.answer(&claimed.claim).expect("contracts were asked before");
            settled.settle(claimed, answer, contracts.pin());
            drop(room);
        }
    }
    Ok(settled)
}

/// What is there already, as much as a batch takes.
fn fill(first: Queued, claims: &mut mpsc::UnboundedReceiver<Queued>) -> Vec<Queued> {
    let mut bytes = first.claimed.bytes();
    let mut batch = vec![first];
    while batch.len() < BATCH_CLAIMS_MAX
        && bytes < BATCH_BYTES_MAX
        && let Ok(queued) = claims.try_recv()
    {
        bytes = bytes.saturating_add(queued.claimed.bytes());
        batch.push(queued);
    }
    batch
}

/// Asks contracts about the claims that are open, of which a copy is the same question. What they answer is kept. Where
/// the chain fails at many claims fewer are asked about, and others first: one that it cannot answer holds up no more than
/// itself.
async fn ask(contracts: &ContractSigners, claims: Vec<&Claim>, facts: &Facts) -> Result<(), RulingsUnavailable> {
    let mut open: BTreeMap<RecordHash, &Claim> = claims.into_iter().map(|claim| (claim.record(), claim)).collect();
    let mut at_once = open.len();
    let mut failed_up_to = None;
    let mut tries = Tries::of(LOOK_UP_TRIES_MAX);
    loop {
        open.retain(|_, claim| facts.answer(claim).is_none());
        if open.is_empty() {
            return Ok(());
        }
        let asked: Vec<&Claim> = beginning_behind(&open, failed_up_to).take(at_once).copied().collect();
        match contracts.rulings(&asked).await {
            Ok(rulings) => {
                asked.iter().zip(rulings).for_each(|(claim, ruling)| facts.note_ruling(claim, ruling));
                at_once = at_once.saturating_mul(2);
                tries = Tries::of(LOOK_UP_TRIES_MAX);
            }
            Err(error @ RulingsUnavailable::Chain(_)) => {
                tries.after(error).await?;
                at_once = (asked.len() / 2).max(1);
                failed_up_to = asked.last().map(|claim| claim.record());
            }
            // No waiting adds to a record.
            Err(error @ RulingsUnavailable::NotRecorded { .. }) => return Err(error),
        }
    }
}

/// All values in the order of their keys, but those up to this key last.
fn beginning_behind<K: Ord + Copy, V>(map: &BTreeMap<K, V>, last: Option<K>) -> impl Iterator<Item = &V> {
    let behind = last.map_or(Bound::Unbounded, Bound::Excluded);
    let up_to = last.into_iter().flat_map(move |last| map.range(..=last));
    map.range((behind, Bound::Unbounded)).chain(up_to).map(|(_, value)| value)
}

#[cfg(test)]
mod tests;

//! Settling claimed records while others are counted: what no key signed is decided by the account's power and contract,
//! both asked past all caches.
//!
//! Workers hand claims over through a queue of [`CLAIMS_QUEUED_MAX`] and wait while it is full, so claims take no more
//! memory than that and one batch, whoever sends how many; an entry of at most some hundred bytes stays of each record
//! that a contract was asked about, because the result vouches for it.

use std::collections::BTreeMap;

use pnyx_core::id::{RecordHash, Voter};
use pnyx_verification::{Claim, ContractSigners, PowerSource, PowerUnavailable, RulingsUnavailable};
use tokio::sync::mpsc;

use crate::{
    count::{ClaimedRecord, Settled},
    look_up::patiently,
};

/// Claims that may wait to be settled: few megabytes, and enough for the next batch to be full.
pub(crate) const CLAIMS_QUEUED_MAX: usize = 512;

/// Most claims that are settled at once: several full calls of a chain.
const BATCH_CLAIMS_MAX: usize = 512;

/// Bytes after which a batch is full although it has fewer claims.
const BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;

/// How often the same is asked of a chain. With the pauses it is longer than an endpoint that failed is left alone.
const TRIES_MAX: u32 = 6;

/// Settles claims until nobody hands any over.
///
/// # Errors
/// A chain gave no answer for long: whoever counts begins again later.
pub(crate) async fn settle_all<E>(
    power: PowerSource,
    contracts: ContractSigners,
    mut claims: mpsc::Receiver<ClaimedRecord>,
) -> Result<Settled, E>
where
    E: From<PowerUnavailable> + From<RulingsUnavailable>,
{
    let mut settled = Settled::default();
    while let Some(first) = claims.recv().await {
        let batch = fill(first, &mut claims);
        look_up(&power, &batch, &mut settled).await?;
        ask(&contracts, &batch, &mut settled).await?;
        for claimed in batch {
            settled.settle(claimed, contracts.pin());
        }
    }
    Ok(settled)
}

/// What is there already, as much as a batch takes.
fn fill(first: ClaimedRecord, claims: &mut mpsc::Receiver<ClaimedRecord>) -> Vec<ClaimedRecord> {
    let mut bytes = first.len();
    let mut batch = vec![first];
    while batch.len() < BATCH_CLAIMS_MAX
        && bytes < BATCH_BYTES_MAX
        && let Ok(claimed) = claims.try_recv()
    {
        bytes = bytes.saturating_add(claimed.len());
        batch.push(claimed);
    }
    batch
}

/// The power of accounts that were not claimed before.
async fn look_up(power: &PowerSource, batch: &[ClaimedRecord], settled: &mut Settled) -> Result<(), PowerUnavailable> {
    let voters = batch.iter().map(|claimed| claimed.claim.claimed_voter());
    let mut unknown: Vec<Voter> = voters.filter(|voter| !settled.powers.contains_key(voter)).collect();
    unknown.sort_unstable();
    unknown.dedup();
    if !unknown.is_empty() {
        let powers =
            patiently(TRIES_MAX, || power.powers(&unknown), |error| matches!(error, PowerUnavailable::Chain(_)))
                .await?;
        settled.powers.extend(unknown.into_iter().zip(powers));
    }
    Ok(())
}

/// What contracts say of records that they were not asked about before: a copy is the same question.
async fn ask(
    contracts: &ContractSigners,
    batch: &[ClaimedRecord],
    settled: &mut Settled,
) -> Result<(), RulingsUnavailable> {
    let open = batch.iter().map(|claimed| &claimed.claim).filter(|claim| settled.answer(claim).is_none());
    let open: BTreeMap<RecordHash, &Claim> = open.map(|claim| (claim.record(), claim)).collect();
    let open: Vec<&Claim> = open.into_values().collect();
    if !open.is_empty() {
        let rulings =
            patiently(TRIES_MAX, || contracts.rulings(&open), |error| matches!(error, RulingsUnavailable::Chain(_)))
                .await?;
        let said = open.iter().zip(rulings).map(|(claim, ruling)| (claim.record(), (claim.claimed_voter(), ruling)));
        settled.rulings.extend(said);
    }
    Ok(())
}

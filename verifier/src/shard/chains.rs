//! What shards ask of chains, however long they need. Meanwhile nothing is kept in memory but the batch in hand: what
//! follows waits in the log, and other proposals have shards of their own.

use std::{collections::BTreeMap, fmt::Display, time::Duration};

use futures_util::future::join_all;
use pnyx_backbone::telemetry;
use pnyx_core::{id::Voter, power::VoterPower, signature_check::SignatureRuling};
use pnyx_verification::{Claim, ContractSigners, RulingsUnavailable};
use tokio::time::Instant;
use tracing::warn;

use super::{Shards, failing::Pause};

/// How long one account's contract may be asked about the claims of a batch. What is left then is put back behind the
/// claims of others, so that whoever floods a slow contract costs the others of the batch no more than this.
pub(super) const ACCOUNT_TIME_MAX: Duration = Duration::from_secs(2);

/// Most claims that one account's contract is asked about at once: as many as go in one call.
const ACCOUNT_CLAIMS_MAX: usize = 64;

impl Shards {
    /// The power of each voter; `None` if the shards were stopped before a chain answered.
    pub(super) async fn powers(&self, voters: &[Voter]) -> Option<Vec<VoterPower>> {
        let waiting = self.metrics.power.waits.wait(voters.len());
        let mut pause = Pause::default();
        loop {
            let powers = tokio::select! {
                () = self.stop.cancelled() => return None,
                powers = self.power.powers(voters) => powers,
            };
            match powers {
                Ok(powers) => return Some(powers),
                Err(error) => {
                    waiting.failed();
                    self.wait_for_chain(telemetry::chain(&error), &mut pause).await?;
                }
            }
        }
    }

    /// What the contracts say of the signatures of accounts with power, in their order: nothing where one is so slow that
    /// its turn was over. `None` if the shards were stopped before the chain answered.
    pub(super) async fn rulings(
        &self,
        contracts: &ContractSigners,
        claims: &[&Claim],
    ) -> Option<Vec<Option<SignatureRuling>>> {
        let waiting = self.metrics.signatures.waits.wait(claims.len());
        let mut rulings = vec![None; claims.len()];
        let mut pause = Pause::default();
        loop {
            let asked = tokio::select! {
                () = self.stop.cancelled() => return None,
                asked = ask(contracts, claims, &mut rulings) => asked,
            };
            match asked {
                Ok(()) => return Some(rulings),
                // What was answered before stays, and nobody's turn is over because an endpoint failed.
                Err(error) => {
                    waiting.failed();
                    self.wait_for_chain(telemetry::chain(&error), &mut pause).await?;
                }
            }
        }
    }

    /// Waits before a chain is asked again; `None` if the shards were stopped meanwhile.
    async fn wait_for_chain(&self, error: impl Display, pause: &mut Pause) -> Option<()> {
        let pause = pause.next();
        let proposal = self.proposal();
        warn!(%proposal, %error, pause_ms = pause.as_millis(), "a shard waits for a chain");
        tokio::select! {
            () = self.stop.cancelled() => None,
            () = tokio::time::sleep(pause) => Some(()),
        }
    }
}

/// Asks about all claims that have no ruling, all accounts at once, until each is ruled or its account's turn is over.
async fn ask(
    contracts: &ContractSigners,
    claims: &[&Claim],
    rulings: &mut [Option<SignatureRuling>],
) -> Result<(), RulingsUnavailable> {
    let mut by_account: BTreeMap<Voter, Vec<usize>> = BTreeMap::new();
    for (index, claim) in claims.iter().enumerate().filter(|(index, _)| rulings[*index].is_none()) {
        by_account.entry(claim.claimed_voter()).or_default().push(index);
    }
    // Most accounts have one claim. These go together, which costs the chain a fraction of asking about each.
    let (mut turns, mut single) = (Vec::new(), Vec::new());
    for indices in by_account.into_values() {
        match indices[..] {
            [index] => single.push(index),
            _ => turns.push(Turn { contracts, claims, at_once: 1, indices }),
        }
    }
    turns.push(Turn { contracts, claims, at_once: single.len().max(1), indices: single });
    let mut failure = None;
    for (found, failed) in join_all(turns.into_iter().map(Turn::take)).await {
        for (index, ruling) in found {
            rulings[index] = Some(ruling);
        }
        failure = failure.or(failed);
    }
    failure.map_or(Ok(()), Err)
}

/// The claims of one account, or those of accounts that have one each.
struct Turn<'a> {
    contracts: &'a ContractSigners,
    claims: &'a [&'a Claim],
    /// How many of them are asked about at once: few until it is known that their contract is quick.
    at_once: usize,
    indices: Vec<usize>,
}

impl Turn<'_> {
    /// Asks until the time is over, once at least. What was found, and why there is not more.
    async fn take(mut self) -> (Vec<(usize, SignatureRuling)>, Option<RulingsUnavailable>) {
        let began = Instant::now();
        let mut found = Vec::new();
        let mut rest = &self.indices[..];
        while !rest.is_empty() && (found.is_empty() || began.elapsed() < ACCOUNT_TIME_MAX) {
            let (now, later) = rest.split_at(self.at_once.min(rest.len()));
            let asked_at = Instant::now();
            let claims: Vec<&Claim> = now.iter().map(|index| self.claims[*index]).collect();
            match self.contracts.rulings(&claims).await {
                Ok(rulings) => found.extend(now.iter().copied().zip(rulings)),
                Err(error) => return (found, Some(error)),
            }
            if asked_at.elapsed() < ACCOUNT_TIME_MAX / 4 {
                self.at_once = (self.at_once * 2).min(ACCOUNT_CLAIMS_MAX);
            }
            rest = later;
        }
        (found, None)
    }
}

//! What shards ask of chains, however long they need. Meanwhile nothing is kept in memory but the batch in hand: what
//! follows waits in the log, and other proposals have shards of their own.

use std::{collections::BTreeMap, fmt::Display, time::Duration};

use futures_util::future::join_all;
use pnyx_backbone::telemetry;
use pnyx_core::{id::Voter, power::VoterPower, signature_check::SignatureRuling};
use pnyx_verification::{Claim, ContractSigners, RulingsUnavailable};
use tokio::{sync::Semaphore, time::Instant};
use tracing::warn;

use super::{Shards, failing::Pause};

/// How long a contract may be asked about the claims of a batch, and all those together that have one claim each. What is
/// left then is put back behind the claims of others, so that whoever floods a slow contract costs the others of the batch
/// little more than this, as long as there is room for questions.
pub(super) const TURN_TIME_MAX: Duration = Duration::from_secs(2);

/// Claims of accounts that have one each that are asked about at once at first.
const SINGLE_CLAIMS_MIN: usize = 16;

/// Most claims that are asked about at once: a batch's.
const CLAIMS_AT_ONCE_MAX: usize = 256;

/// Pause before claims are put back of which none was heard, although the chain answers: it bounds how quickly a topic
/// grows by claims that endpoints fail at. While nobody waits behind them, they are asked about again after twice as long
/// each time.
const PUT_BACK_PAUSE: Duration = Duration::from_secs(2);

/// Longest time until claims in hand are asked about again: how much later than its endpoints a wallet is heard.
const HELD_PAUSE_MAX: Duration = Duration::from_secs(60);

/// Questions about claims that a process has under way at once: twice as many as an endpoint answers at once, so that it has
/// the next one when it has answered one. However many accounts a flood names, look-ups of power for plain ballots wait behind
/// no more than these.
pub(crate) const QUESTIONS_MAX: usize = 16;

/// What is known of a claim that a contract was to be asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    /// The chain's answer.
    Said(SignatureRuling),
    /// Nothing: its turn was over before.
    NotYet,
    /// Nothing: the chain failed at this one.
    Failed,
}

/// A place in the deferred topic: the one after a batch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Behind {
    pub(super) partition: u32,
    pub(super) next_offset: u64,
}

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
                    self.wait_for_chain(telemetry::chain(&error), pause.next()).await?;
                }
            }
        }
    }

    /// What the contracts say of the signatures of accounts with power, in their order. `None` if the shards were stopped
    /// before the chain answered. Claims of which none is heard stay in hand while nothing lies `behind` them: to be put
    /// back they are written again. `None` where others of the batch wait for them.
    pub(super) async fn rulings(
        &self,
        contracts: &ContractSigners,
        claims: &[&Claim],
        behind: Option<Behind>,
    ) -> Option<Vec<Heard>> {
        let waiting = self.metrics.signatures.waits.wait(claims.len());
        let (mut pause, mut held) = (Pause::default(), PUT_BACK_PAUSE);
        let mut order: Vec<usize> = (0..claims.len()).collect();
        loop {
            let asked: Vec<&Claim> = order.iter().map(|index| claims[*index]).collect();
            let (said, failure) = tokio::select! {
                () = self.stop.cancelled() => return None,
                asked = ask(contracts, &asked, &self.questions) => asked,
            };
            let mut heard = vec![Heard::NotYet; claims.len()];
            order.iter().zip(said).for_each(|(index, said)| heard[*index] = said);
            let Some(error) = failure else { return Some(heard) };
            waiting.failed();
            let is_any_said = heard.iter().any(|heard| matches!(heard, Heard::Said(_)));
            match (is_any_said, error.may_be_the_question()) {
                (true, _) => return Some(heard),
                // Others may be answered, so these make room for them; not at once, for each time they are written again.
                (false, true) => {
                    if !self.hold(telemetry::chain(&error), held, behind).await? {
                        return Some(heard);
                    }
                    held = held.saturating_mul(2).min(HELD_PAUSE_MAX);
                    // As if they were put back: those that there was no time for come first.
                    order.sort_by_key(|index| heard[*index] == Heard::Failed);
                }
                (false, false) => self.wait_for_chain(telemetry::chain(&error), pause.next()).await?,
            }
        }
    }

    /// Keeps claims in hand for a while; `false` if others wait for their place, `None` if the shards were stopped.
    async fn hold(&self, error: impl Display, pause: Duration, behind: Option<Behind>) -> Option<bool> {
        let until = Instant::now() + pause;
        self.wait_for_chain(error, PUT_BACK_PAUSE).await?;
        let Some(behind) = behind else { return Some(false) };
        loop {
            let is_something = tokio::select! {
                () = self.stop.cancelled() => return None,
                is_something = self.is_something(behind) => is_something,
            };
            if is_something || Instant::now() >= until {
                return Some(!is_something);
            }
            tokio::select! {
                () = self.stop.cancelled() => return None,
                () = tokio::time::sleep(PUT_BACK_PAUSE) => {}
            }
        }
    }

    /// Whether other claims of the lane wait. A log that does not say so takes none either.
    async fn is_something(&self, behind: Behind) -> bool {
        let Some(topic) = &self.topics.deferred else { return false };
        let ends = self.log.ends(topic).await.unwrap_or_default();
        let end = usize::try_from(behind.partition).ok().and_then(|partition| ends.get(partition));
        end.is_some_and(|end| *end > behind.next_offset)
    }

    /// Waits before a chain is asked again; `None` if the shards were stopped meanwhile.
    async fn wait_for_chain(&self, error: impl Display, pause: Duration) -> Option<()> {
        let proposal = self.proposal();
        warn!(%proposal, %error, pause_ms = pause.as_millis(), "a shard waits for a chain");
        tokio::select! {
            () = self.stop.cancelled() => None,
            () = tokio::time::sleep(pause) => Some(()),
        }
    }
}

/// Asks about all claims, all accounts at once, until each is heard or its account's turn is over.
async fn ask(
    contracts: &ContractSigners,
    claims: &[&Claim],
    questions: &Semaphore,
) -> (Vec<Heard>, Option<RulingsUnavailable>) {
    let mut by_account: BTreeMap<Voter, Vec<usize>> = BTreeMap::new();
    for (index, claim) in claims.iter().enumerate() {
        by_account.entry(claim.claimed_voter()).or_default().push(index);
    }
    // Most accounts have one claim. These go together, which costs the chain a fraction of asking about each.
    let (mut turns, mut single) = (Vec::new(), Vec::new());
    for indices in by_account.into_values() {
        match indices[..] {
            [index] => single.push(index),
            _ => turns.push(Turn { contracts, claims, questions, at_once: 1, indices }),
        }
    }
    // In the order of the batch: what the chain failed at was put back behind the others.
    single.sort_unstable();
    turns.push(Turn { contracts, claims, questions, at_once: SINGLE_CLAIMS_MIN, indices: single });
    let mut heard = vec![Heard::NotYet; claims.len()];
    let mut failure = None;
    for (found, failed) in join_all(turns.into_iter().map(Turn::take)).await {
        for (index, said) in found {
            heard[index] = said;
        }
        failure = failure.or(failed);
    }
    (heard, failure)
}

/// The claims of one account, or those of accounts that have one each.
struct Turn<'a> {
    contracts: &'a ContractSigners,
    claims: &'a [&'a Claim],
    questions: &'a Semaphore,
    /// How many of them are asked about at once: few until it is known that their contracts are quick.
    at_once: usize,
    indices: Vec<usize>,
}

impl Turn<'_> {
    /// Asks until the time is over, and at least until one is heard or failed at alone. What was heard, and why not more.
    async fn take(self) -> (Vec<(usize, Heard)>, Option<RulingsUnavailable>) {
        let mut began: Option<Instant> = None;
        let (mut heard, mut failure) = (Vec::new(), None);
        let (mut rest, mut at_once) = (&self.indices[..], self.at_once);
        while !rest.is_empty() && (heard.is_empty() || began.is_none_or(|began| began.elapsed() < TURN_TIME_MAX)) {
            let (now, later) = rest.split_at(at_once.min(rest.len()));
            let _place = self.questions.acquire().await.expect("the semaphore is never closed");
            let asked_at = Instant::now();
            began.get_or_insert(asked_at);
            let claims: Vec<&Claim> = now.iter().map(|index| self.claims[*index]).collect();
            match self.contracts.rulings(&claims).await {
                Ok(rulings) => {
                    heard.extend(now.iter().copied().zip(rulings.into_iter().map(Heard::Said)));
                    rest = later;
                    at_once = adapted(at_once, asked_at.elapsed());
                }
                Err(error) => {
                    let may_be_the_question = error.may_be_the_question();
                    failure = Some(error);
                    match now {
                        _ if !may_be_the_question => break,
                        [index] => {
                            heard.push((*index, Heard::Failed));
                            rest = later;
                        }
                        _ => at_once = now.len() / 2,
                    }
                }
            }
        }
        (heard, failure)
    }
}

/// How many claims are asked about at once next: more while they are quick, fewer when they are not.
fn adapted(at_once: usize, took: Duration) -> usize {
    let next = if took < TURN_TIME_MAX / 4 { at_once.saturating_mul(2) } else { at_once / 2 };
    next.clamp(1, CLAIMS_AT_ONCE_MAX)
}

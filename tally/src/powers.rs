//! What readers are told of a voter's power: what the proposal lists, and what its chains say at the pins.
//!
//! Anybody may ask, and each answer may cost requests to somebody else's node, which shards in the same process may be
//! waiting for: so few look-ups run at once, few in a second, none for long, and what a chain said at a pin, which is true
//! for ever, is remembered in bounded memory. Who comes when that is used up is told to ask again. Nothing here decides whether a
//! ballot counts.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use pnyx_chains::{Chains, PowerPart};
use pnyx_core::{
    chain::ChainId,
    decisions::ProposalDecisions,
    id::{ProposalId, Voter},
    power::{Power, VoterPower},
};
use pnyx_verification::{Caching, PowerSource, SourceError, listed_by};
use tokio::{sync::Semaphore, time::timeout};

use crate::lock;

/// Look-ups at once: each is a request for each strategy, and endpoints answer in the order in which they are asked. So a
/// shard is behind two readers at most.
const LOOK_UPS_AT_ONCE_MAX: usize = 2;

/// Look-ups in a second, in the long run, and at once after a pause: more than people do who look at a page, and little
/// beside what a provider sells.
const LOOK_UPS_PER_SECOND: u32 = 5;
const LOOK_UPS_SAVED_MAX: u32 = 30;

/// Longest that a reader waits for a chain: with the store's share an answer stays below 5 s.
const LOOK_UP_WAIT_MAX: Duration = Duration::from_secs(3);

/// Voters whose look-ups are remembered, at a few hundred bytes each.
const REMEMBERED_MAX: usize = 10_000;

/// Looks power up for readers. Clones share what is remembered.
#[derive(Debug, Clone)]
pub(crate) struct Powers(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    chains: Chains,
    places: Semaphore,
    budget: Mutex<Budget>,
    remembered: Mutex<Remembered>,
}

/// How many look-ups readers may have. Pure: times come in as arguments.
#[derive(Debug)]
struct Budget {
    /// When it would be whole again.
    full_at: Instant,
}

/// The last answers of chains. The oldest goes first.
#[derive(Debug, Default)]
struct Remembered {
    by_voter: HashMap<(ProposalId, Voter), Arc<[PowerPart]>>,
    order: VecDeque<(ProposalId, Voter)>,
}

/// What is known of a voter's power.
#[derive(Debug)]
pub(crate) struct PowerOf {
    /// The sum over the strategies; `None` while a chain has yet to answer.
    pub(crate) total: Option<VoterPower>,
    /// In the order of the definition.
    pub(crate) by_strategy: Vec<StrategyPower>,
    /// Why there is no sum.
    pub(crate) missing: Option<Missing>,
}

/// What one strategy gives.
#[derive(Debug)]
pub(crate) struct StrategyPower {
    /// Snapshot's name.
    pub(crate) name: &'static str,
    /// `None` while a chain has yet to answer.
    pub(crate) power: Option<VoterPower>,
    /// What was read of chains for it.
    pub(crate) reads: Vec<PowerPart>,
}

/// Why a chain's part of the power is not known here at present.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    /// The blocks are not decided yet.
    NotPinned,
    /// This process knows no endpoint of the chain.
    NoEndpoint(ChainId),
    /// No chain gave an answer in time.
    NoAnswer,
    /// Too many ask at once.
    Busy,
}

impl Powers {
    pub(crate) fn new(chains: Chains) -> Self {
        let places = Semaphore::new(LOOK_UPS_AT_ONCE_MAX);
        let budget = Mutex::new(Budget { full_at: Instant::now() });
        Self(Arc::new(Inner { chains, places, budget, remembered: Mutex::default() }))
    }

    /// What is known of a voter's power, by strategy.
    pub(crate) async fn of(&self, decisions: &ProposalDecisions, voter: Voter) -> PowerOf {
        let (parts, missing) = match self.parts(decisions, voter).await {
            Ok(parts) => (Some(parts), None),
            Err(missing) => (None, Some(missing)),
        };
        let strategies = decisions.definition.proposal().parts().strategies.iter().enumerate();
        let by_strategy: Vec<StrategyPower> = strategies
            .map(|(index, strategy)| {
                let of_strategy = parts.iter().flat_map(|parts| parts.iter()).filter(|part| part.strategy == index);
                let reads: Vec<PowerPart> = of_strategy.cloned().collect();
                let power = match listed_by(strategy, voter) {
                    Some(power) => Some(VoterPower::Known(power)),
                    None => parts.is_some().then(|| sum(reads.iter().map(|part| part.power))),
                };
                StrategyPower { name: strategy.name(), power, reads }
            })
            .collect();
        let powers: Option<Vec<VoterPower>> = by_strategy.iter().map(|strategy| strategy.power).collect();
        PowerOf { total: powers.map(|powers| sum(powers.into_iter())), by_strategy, missing }
    }

    /// What the proposal's chains say of a voter; nothing where it reads none.
    async fn parts(&self, decisions: &ProposalDecisions, voter: Voter) -> Result<Arc<[PowerPart]>, Missing> {
        let proposal = decisions.definition.proposal();
        if !proposal.reads_power() {
            return Ok(Arc::default());
        }
        let key = (proposal.id(), voter);
        if let Some(parts) = lock(&self.0.remembered).by_voter.get(&key) {
            return Ok(Arc::clone(parts));
        }
        let source = PowerSource::of(proposal, decisions.pins.as_ref(), &self.0.chains, Caching::Bypassed)?;
        let _place = self.0.places.try_acquire().map_err(|_| Missing::Busy)?;
        if !lock(&self.0.budget).take(Instant::now()) {
            return Err(Missing::Busy);
        }
        let looked_up = timeout(LOOK_UP_WAIT_MAX, source.chain_parts(voter)).await;
        // Why a chain has no answer is in its metrics and in the log, under the endpoints' names.
        let parts: Arc<[PowerPart]> = looked_up.map_err(|_| Missing::NoAnswer)?.map_err(|_| Missing::NoAnswer)?.into();
        lock(&self.0.remembered).keep(key, Arc::clone(&parts));
        Ok(parts)
    }
}

fn sum(powers: impl Iterator<Item = VoterPower>) -> VoterPower {
    powers.fold(VoterPower::Known(Power::ZERO), VoterPower::checked_add)
}

impl Budget {
    /// Takes one look-up, if there is one.
    fn take(&mut self, now: Instant) -> bool {
        let each = Duration::from_secs(1) / LOOK_UPS_PER_SECOND;
        let full_at = self.full_at.max(now) + each;
        let is_there = full_at.saturating_duration_since(now) <= each * LOOK_UPS_SAVED_MAX;
        if is_there {
            self.full_at = full_at;
        }
        is_there
    }
}

impl Remembered {
    fn keep(&mut self, key: (ProposalId, Voter), parts: Arc<[PowerPart]>) {
        if self.by_voter.insert(key, parts).is_none() {
            self.order.push_back(key);
        }
        if self.order.len() > REMEMBERED_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.by_voter.remove(&oldest);
        }
    }
}

impl From<SourceError> for Missing {
    fn from(error: SourceError) -> Self {
        match error {
            SourceError::NotPinned => Self::NotPinned,
            SourceError::NoEndpoint(chain) => Self::NoEndpoint(chain),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_have_few_look_ups_in_a_second() {
        let start = Instant::now();
        let mut budget = Budget { full_at: start };
        let mut taken = |at_ms: u64| (0..100).filter(|_| budget.take(start + Duration::from_millis(at_ms))).count();
        assert_eq!(taken(0), LOOK_UPS_SAVED_MAX as usize);
        assert_eq!((taken(199), taken(200), taken(1_000)), (0, 1, 4));
        assert_eq!(taken(3_600_000), LOOK_UPS_SAVED_MAX as usize, "no more is saved");
    }

    #[test]
    fn the_oldest_is_forgotten_first() {
        let mut remembered = Remembered::default();
        let key = |number: usize| {
            let mut bytes = [0; 20];
            bytes[12..].copy_from_slice(&number.to_be_bytes());
            (ProposalId::new([1; 32]), Voter::new(bytes))
        };
        for number in 0..=REMEMBERED_MAX {
            remembered.keep(key(number), Arc::default());
            remembered.keep(key(number), Arc::default());
        }
        assert_eq!((remembered.by_voter.len(), remembered.order.len()), (REMEMBERED_MAX, REMEMBERED_MAX));
        assert!(!remembered.by_voter.contains_key(&key(0)) && remembered.by_voter.contains_key(&key(1)));
    }
}

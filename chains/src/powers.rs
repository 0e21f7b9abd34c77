//! What a proposal's chains say of voters' power, at its pins.

use std::{collections::BTreeMap, sync::Arc};

use futures_util::future::try_join_all;
use pnyx_core::{
    chain::{ChainId, Pin, Pins},
    id::Voter,
    power::{Power, VoterPower},
    proposal::{ChainRead, Strategy},
};
use thiserror::Error;

use crate::{
    Chains,
    aggregate::Run,
    cache::PowerCache,
    chain::{Chain, ChainError},
    reads::Raw,
};

/// The power that a proposal's strategies read from chains, at its pins. Strategies that read none are left to others.
/// Clones share the cache.
#[derive(Debug, Clone)]
pub struct ChainPower {
    parts: Arc<[Part]>,
    cache: Option<Arc<PowerCache>>,
}

/// A read of a chain, and of which strategy it is.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    /// The strategy's place in the proposal, from 0.
    pub(crate) strategy: usize,
    /// Its place in that strategy; 0 unless it is a multichain one.
    pub(crate) position: usize,
    pub(crate) read: ChainRead,
    pub(crate) chain: Chain,
    pub(crate) pin: Pin,
}

/// What one read says of one voter, for people who ask why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PowerPart {
    /// The strategy's place in the proposal, from 0.
    pub strategy: usize,
    /// The read's place in that strategy; 0 unless it is a multichain one.
    pub position: usize,
    /// What is read.
    pub read: ChainRead,
    /// Where.
    pub pin: Pin,
    /// What the chain says.
    pub raw: Raw,
    /// The power that this is.
    pub power: VoterPower,
}

/// Why power cannot be read here at all: this is configuration, not weather.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ChainPowerError {
    /// No endpoint for a chain is configured.
    #[error("no endpoint of chain {chain} is configured")]
    NotConfigured {
        /// The chain.
        chain: ChainId,
    },
    /// The pins leave out a chain that is read.
    #[error("chain {chain} is read but not pinned")]
    NotPinned {
        /// The chain.
        chain: ChainId,
    },
}

impl ChainPower {
    /// The power of strategies, read past any cache.
    pub fn new(chains: &Chains, strategies: &[Strategy], pins: &Pins) -> Result<Self, ChainPowerError> {
        let mut parts = Vec::new();
        for (strategy, position, read) in strategies.iter().enumerate().flat_map(|(index, strategy)| {
            strategy.chain_strategies().iter().enumerate().map(move |(position, read)| (index, position, read))
        }) {
            let id = read.network;
            let chain = chains.get(id).ok_or(ChainPowerError::NotConfigured { chain: id })?.clone();
            let pin = *pins.get(id).ok_or(ChainPowerError::NotPinned { chain: id })?;
            parts.push(Part { strategy, position, read: read.read.clone(), chain, pin });
        }
        Ok(Self { parts: parts.into(), cache: None })
    }

    /// The same with a cache of at most about this many bytes.
    #[must_use]
    pub fn cached(self, chains: &Chains, bytes_max: usize) -> Self {
        let cache = PowerCache::new(bytes_max, chains.cache_metrics());
        Self { cache: Some(Arc::new(cache)), ..self }
    }

    /// The power of each voter, in the same order; voters may repeat. All of them, or an error that decides nothing.
    pub async fn powers(&self, voters: &[Voter]) -> Result<Vec<VoterPower>, ChainError> {
        match &self.cache {
            Some(cache) => cache.powers(voters, |open| async move { self.look_up(&open).await }).await,
            None => {
                let mut distinct = voters.to_vec();
                distinct.sort_unstable();
                distinct.dedup();
                let found = self.look_up(&distinct).await?;
                let power =
                    |voter| found[distinct.binary_search(voter).expect("each voter is among the distinct ones")];
                Ok(voters.iter().map(power).collect())
            }
        }
    }

    /// What each read says of one voter, in the order of the strategies, past any cache. The voter's power is the sum.
    pub async fn by_part(&self, voter: Voter) -> Result<Vec<PowerPart>, ChainError> {
        let voters = [voter];
        let raws = try_join_all(self.parts.iter().map(async |part| {
            let run = Run { read: &part.read, voters: &voters };
            part.chain.read(&part.pin, &[run]).await
        }));
        let told = self.parts.iter().zip(raws.await?).map(|(part, raws)| {
            let raw = raws[0][0];
            let Part { strategy, position, read, pin, .. } = part.clone();
            let power = raw.power(&read);
            PowerPart { strategy, position, read, pin, raw, power }
        });
        Ok(told.collect())
    }

    /// Memory that cached power takes, in bytes.
    pub fn cache_bytes(&self) -> usize {
        self.cache.as_ref().map_or(0, |cache| cache.bytes())
    }

    pub(crate) fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The power of distinct voters.
    async fn look_up(&self, voters: &[Voter]) -> Result<Vec<VoterPower>, ChainError> {
        let mut by_chain: BTreeMap<ChainId, Vec<&Part>> = BTreeMap::new();
        for part in &*self.parts {
            by_chain.entry(part.chain.id()).or_default().push(part);
        }
        let read = by_chain.values().map(async |parts| {
            let (chain, pin) = (&parts[0].chain, &parts[0].pin);
            let runs: Vec<Run<'_>> = parts.iter().map(|part| Run { read: &part.read, voters }).collect();
            Ok((parts, chain.read(pin, &runs).await?))
        });
        let mut powers = vec![VoterPower::Known(Power::ZERO); voters.len()];
        for (parts, runs) in try_join_all(read).await? {
            for (part, raws) in parts.iter().zip(runs) {
                for (power, raw) in powers.iter_mut().zip(raws) {
                    *power = power.checked_add(raw.power(&part.read));
                }
            }
        }
        Ok(powers)
    }
}

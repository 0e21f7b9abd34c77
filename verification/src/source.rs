//! The source of power of one proposal: its lists, its lists and its chains, or what was recorded of both.

use std::{collections::BTreeMap, sync::Arc};

use pnyx_chains::{CACHE_BYTES_DEFAULT, ChainError, ChainPower, ChainPowerError, Chains, PowerPart};
use pnyx_core::{
    chain::{ChainId, Pins},
    id::Voter,
    power::VoterPower,
    proposal::Proposal,
};
use thiserror::Error;

use crate::power::ListedPower;

/// Who says how much power a voter has. Cheap to clone; clones share what they cache.
#[derive(Debug, Clone)]
pub enum PowerSource {
    /// The proposal itself.
    Listed(Arc<ListedPower>),
    /// The proposal and its chains at the pins.
    Pinned(PinnedPower),
    /// A record of what proposal and chains said before.
    Recorded(RecordedPower),
}

/// What the proposal lists, and what its chains say beside.
#[derive(Debug, Clone)]
pub struct PinnedPower {
    listed: Arc<ListedPower>,
    chains: ChainPower,
    pins: Arc<Pins>,
}

/// Powers as they were found before, lists included.
#[derive(Debug, Clone)]
pub struct RecordedPower {
    powers: Arc<BTreeMap<Voter, VoterPower>>,
    pins: Arc<Pins>,
}

/// Why a source has no answer at present. It delays verdicts and never decides one.
#[derive(Debug, Error)]
pub enum PowerUnavailable {
    /// A chain did not answer.
    #[error("a chain has no answer")]
    Chain(#[from] ChainError),
    /// The record has nothing on this voter, who signed a ballot.
    #[error("no power is recorded of voter {0}")]
    NotRecorded(Voter),
}

/// Why a proposal has no source of power at present.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SourceError {
    /// Its blocks are not decided yet: the snapshot is not final on all of its chains.
    #[error("the blocks at which power is read are not pinned yet")]
    NotPinned,
    /// This process knows no endpoint of one of its chains.
    #[error("no endpoint of chain {0} is configured: name one with --chain {0}=URL")]
    NoEndpoint(ChainId),
}

/// How a look-up treats what other look-ups found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caching {
    /// What was found before at the same pins is taken.
    Shared,
    /// Everything is asked again: for the recount, which trusts no cache.
    Bypassed,
}

impl PowerSource {
    /// The source for a proposal's strategies.
    ///
    /// # Errors
    /// For a proposal that reads chains: its pins are not decided, or there is no endpoint to read them from.
    pub fn of(
        proposal: &Proposal,
        pins: Option<&Arc<Pins>>,
        chains: &Chains,
        caching: Caching,
    ) -> Result<Self, SourceError> {
        if proposal.chains().len() == 0 {
            return Ok(Self::listed(proposal));
        }
        let pins = Arc::clone(pins.ok_or(SourceError::NotPinned)?);
        let power = ChainPower::new(chains, &proposal.parts().strategies, &pins)?;
        let chains = match caching {
            Caching::Shared => power.cached(chains, CACHE_BYTES_DEFAULT),
            Caching::Bypassed => power,
        };
        Ok(Self::Pinned(PinnedPower { listed: Arc::new(ListedPower::of(proposal)), chains, pins }))
    }

    /// The source for a proposal that reads no chain.
    pub fn listed(proposal: &Proposal) -> Self {
        Self::Listed(Arc::new(ListedPower::of(proposal)))
    }

    /// What was recorded at `pins`.
    pub fn recorded(pins: Arc<Pins>, powers: BTreeMap<Voter, VoterPower>) -> Self {
        Self::Recorded(RecordedPower { powers: Arc::new(powers), pins })
    }

    /// The blocks at which chains are read, if any are.
    pub fn pins(&self) -> Option<&Pins> {
        match self {
            Self::Listed(_) => None,
            Self::Pinned(pinned) => Some(&pinned.pins),
            Self::Recorded(recorded) => Some(&recorded.pins),
        }
    }

    /// The power of each voter, in the same order. Voters may repeat.
    ///
    /// # Errors
    /// Only for the whole: whoever needs it asks again later.
    pub async fn powers(&self, voters: &[Voter]) -> Result<Vec<VoterPower>, PowerUnavailable> {
        match self {
            Self::Listed(listed) => Ok(listed.powers(voters)),
            Self::Pinned(PinnedPower { listed, chains, pins: _ }) => {
                let on_chains = chains.powers(voters).await?.into_iter();
                Ok(on_chains
                    .zip(listed.powers(voters))
                    .map(|(on_chain, listed)| on_chain.checked_add(listed))
                    .collect())
            }
            Self::Recorded(recorded) => voters.iter().map(|voter| recorded.power(*voter)).collect(),
        }
    }

    /// What each read of a chain says of one voter, in the order of the strategies, for people who ask why. Lists and
    /// tickets are not among them ([`crate::listed_by`] has those); a record does not say.
    pub async fn chain_parts(&self, voter: Voter) -> Result<Vec<PowerPart>, PowerUnavailable> {
        match self {
            Self::Pinned(pinned) => Ok(pinned.chains.by_part(voter).await?),
            Self::Listed(_) | Self::Recorded(_) => Ok(Vec::new()),
        }
    }
}

impl From<ChainPowerError> for SourceError {
    fn from(error: ChainPowerError) -> Self {
        match error {
            ChainPowerError::NotConfigured { chain } => Self::NoEndpoint(chain),
            ChainPowerError::NotPinned { .. } => Self::NotPinned,
        }
    }
}

impl RecordedPower {
    fn power(&self, voter: Voter) -> Result<VoterPower, PowerUnavailable> {
        self.powers.get(&voter).copied().ok_or(PowerUnavailable::NotRecorded(voter))
    }
}

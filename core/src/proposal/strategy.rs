//! Power strategies: one member for each way to find a voter's power, with Snapshot's names and parameters.

use std::{
    collections::{BTreeMap, BTreeSet},
    slice,
};

use super::ChainStrategy;
use crate::{id::Voter, power::Power};

/// One way to find a voter's power. A proposal's power is the sum over its strategies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Strategy {
    /// Snapshot's `whitelist` {addresses}: each has 1.
    Whitelist(BTreeSet<Voter>),
    /// Snapshot's `whitelist-weighted` {addresses: {address: weight}}.
    WhitelistWeighted(BTreeMap<Voter, Power>),
    /// Snapshot's `ticket` {value}: everybody has it.
    Ticket(Power),
    /// What a chain says at the pin.
    OnChain(ChainStrategy),
    /// Snapshot's `multichain` {strategies}: the sum of what several chains say.
    Multichain(Vec<ChainStrategy>),
}

impl Strategy {
    /// Snapshot's name.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Whitelist(_) => "whitelist",
            Self::WhitelistWeighted(_) => "whitelist-weighted",
            Self::Ticket(_) => "ticket",
            Self::OnChain(strategy) => strategy.read.name(),
            Self::Multichain(_) => "multichain",
        }
    }

    /// What it reads from chains, in order; nothing for lists and tickets.
    pub fn chain_strategies(&self) -> &[ChainStrategy] {
        match self {
            Self::Whitelist(_) | Self::WhitelistWeighted(_) | Self::Ticket(_) => &[],
            Self::OnChain(strategy) => slice::from_ref(strategy),
            Self::Multichain(strategies) => strategies,
        }
    }

    /// How many addresses it names.
    pub(super) fn listed_count(&self) -> usize {
        match self {
            Self::Whitelist(voters) => voters.len(),
            Self::WhitelistWeighted(powers) => powers.len(),
            Self::Ticket(_) | Self::OnChain(_) | Self::Multichain(_) => 0,
        }
    }
}

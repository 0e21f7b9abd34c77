//! Power strategies: one member for each way to find a voter's power, with Snapshot's names and parameters.

use std::collections::{BTreeMap, BTreeSet};

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
}

impl Strategy {
    /// Snapshot's name.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Whitelist(_) => "whitelist",
            Self::WhitelistWeighted(_) => "whitelist-weighted",
            Self::Ticket(_) => "ticket",
        }
    }

    /// How many addresses it names.
    pub(super) fn listed_count(&self) -> usize {
        match self {
            Self::Whitelist(voters) => voters.len(),
            Self::WhitelistWeighted(powers) => powers.len(),
            Self::Ticket(_) => 0,
        }
    }
}

//! The definition: a proposal with how its pipeline is laid out.

use thiserror::Error;

use super::Proposal;

/// What the log records when a proposal is made: the proposal, and the numbers that its pipeline may never change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    proposal: Proposal,
    lanes: u16,
    ballots_partitions: u32,
}

/// A layout that cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum DefinitionError {
    /// No lanes, or more than [`Definition::LANES_MAX`].
    #[error("lanes must be 1 to {}", Definition::LANES_MAX)]
    Lanes,
    /// No partitions, or more than [`Definition::PARTITIONS_MAX`].
    #[error("ballotsPartitions must be 1 to {}", Definition::PARTITIONS_MAX)]
    Partitions,
}

impl Definition {
    /// Most lanes: far above what one tally process per lane could use.
    pub const LANES_MAX: u16 = 256;

    /// Most partitions: far above what one log needs, and their cut, which is one record of about 100 bytes a
    /// partition, stays at a tenth of the largest record. A proposal whose cut cannot be recorded never closes.
    pub const PARTITIONS_MAX: u32 = 1_024;

    /// A proposal laid out over `lanes` verdict lanes (fixed for ever) and at first `ballots_partitions`.
    pub fn new(proposal: Proposal, lanes: u16, ballots_partitions: u32) -> Result<Self, DefinitionError> {
        if lanes == 0 || lanes > Self::LANES_MAX {
            return Err(DefinitionError::Lanes);
        }
        if ballots_partitions == 0 || ballots_partitions > Self::PARTITIONS_MAX {
            return Err(DefinitionError::Partitions);
        }
        Ok(Self { proposal, lanes, ballots_partitions })
    }

    /// The proposal.
    pub const fn proposal(&self) -> &Proposal {
        &self.proposal
    }

    /// How many partitions the verdicts topic has, for ever.
    pub const fn lanes(&self) -> u16 {
        self.lanes
    }

    /// How many partitions the ballots topic had at first.
    pub const fn ballots_partitions(&self) -> u32 {
        self.ballots_partitions
    }
}

//! Names of topics.

use std::fmt;

use pnyx_core::id::ProposalId;

/// A topic's name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Topic(String);

impl Topic {
    /// `pnyx.proposals`: decisions, one partition.
    pub fn proposals() -> Self {
        Self("pnyx.proposals".to_owned())
    }

    /// `pnyx.<id>.ballots`: ballot records, partitions may be added.
    pub fn ballots(proposal: ProposalId) -> Self {
        Self(format!("pnyx.{}.ballots", proposal.to_string().trim_start_matches("0x")))
    }

    /// `pnyx.<id>.verdicts`: verdicts, one partition a lane, for ever.
    pub fn verdicts(proposal: ProposalId) -> Self {
        Self(format!("pnyx.{}.verdicts", proposal.to_string().trim_start_matches("0x")))
    }

    /// `pnyx.<id>.deferred`: records that wait for a contract, as many partitions as lanes; only where contracts may sign.
    pub fn deferred(proposal: ProposalId) -> Self {
        Self(format!("pnyx.{}.deferred", proposal.to_string().trim_start_matches("0x")))
    }

    /// A topic found by its name when a log was opened.
    pub(super) fn recovered(name: &str) -> Self {
        Self(name.to_owned())
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

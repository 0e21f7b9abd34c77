//! A proposal: everything that binds a voter, checked once, and the id that is its hash.

mod chain_strategy;
mod checks;
mod definition;
mod encoding;
mod strategy;
mod voting;

pub use chain_strategy::{
    ChainRead, ChainStrategy, Decimals, DecimalsError, MethodName, MethodNameError, TokenId, TokenIdError,
};
pub use definition::{Definition, DefinitionError};
pub use encoding::canonical_encoding;
pub use strategy::Strategy;
pub use voting::{Abstentions, Fraction, Quorum, Voting, VotingSystem};

use std::collections::BTreeMap;

use thiserror::Error;

use crate::{
    chain::{ChainId, SnapshotRule},
    id::ProposalId,
    time::{TimestampMs, Window},
};

/// Most choices of a proposal.
pub const CHOICES_MAX: usize = 64;
/// Most choices where voters rank them: Copeland's matrix and the packed ranking are sized by it.
pub const RANKED_CHOICES_MAX: usize = 20;
/// Longest name-like text (platform, namespace, name, space, author), in bytes: a DNS name's length.
pub const NAME_BYTES_MAX: usize = 253;
/// Longest title and longest choice, in bytes: Snapshot's limit for a title.
pub const TITLE_BYTES_MAX: usize = 256;
/// Longest body, in bytes: as Snapshot allows verified spaces, and well inside a Kubernetes object.
pub const BODY_BYTES_MAX: usize = 40_000;
/// Longest link to the discussion, in bytes.
pub const DISCUSSION_BYTES_MAX: usize = 1_000;
/// Most strategies of a proposal: as Snapshot allows.
pub const STRATEGIES_MAX: usize = 8;
/// Most strategies within one multichain strategy: as many as outside of it.
pub const MULTICHAIN_STRATEGIES_MAX: usize = 8;
/// Most reads of chains that a proposal's strategies make for one voter, those within multichain strategies counted:
/// every voter costs all of them, in the vote and in each recount.
pub const CHAIN_READS_MAX: usize = 16;
/// Most chains of a proposal: one for each read, and the signers'.
pub const CHAINS_MAX: usize = CHAIN_READS_MAX + 1;
/// Most addresses that all lists of a proposal name together: at up to 107 bytes an entry the definition's record stays
/// below 1 MiB, the log's largest, with every text at its longest; and a Kubernetes object holds them.
pub const LISTED_VOTERS_MAX: usize = 8_000;
/// How far a ballot's signed time may lie after its append time unless the proposal says otherwise, in seconds.
pub const CLOCK_SKEW_S_DEFAULT: u64 = 300;
/// Most that a proposal may allow, in seconds: a clock wrong by an hour is set to another time zone, not askew.
pub const CLOCK_SKEW_S_MAX: u64 = 3_600;

/// The unchecked parts of a proposal, as read from a resource or from the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProposalParts {
    /// The installation's domain, `dev` on a laptop.
    pub platform: String,
    /// Kubernetes namespace of the resource.
    pub namespace: String,
    /// Kubernetes name of the resource.
    pub name: String,
    /// The community, as signed in every ballot's `space`.
    pub space: String,
    /// One line.
    pub title: String,
    /// The text that is voted on, Markdown.
    pub body: String,
    /// A link, or empty.
    pub discussion: String,
    /// Who proposes, or empty.
    pub author: String,
    /// Texts of the choices; choice 1 is the first.
    pub choices: Vec<String>,
    /// How ballots are counted and what decides.
    pub voting: Voting,
    /// When ballots count.
    pub window: Window,
    /// How a voter's power is found: the sum over these.
    pub strategies: Vec<Strategy>,
    /// At which block each chain that the strategies or `signers` name is read; no other chain has a rule.
    pub snapshots: BTreeMap<ChainId, SnapshotRule>,
    /// The chain whose contracts may sign for voters, at its snapshot; without one only keys sign.
    pub signers: Option<ChainId>,
    /// How far a ballot's signed time may lie after its append time, in seconds.
    pub clock_skew_s: u64,
}

/// A proposal whose parts agree with each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    parts: ProposalParts,
    id: ProposalId,
}

/// One thing wrong with a proposal: where, in the resource's own words, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{path}: {problem}")]
pub struct ProposalError {
    /// Path in the resource, such as `spec.choices[2]`.
    pub path: String,
    /// What is wrong and, where it is not plain, what would be right.
    pub problem: String,
}

impl Proposal {
    /// Checks every part and computes the id.
    ///
    /// # Errors
    /// All problems found, in the order of the resource's fields; never an empty list.
    pub fn new(parts: ProposalParts) -> Result<Self, Vec<ProposalError>> {
        let problems = checks::check(&parts);
        if !problems.is_empty() {
            return Err(problems);
        }
        let id = encoding::proposal_id(&parts);
        Ok(Self { parts, id })
    }

    /// What a voter's signature binds to.
    pub const fn id(&self) -> ProposalId {
        self.id
    }

    /// The checked parts.
    pub const fn parts(&self) -> &ProposalParts {
        &self.parts
    }

    /// The voting system.
    pub const fn system(&self) -> VotingSystem {
        self.parts.voting.system
    }

    /// The window.
    pub const fn window(&self) -> Window {
        self.parts.window
    }

    /// The chains that are read, for power or for signatures, ascending; none where the proposal itself says who has how
    /// much and only keys sign.
    pub fn chains(&self) -> impl ExactSizeIterator<Item = ChainId> + '_ {
        self.parts.snapshots.keys().copied()
    }

    /// Whether a strategy reads a chain: otherwise power follows from the proposal alone, whatever signatures need.
    pub fn reads_power(&self) -> bool {
        self.parts.strategies.iter().any(|strategy| !strategy.chain_strategies().is_empty())
    }

    /// From when on all snapshot rules can name a block: the latest time that one gives.
    pub fn snapshots_from(&self) -> TimestampMs {
        let time = |rule: &SnapshotRule| match rule {
            SnapshotRule::Block(_) => TimestampMs(0),
            SnapshotRule::AtOrBefore(time) => *time,
        };
        self.parts.snapshots.values().map(time).max().unwrap_or(TimestampMs(0))
    }

    /// The chain whose contracts may sign for voters, which is one of [`Self::chains`].
    pub const fn signers(&self) -> Option<ChainId> {
        self.parts.signers
    }

    /// How many choices there are, 1 to [`CHOICES_MAX`].
    pub fn choice_count(&self) -> u8 {
        u8::try_from(self.parts.choices.len()).expect("checked: at most 64 choices")
    }
}

//! How ballots are counted and what decides.

use crate::power::Power;

/// The seven voting systems, with Snapshot's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum VotingSystem {
    /// For, Against and optionally Abstain; passes or fails.
    Basic,
    /// One choice.
    SingleChoice,
    /// Any set of choices, each with the full power.
    Approval,
    /// Power divided over choices by weights.
    Weighted,
    /// As weighted, but each choice scores the square of the sum of square roots.
    Quadratic,
    /// A full ranking; instant runoff.
    RankedChoice,
    /// A full ranking; pairwise comparison.
    Copeland,
}

impl VotingSystem {
    /// All systems, in the order of their numbers in the proposal's encoding (1 to 7).
    pub const ALL: [Self; 7] = [
        Self::Basic,
        Self::SingleChoice,
        Self::Approval,
        Self::Weighted,
        Self::Quadratic,
        Self::RankedChoice,
        Self::Copeland,
    ];

    /// Snapshot's name: `basic`, `single-choice`, `approval`, `weighted`, `quadratic`, `ranked-choice`, `copeland`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Basic => "basic",
            Self::SingleChoice => "single-choice",
            Self::Approval => "approval",
            Self::Weighted => "weighted",
            Self::Quadratic => "quadratic",
            Self::RankedChoice => "ranked-choice",
            Self::Copeland => "copeland",
        }
    }

    /// The system with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|system| system.name() == name)
    }

    /// Whether voters rank all choices.
    pub const fn is_ranked(self) -> bool {
        match self {
            Self::RankedChoice | Self::Copeland => true,
            Self::Basic | Self::SingleChoice | Self::Approval | Self::Weighted | Self::Quadratic => false,
        }
    }
}

/// What the power of Abstain (choice 3 of the basic system) is part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Abstentions {
    /// Counts towards a participation quorum only, as on Snapshot.
    #[default]
    Quorum,
    /// Counts towards the quorum and in the base of the approval threshold.
    QuorumAndThreshold,
    /// Counts towards neither.
    Neither,
}

/// What must be reached beside having the most power.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quorum {
    /// The total power of all standing ballots must be at least this.
    Participation(Power),
    /// Basic only: passes unless Against exceeds this.
    Rejection(Power),
}

/// A fraction above 0 and at most 1, in millionths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fraction(u32);

impl Fraction {
    /// Millionths in one whole.
    pub const ONE_MILLIONTHS: u32 = 1_000_000;

    /// A fraction of 1 to 1,000,000 millionths.
    pub fn from_millionths(millionths: u32) -> Option<Self> {
        (1..=Self::ONE_MILLIONTHS).contains(&millionths).then_some(Self(millionths))
    }

    /// The fraction in millionths.
    pub const fn millionths(self) -> u32 {
        self.0
    }
}

/// The counting rules of a proposal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Voting {
    /// How ballots are counted.
    pub system: VotingSystem,
    /// What must be reached, if anything.
    pub quorum: Option<Quorum>,
    /// The share that the winner must at least have: For of For + Against (basic), else score of all scores.
    pub approval_threshold: Option<Fraction>,
    /// What Abstain is part of; only the basic system may say otherwise than the default.
    pub abstentions: Abstentions,
}

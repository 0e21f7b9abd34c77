//! How much of it there shall be: what the plan decides and the builders are told.

/// How many pods a platform shall have. What is out of its bounds is brought into them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PlatformSize {
    /// Of the edge.
    pub ingest: i32,
    /// Of the tally.
    pub tally: i32,
}

/// What of a proposal shall run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ProposalSize {
    /// Verifiers' pods.
    pub shards: i32,
    /// Whether its blocks are being decided.
    pub pins: bool,
    /// Whether it is being closed.
    pub recounts: bool,
}

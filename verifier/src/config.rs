//! Settings of the verifier.

use std::num::NonZeroUsize;

use pnyx_core::id::ProposalId;

/// Shards a proposal unless told otherwise: two, so that one reads and writes while another computes.
const SHARDS_DEFAULT: NonZeroUsize = NonZeroUsize::new(2).expect("2 is above 0");

/// Records of a batch unless told otherwise: about 10 ms of one core, so that a verdict waits little for its
/// neighbours, and yet far more work than one append costs.
const BATCH_RECORDS_MAX_DEFAULT: NonZeroUsize = NonZeroUsize::new(256).expect("256 is above 0");

/// Settings of the verifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerifierConfig {
    /// Shards of each live proposal: batches that are worked on at once, of different partitions.
    pub shards: NonZeroUsize,
    /// Most records that a shard verifies and commits at once.
    pub batch_records_max: NonZeroUsize,
    /// The only proposal that has shards here; `None` for all of them.
    pub only: Option<ProposalId>,
}

impl Default for VerifierConfig {
    fn default() -> Self {
        Self { shards: SHARDS_DEFAULT, batch_records_max: BATCH_RECORDS_MAX_DEFAULT, only: None }
    }
}

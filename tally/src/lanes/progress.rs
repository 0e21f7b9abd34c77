//! What the owners of lanes in this process say of themselves.

use std::collections::BTreeSet;

use pnyx_core::id::{Lane, ProposalId};

use crate::{Shared, lock};

/// Which lanes hold nothing at or above their proposal's cut. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct LaneProgress {
    below_cut: Shared<BTreeSet<(ProposalId, Lane)>>,
}

impl LaneProgress {
    /// From here on the lane in the store holds nothing at or above the cut.
    pub(super) fn note_below_cut(&self, proposal: ProposalId, lane: Lane) {
        lock(&self.below_cut).insert((proposal, lane));
    }

    /// Whether the lane's owner knows the cut and the store holds nothing at or above it.
    pub(crate) fn is_below_cut(&self, proposal: ProposalId, lane: Lane) -> bool {
        lock(&self.below_cut).contains(&(proposal, lane))
    }
}

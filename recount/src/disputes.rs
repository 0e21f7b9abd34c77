//! Which proposals are disputed, for whoever shows phases.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use pnyx_core::id::ProposalId;

/// Proposals whose recount differs from their live tally. Clones share them; only the closing changes them.
#[derive(Debug, Clone, Default)]
pub struct Disputes {
    proposals: Arc<Mutex<BTreeSet<ProposalId>>>,
}

impl Disputes {
    /// Whether the last recount of this proposal differed from its live tally.
    pub fn contains(&self, proposal: ProposalId) -> bool {
        self.proposals().contains(&proposal)
    }

    pub(crate) fn set(&self, proposal: ProposalId, is_disputed: bool) {
        if is_disputed {
            self.proposals().insert(proposal);
        } else {
            self.proposals().remove(&proposal);
        }
    }

    fn proposals(&self) -> MutexGuard<'_, BTreeSet<ProposalId>> {
        self.proposals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

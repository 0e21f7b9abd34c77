//! The live tally as the store has it, for comparison with a recount.

use pnyx_backbone::store::{Store, StoreError};
use pnyx_core::{
    counting::Totals,
    id::{ProposalId, Root},
    merkle::{RootBuilder, ballot_leaf},
    power::format_units,
};

use crate::recounting::Recounted;

/// Standing ballots fetched at once.
const PAGE_BALLOTS: usize = 4_096;

/// What the live tally says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LiveTally {
    totals: Totals,
    ballots_root: Root,
}

impl LiveTally {
    /// Reads totals and standing ballots; `None` where the store does not know the proposal.
    pub(crate) async fn read(store: &Store, proposal: ProposalId) -> Result<Option<Self>, StoreError> {
        let Some(view) = store.view(proposal).await? else { return Ok(None) };
        let mut root = RootBuilder::default();
        let mut after = None;
        loop {
            let page = store.standing_after(proposal, after, PAGE_BALLOTS).await?;
            for (voter, ballot) in &page {
                root.push(&ballot_leaf(*voter, ballot));
            }
            match page.last() {
                Some((voter, _)) => after = Some(*voter),
                None => return Ok(Some(Self { totals: view.totals, ballots_root: root.root() })),
            }
        }
    }

    /// Everything in which the recount differs from this, one sentence each; empty when they agree.
    pub(crate) fn differences(&self, recounted: &Recounted) -> Vec<String> {
        let mut differences = Vec::new();
        let mut compare = |what: String, live: String, recount: String| {
            if live != recount {
                differences.push(format!("{what}: live {live}, recount {recount}"));
            }
        };
        let (live, recount) = (&self.totals, &recounted.totals);
        compare("ballots".to_owned(), live.ballots.to_string(), recount.ballots.to_string());
        compare("power".to_owned(), format_units(live.power), format_units(recount.power));
        for (slot, (live, recount)) in live.slots.iter().zip(&recount.slots).enumerate() {
            compare(format!("slot {slot}"), format_units(*live), format_units(*recount));
        }
        compare("slots".to_owned(), live.slots.len().to_string(), recount.slots.len().to_string());
        if live.rankings != recount.rankings {
            let count = |totals: &Totals| format!("{} distinct", totals.rankings.len());
            differences.push(format!("rankings: live {}, recount {}, not the same", count(live), count(recount)));
        }
        let (live, recount) = (self.ballots_root, recounted.core.ballots_root);
        if live != recount {
            differences.push(format!("ballots root: live {live}, recount {recount}"));
        }
        differences
    }
}

//! The live tally as the store has it, for comparison with a recount.

use pnyx_backbone::{
    drain,
    store::{LaneStamp, Store, StoreError},
};
use pnyx_core::{
    counting::Totals,
    id::{LogIdentity, ProposalId, Root},
    merkle::{RootBuilder, ballot_leaf},
    power::format_units,
};

use crate::recounting::Recounted;

/// Standing ballots fetched at once.
const PAGE_BALLOTS: usize = 4_096;

/// Where the lanes of a proposal end once every record below its cut has a verdict.
#[derive(Debug)]
pub(crate) struct LaneEnds {
    pub(crate) proposal: ProposalId,
    /// The log that they are of.
    pub(crate) log: LogIdentity,
    /// By lane.
    pub(crate) ends: Vec<u64>,
}

/// What the live tally says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LiveTally {
    totals: Totals,
    ballots_root: Root,
}

impl LaneEnds {
    /// Whether the store has all of every lane and nothing beyond the cut.
    pub(crate) async fn are_reached(&self, store: &Store) -> Result<bool, StoreError> {
        drain::tally_reached(store, self.log, self.proposal, &self.ends, true).await
    }

    fn are_in(&self, stamps: &[Option<LaneStamp>]) -> bool {
        drain::have_lanes_reached(stamps, self.log, &self.ends, true)
    }

    /// What `read` returns, if the store had all of every lane and wrote to none while it ran: a store that loses its
    /// data and gets it back meanwhile shows half of a tally, with the same positions before and after.
    async fn undisturbed<T>(
        &self,
        store: &Store,
        read: impl AsyncFnOnce() -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        let before = store.lane_stamps(self.proposal).await?;
        if !self.are_in(&before) {
            return Ok(None);
        }
        let found = read().await?;
        let after = store.lane_stamps(self.proposal).await?;
        Ok((before == after).then_some(found))
    }
}

impl LiveTally {
    /// The tally of all that lies below the lanes' ends; `None` where the store has less, or not while it was read.
    pub(crate) async fn read_whole(store: &Store, lane_ends: &LaneEnds) -> Result<Option<Self>, StoreError> {
        let read = lane_ends.undisturbed(store, async || Self::read(store, lane_ends.proposal).await).await?;
        Ok(read.flatten())
    }

    /// Totals and standing ballots, page by page; `None` where the store does not know the proposal.
    async fn read(store: &Store, proposal: ProposalId) -> Result<Option<Self>, StoreError> {
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

#[cfg(test)]
mod tests {
    use pnyx_backbone::store::{ApplyOutcome, LaneBatch, LaneCounters, LanePosition, MemoryStore};
    use pnyx_core::{
        counting::{CountingRules, TotalsDelta},
        id::Lane,
        proposal::VotingSystem,
    };

    use super::*;

    const PROPOSAL: ProposalId = ProposalId::new([1; 32]);
    const LOG: LogIdentity = LogIdentity([2; 16]);
    const RULES: CountingRules = CountingRules { system: VotingSystem::Basic, choice_count: 2 };

    async fn apply(store: &Store, lane: u16, from_offset: u64, next_offset: u64) {
        let batch = LaneBatch {
            log: LOG,
            from_offset,
            next_offset,
            below_cut: true,
            delta: TotalsDelta::empty(RULES),
            counters: LaneCounters::default(),
            standing: Vec::new(),
            places: Vec::new(),
        };
        assert_eq!(store.apply(PROPOSAL, Lane(lane), batch).await.unwrap(), ApplyOutcome::Applied);
    }

    #[tokio::test]
    async fn what_is_read_while_a_lane_is_lost_and_written_again_is_not_taken() {
        let store = Store::Memory(MemoryStore::new());
        store.register(PROPOSAL, RULES, 2).await.unwrap();
        let lane_ends = LaneEnds { proposal: PROPOSAL, log: LOG, ends: vec![3, 5] };
        apply(&store, 0, 0, 3).await;
        apply(&store, 1, 0, 4).await;
        assert!(lane_ends.undisturbed(&store, async || Ok(())).await.unwrap().is_none(), "a lane is behind");
        apply(&store, 1, 4, 5).await;
        assert!(lane_ends.undisturbed(&store, async || Ok(())).await.unwrap().is_some());

        let lost_meanwhile = async || {
            store.drop_lane(PROPOSAL, Lane(0)).await?;
            let half = store.view(PROPOSAL).await?;
            apply(&store, 0, 0, 3).await;
            Ok(half)
        };
        assert_eq!(lane_ends.undisturbed(&store, lost_meanwhile).await.unwrap(), None);
        let position = Some(LanePosition { log: LOG, next_offset: 3, below_cut: true });
        assert_eq!(store.lane_position(PROPOSAL, Lane(0)).await.unwrap(), position, "as before");

        let lost_at_the_end = async || store.drop_lane(PROPOSAL, Lane(1)).await;
        assert!(lane_ends.undisturbed(&store, lost_at_the_end).await.unwrap().is_none());
        assert!(lane_ends.undisturbed(&store, async || Ok(())).await.unwrap().is_none(), "not back yet");
        apply(&store, 1, 0, 5).await;
        assert!(LiveTally::read_whole(&store, &lane_ends).await.unwrap().is_some());
    }
}

//! Lanes that stand still although something waits in them. The group gives each lane to one process; but a process that
//! hangs keeps its lanes for as long as its client's threads live, and a client may have missed what it was given. Every
//! write is fenced by the lane's offset, so that another process may own such a lane as well: at worst the two read the
//! same and one of them is refused.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use pnyx_backbone::{
    log::{Assigned, Topic},
    store::{LanePosition, StoreError},
};
use pnyx_core::{
    decisions::ProposalDecisions,
    id::{Lane, ProposalId},
};
use tokio::{
    sync::watch,
    time::{self, Instant, MissedTickBehavior},
};
use tracing::warn;

use super::progress::LaneKey;
use crate::Tally;

/// How a process waits for others to do their part.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// How often lanes of others are looked at: with hundreds of open proposals some tens of questions to the store a
    /// second.
    pub(super) look_interval: Duration,
    /// A lane that stood still for so long is owned here as well. Above what the group takes to notice that a process is
    /// gone (Kafka's default session is 45 s) and its successor to take up a lane of a million ballots.
    pub(super) orphaned_after: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { look_interval: Duration::from_secs(30), orphaned_after: Duration::from_secs(120) }
    }
}

/// Where lanes stand in which something waits, and since when.
type Standing = BTreeMap<LaneKey, (Option<LanePosition>, Instant)>;

/// Passes on what is assigned, with lanes that stand still added until the assignment changes.
pub(super) async fn adopt(
    tally: &Tally,
    mut assigned: watch::Receiver<Assigned>,
    owned: &watch::Sender<Assigned>,
    patience: Patience,
) {
    let mut look = time::interval(patience.look_interval);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut standing = Standing::new();
    owned.send_replace(assigned.borrow_and_update().clone());
    loop {
        tokio::select! {
            changed = assigned.changed() => {
                if changed.is_err() {
                    return;
                }
                // The group has thought about it anew.
                standing.clear();
                owned.send_replace(assigned.borrow_and_update().clone());
            }
            _ = look.tick() => {
                let current = owned.borrow().clone();
                standing = look_at_others(tally, &current, standing).await;
                let is_orphaned = |since: &Instant| since.elapsed() >= patience.orphaned_after;
                let orphans = standing.extract_if(.., |_, (_, since)| is_orphaned(since));
                let orphans: BTreeSet<_> = orphans.map(|((proposal, lane), _)| (proposal, lane)).collect();
                if !orphans.is_empty() {
                    own_as_well(tally, owned, &orphans);
                }
            }
        }
    }
}

fn own_as_well(tally: &Tally, owned: &watch::Sender<Assigned>, orphans: &BTreeSet<LaneKey>) {
    for (proposal, lane) in orphans {
        tally.metrics.lanes_adopted.inc();
        warn!(%proposal, lane = lane.0, "nobody moves the lane although something waits in it; it is owned here as well");
    }
    owned.send_modify(|owned| {
        let orphans = orphans.iter().map(|(proposal, lane)| (Topic::verdicts(*proposal), lane.0.into()));
        *owned = owned.iter().cloned().chain(orphans).collect::<BTreeSet<_>>().into();
    });
}

/// Lanes without a result that this process does not own, where something waits: since when they are where they are.
async fn look_at_others(tally: &Tally, owned: &Assigned, before: Standing) -> Standing {
    let mut standing = Standing::new();
    let book = tally.proposals.book();
    for (proposal, decisions) in book.proposals() {
        if decisions.result.is_some() || tally.disabled.is_disabled(*proposal) {
            continue;
        }
        let Some(ends) = tally.ends.lanes_known(*proposal) else { continue };
        for (lane, end) in (0..decisions.definition.lanes()).map(Lane).zip(ends.value.iter()) {
            if owned.contains(&(Topic::verdicts(*proposal), lane.0.into())) {
                continue;
            }
            // A store that does not answer holds everybody up.
            let Ok(position) = position(tally, *proposal, lane).await else { return Standing::new() };
            if waits(tally, position, *end, decisions) {
                let key = (*proposal, lane);
                let same = before.get(&key).filter(|(stood_at, _)| *stood_at == position);
                standing.insert(key, (position, same.map_or_else(Instant::now, |(_, since)| *since)));
            }
        }
    }
    standing
}

async fn position(tally: &Tally, proposal: ProposalId, lane: Lane) -> Result<Option<LanePosition>, StoreError> {
    match tally.store.lane_position(proposal, lane).await {
        Err(StoreError::UnknownProposal { .. }) => Ok(None),
        position => position,
    }
}

/// Whether the lane's owner has something to do: verdicts, or to say that nothing beyond the cut is in it.
fn waits(tally: &Tally, position: Option<LanePosition>, end: u64, decisions: &ProposalDecisions) -> bool {
    let position = position.filter(|position| position.log == tally.log.identity());
    let (next_offset, is_below_cut) =
        position.map_or((0, false), |position| (position.next_offset, position.below_cut));
    next_offset < end || (decisions.cut.is_some() && !is_below_cut)
}

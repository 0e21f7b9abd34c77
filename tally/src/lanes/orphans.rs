//! Lanes that stand still although something waits in them. The group gives each lane to one process; but a process that
//! hangs keeps its lanes for as long as its client's threads live, and a client may have missed what it was given. Every
//! write is fenced by the lane's offset, so that another process may own such a lane as well: at worst two read the same,
//! and of two writes one is refused.

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{BuildHasher as _, RandomState},
    time::Duration,
};

use pnyx_backbone::{
    drain,
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
    /// How often lanes of others are looked at: one question to the store for each open proposal.
    pub(super) look_interval: Duration,
    /// A lane that stood still for so long, and for a part of as long again that is each process's own, is adopted. Above
    /// what the group takes to notice that a process is gone (Kafka's default session is 45 s) and its successor to take up
    /// a lane of a million ballots.
    pub(super) orphaned_after: Duration,
    /// How long an adopted lane is kept; it may be adopted again.
    pub(super) adopted_for: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        let [look_interval, orphaned_after, adopted_for] = [30, 120, 600].map(Duration::from_secs);
        Self { look_interval, orphaned_after, adopted_for }
    }
}

/// Where lanes stand in which something waits, and since when.
type Standing = BTreeMap<LaneKey, (Option<LanePosition>, Instant)>;

/// Passes on what is assigned, and lanes of others that stand still.
pub(super) async fn adopt(
    tally: &Tally,
    mut assigned: watch::Receiver<Assigned>,
    owned: &watch::Sender<Assigned>,
    patience: Patience,
) {
    let mut look = time::interval(patience.look_interval);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let own_patience = RandomState::new();
    let mut standing = Standing::new();
    let mut adopted: BTreeMap<LaneKey, Instant> = BTreeMap::new();
    loop {
        let given = assigned.borrow_and_update().clone();
        adopted.retain(|key, until| !given.contains(&partition(*key)) && *until > Instant::now());
        pass_on(owned, &given, &adopted);
        let current = owned.borrow().clone();
        let looked = async {
            look.tick().await;
            look_at_others(tally, &current, &standing).await
        };
        tokio::select! {
            changed = assigned.changed() => if changed.is_err() { return },
            others = looked => {
                standing = others;
                // One at a time: where many stand still, something else than their owners is amiss.
                let is_orphaned = |key: LaneKey, since: Instant| {
                    since.elapsed() >= patience.orphaned_after.mul_f64(1.0 + part(&own_patience, key))
                };
                let orphan = standing.iter().find(|(key, (_, since))| is_orphaned(**key, *since)).map(|(key, _)| *key);
                if let Some((proposal, lane)) = orphan {
                    tally.metrics.lanes_adopted.inc();
                    warn!(%proposal, lane = lane.0, "nobody moves the lane although something waits in it; it is adopted");
                    standing.remove(&(proposal, lane));
                    adopted.insert((proposal, lane), Instant::now() + patience.adopted_for);
                }
            }
        }
    }
}

fn pass_on(owned: &watch::Sender<Assigned>, given: &Assigned, adopted: &BTreeMap<LaneKey, Instant>) {
    let wanted: BTreeSet<_> = given.iter().cloned().chain(adopted.keys().copied().map(partition)).collect();
    owned.send_if_modified(|owned| {
        let is_other = **owned != wanted;
        *owned = wanted.into();
        is_other
    });
}

fn partition((proposal, lane): LaneKey) -> (Topic, u32) {
    (Topic::verdicts(proposal), lane.0.into())
}

/// A number from 0 to 1 that each process has for itself, so that they do not all adopt the same lane at once.
fn part(own: &RandomState, key: LaneKey) -> f64 {
    f64::from(u16::try_from(own.hash_one(key) % 1_000).unwrap_or(0)) / 1_000.0
}

/// Lanes without a result that this process does not own, where something waits: since when they are where they are.
async fn look_at_others(tally: &Tally, owned: &Assigned, before: &Standing) -> Standing {
    let mut standing = Standing::new();
    let book = tally.proposals.book();
    for (proposal, decisions) in book.proposals() {
        if decisions.result.is_some() || tally.disabled.is_disabled(*proposal) {
            continue;
        }
        let lanes = match waiting(tally, *proposal, decisions).await {
            Ok(lanes) => lanes,
            Err(StoreError::UnknownProposal { .. }) => continue,
            // A store that does not answer holds everybody up.
            Err(_) => return Standing::new(),
        };
        for (lane, position) in lanes {
            let key = (*proposal, lane);
            if !owned.contains(&partition(key)) {
                let same = before.get(&key).filter(|(stood_at, _)| *stood_at == position);
                standing.insert(key, (position, same.map_or_else(Instant::now, |(_, since)| *since)));
            }
        }
    }
    standing
}

/// Lanes whose owner has something to do: verdicts, or to say that nothing beyond the cut is in the lane. None where nobody
/// knows how far the log is now.
async fn waiting(
    tally: &Tally,
    proposal: ProposalId,
    decisions: &ProposalDecisions,
) -> Result<Vec<(Lane, Option<LanePosition>)>, StoreError> {
    let ends = tally.ends.lanes_known(proposal).filter(|read| read.age() <= 2 * Patience::default().look_interval);
    let Some(ends) = ends else { return Ok(Vec::new()) };
    let (log, has_cut) = (tally.log.identity(), decisions.cut.is_some());
    let positions = tally.store.lane_stamps(proposal).await?;
    let positions = positions.into_iter().map(|stamp| stamp.map(|stamp| stamp.position));
    let lanes = (0..).map(Lane).zip(positions).zip(ends.value.iter());
    let waiting = lanes.filter(|((_, position), end)| !drain::has_lane_reached(*position, log, **end, has_cut));
    Ok(waiting.map(|(lane, _)| lane).collect())
}

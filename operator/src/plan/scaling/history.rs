//! What the operator remembers of each proposal from look to look. It may be lost: then nothing is given back for a while.

use std::collections::BTreeMap;

use pnyx_core::{
    scaling::{History, Plan, Rate, Remembered, Sample, ScalingSpec, Shards, Start, WindowDemand},
    time::TimestampMs,
};

use super::{PlatformHistory, observed};
use crate::{
    kinds::{Key, ObjectKey, Primary},
    observe::{LiveChildren, ProposalBrief, TopicsSeen},
    plan::Owner,
};

/// The histories of all proposals and platforms that were looked at: as many as there are, because what is gone is forgotten.
#[derive(Debug, Default)]
pub struct Histories {
    proposals: BTreeMap<ObjectKey, ProposalHistory>,
    platforms: BTreeMap<ObjectKey, PlatformHistory>,
}

/// What is remembered of one proposal.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ProposalHistory {
    uid: String,
    core: History,
    shards: Option<Shards>,
    partitions: Option<u32>,
    /// When shards were asked for that are not all ready yet.
    asked_at: Option<TimestampMs>,
    rebalancing_since: Option<TimestampMs>,
    sample: Option<Sample>,
    /// What shards were seen to verify, if the last sample is new and says so.
    measured: Option<Rate>,
    /// What it asks of its platform, once it was planned for.
    demand: Option<Option<WindowDemand>>,
}

impl Histories {
    /// A proposal's. One that is made anew under the same name has a history of its own, which begins with what
    /// `remembered` gives.
    pub fn proposal(
        &mut self,
        owner: &Owner,
        remembered: impl FnOnce() -> Remembered,
        now: TimestampMs,
    ) -> &mut ProposalHistory {
        let history = self.proposals.entry(owner.key().object.clone()).or_default();
        if history.uid != owner.uid() {
            let core = History::of(remembered(), now);
            *history = ProposalHistory { uid: owner.uid().to_owned(), core, ..ProposalHistory::default() };
        }
        history
    }

    /// A platform's.
    pub fn platform(&mut self, platform: &ObjectKey) -> &mut PlatformHistory {
        self.platforms.entry(platform.clone()).or_default()
    }

    /// What all windows of a platform ask of it. Of one that is open or not counted yet, and that was not looked at, nothing is
    /// known.
    pub fn demands(&self, proposals: &[ProposalBrief], now: jiff::Timestamp) -> Vec<WindowDemand> {
        let unknown = WindowDemand { expected_peak: None, arrival: None, verified: None, lanes: 1 };
        let of_proposal = |brief: &ProposalBrief| match self.proposals.get(&brief.key).and_then(|known| known.demand) {
            Some(demand) => demand,
            None => {
                let has_begun = brief.opens_at.is_some_and(|opens_at| opens_at <= now);
                (brief.is_accepted && !brief.has_result && has_begun).then_some(unknown)
            }
        };
        proposals.iter().filter_map(of_proposal).collect()
    }

    /// It is gone.
    pub fn forget(&mut self, key: &Key) {
        match key.primary {
            Primary::Proposal => drop(self.proposals.remove(&key.object)),
            Primary::Platform => drop(self.platforms.remove(&key.object)),
        }
    }
}

impl ProposalHistory {
    /// Notes what there is: once at each look, before it is planned for.
    pub fn see(&mut self, children: &LiveChildren, topics: &TopicsSeen, now: TimestampMs) {
        let shards = observed::shards(children);
        let before = self.shards.replace(shards).unwrap_or(shards);
        if shards.desired > before.desired {
            self.asked_at = Some(now);
        } else if shards.desired < before.desired {
            self.asked_at = None;
        }
        let is_ready = shards.ready >= shards.desired;
        if let Some(asked_at) = self.asked_at.take_if(|_| is_ready) {
            self.core.record_start(Start { at: now, took_ms: now.saturating_since_ms(asked_at) });
        }
        let told = topics.partitions.or(self.partitions);
        let is_grown = self.partitions.is_some_and(|before| before > 0 && told != Some(before));
        self.partitions = told;
        self.rebalancing_since = match self.rebalancing_since {
            Some(since) if !is_ready => Some(since),
            Some(_) | None => (!is_ready || is_grown).then_some(now),
        };
        self.measure(shards, topics.sample.as_ref());
    }

    /// Notes a plan that was carried out.
    pub fn applied(&mut self, plan: &Plan) {
        self.core.record(plan);
    }

    /// Notes what a plan asks of the platform, whether or not it could be carried out.
    pub fn demand(&mut self, spec: &ScalingSpec, plan: &Plan, lanes: u16) {
        self.demand = Some(WindowDemand::of(spec, plan, lanes));
    }

    /// What the planner remembers.
    pub const fn core(&self) -> &History {
        &self.core
    }

    pub(super) const fn rebalancing_since(&self) -> Option<TimestampMs> {
        self.rebalancing_since
    }

    pub(super) const fn measured(&self) -> Option<Rate> {
        self.measured
    }

    fn measure(&mut self, shards: Shards, sample: Option<&Sample>) {
        let Some(sample) = sample else { return };
        if self.sample.as_ref().is_some_and(|before| before.taken_at == sample.taken_at) {
            self.measured = None;
            return;
        }
        let before = self.sample.replace(sample.clone());
        let is_settled = self.rebalancing_since.is_none() && shards.ready == shards.desired;
        self.measured = before.filter(|_| is_settled).and_then(|before| measured(&before, sample, shards.ready));
    }
}

/// What one shard verified between two samples, if all were busy all the time: in no partition did what waited run out.
fn measured(before: &Sample, now: &Sample, shards: u32) -> Option<Rate> {
    let elapsed_ms = now.taken_at.saturating_since_ms(before.taken_at);
    let partitions = u32::try_from(now.partitions.len()).unwrap_or(u32::MAX);
    if shards == 0 || elapsed_ms == 0 || shards > partitions || before.partitions.len() != now.partitions.len() {
        return None;
    }
    let verified = before.partitions.iter().zip(&now.partitions).map(|(before, now)| {
        // Thousandths a second in milliseconds: millionths of a ballot.
        let arrived = u128::from(now.arrival.milli()) * u128::from(elapsed_ms) / 1_000_000;
        let arrived = u64::try_from(arrived).unwrap_or(u64::MAX);
        let verified = before.backlog.saturating_add(arrived).checked_sub(now.backlog)?;
        (verified > 0 && verified <= before.backlog).then_some(verified)
    });
    let verified = verified.collect::<Option<Vec<_>>>()?.into_iter().fold(0, u64::saturating_add);
    Some(Rate::of(verified, elapsed_ms).divided(shards.into()))
}

//! A proposal in the middle of its window, of which each case changes what it is about.

use pnyx_core::{
    scaling::{
        History, Observed, PartitionLoad, Plan, Rate, ReplicasOwner, Sample, ScalingParts, ScalingSpec, Shards, plan,
    },
    time::{TimestampMs, Window},
};

pub(crate) const OPENS_AT: u64 = 10_000_000;
pub(crate) const CLOSES_AT: u64 = OPENS_AT + 3_600_000;
/// Half an hour after the opening.
pub(crate) const MIDDLE: u64 = OPENS_AT + 1_800_000;

/// Everything that a plan is made from.
#[derive(Debug, Clone)]
pub(crate) struct Scene {
    pub(crate) parts: ScalingParts,
    pub(crate) observed: Observed,
    pub(crate) history: History,
    pub(crate) now: u64,
}

impl Scene {
    /// Open for half an hour, well known for longer: 4 of 2 to 12 shards, 12 partitions, 100 ballots a second each second
    /// in every partition, at 1,000 a shard: 1.5 shards are needed.
    pub(crate) fn new() -> Self {
        let parts = ScalingParts {
            max_shards: 12,
            warm_shards: Some(2),
            rate_per_shard: Rate::per_second(1_000),
            ..ScalingParts::default()
        };
        let observed = Observed {
            sample: None,
            rate_per_shard: None,
            shards: Shards { desired: 4, ready: 4 },
            owner: ReplicasOwner::Operator,
            partitions: 12,
            rebalancing_since: None,
            watching_since: TimestampMs(0),
            has_cut: Some(false),
            is_drained: Some(false),
        };
        Self { parts, observed, history: History::default(), now: MIDDLE }.loaded(100, 0).settled()
    }

    pub(crate) fn at(mut self, now: u64) -> Self {
        let age_ms = self.observed.sample.as_ref().map(|sample| self.now - sample.taken_at.0);
        self.now = now;
        if let Some((sample, age_ms)) = self.observed.sample.as_mut().zip(age_ms) {
            sample.taken_at = TimestampMs(now - age_ms);
        }
        self.settled()
    }

    /// Every partition gets and holds so much, sampled two seconds ago.
    pub(crate) fn loaded(self, arrival_per_second: u64, backlog: u64) -> Self {
        let load = PartitionLoad { backlog, arrival: Rate::per_second(arrival_per_second) };
        let partitions = usize::try_from(self.observed.partitions).unwrap();
        self.loads(vec![load; partitions])
    }

    pub(crate) fn loads(mut self, partitions: Vec<PartitionLoad>) -> Self {
        self.observed.sample = Some(Sample { taken_at: TimestampMs(self.now - 2_000), partitions });
        self
    }

    /// The same has been seen for long enough that nothing has to be waited for.
    pub(crate) fn settled(mut self) -> Self {
        self.history = History::default();
        let now = self.now;
        for seconds_ago in (1..40).rev().map(|step| step * 5) {
            let mut earlier = self.clone();
            earlier.now = now - seconds_ago * 1_000;
            // Then nothing was given back.
            earlier.observed.shards.desired = 0;
            if let Some(sample) = earlier.observed.sample.as_mut() {
                sample.taken_at = TimestampMs(earlier.now);
            }
            self.history.record(&earlier.plan());
        }
        self
    }

    pub(crate) fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    pub(crate) fn spec(&self) -> ScalingSpec {
        ScalingSpec::new(&self.parts).unwrap()
    }

    pub(crate) fn plan(&self) -> Plan {
        plan(&self.spec(), &window(), &self.observed, &self.history, TimestampMs(self.now))
    }
}

pub(crate) fn window() -> Window {
    Window::new(TimestampMs(OPENS_AT), TimestampMs(CLOSES_AT)).unwrap()
}

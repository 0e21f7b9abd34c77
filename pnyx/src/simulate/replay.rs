//! The replay: second after second through the cluster, and at every look through the planner.

use pnyx_core::{
    scaling::{History, Limit, Observed, Offsets, Plan, Rate, Sample, ScalingPhase, ScalingSpec, plan},
    time::{TimestampMs, Window},
};

use super::{
    cluster::{Cluster, State},
    curve::{Broker, Curve},
};

/// Longest window: of a week every second is kept, in some 50 MB.
pub(super) const WINDOW_S_MAX: u64 = 7 * 86_400;

/// How long after the close a replay is given up: what is not drained by then never will be with these shards.
const DRAIN_S_MAX: u64 = 6 * 3_600;

/// How long after the close the cut is read, as processes do by default.
const GRACE_S: u64 = 5;

/// In what time voters send again what was refused while the broker was away.
const RESEND_S: u64 = 10;

/// More than so many seconds of arrivals that wait is behind; less is what a look or a rebalance costs.
pub(super) const BEHIND_S: u64 = 10;

/// How long before the first shards the replay begins.
const BEFORE_S: u64 = 60;

/// What is replayed.
#[derive(Debug, Clone)]
pub(super) struct Scenario {
    pub(super) name: String,
    pub(super) spec: ScalingSpec,
    pub(super) window: Window,
    pub(super) window_s: u64,
    pub(super) curve: Curve,
    pub(super) cluster: Cluster,
}

/// What happened.
#[derive(Debug, Clone)]
pub(super) struct Replay {
    /// Every second, in order.
    pub(super) moments: Vec<Moment>,
    /// Plans that changed a number, or were decided by another limit than the one before.
    pub(super) decisions: Vec<Decision>,
    pub(super) summary: Summary,
}

/// One second, at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment {
    /// Seconds after the opening.
    pub(super) second: i64,
    pub(super) phase: ScalingPhase,
    /// What was written.
    pub(super) arrivals: Rate,
    /// Whole ballots that wait, and those in the fullest partition.
    pub(super) backlog: u64,
    pub(super) fullest_backlog: u64,
    pub(super) shards: u32,
    pub(super) ready: u32,
    pub(super) partitions: u32,
    pub(super) limit: Limit,
    pub(super) broker: Broker,
}

/// A plan and when it was made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Decision {
    pub(super) second: i64,
    pub(super) plan: Plan,
}

/// The whole in numbers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Summary {
    pub(super) ballots: u64,
    /// Ballots that were held back while the broker was away and came too late.
    pub(super) too_late: u64,
    pub(super) peak_backlog: u64,
    pub(super) peak_second: i64,
    /// From when on no more than [`BEHIND_S`] of arrivals waited, if ever.
    pub(super) caught_up_second: Option<i64>,
    /// When the planner was told that everything is verified, if ever.
    pub(super) drained_second: Option<i64>,
    /// Shards that are left at the end; more than none where they are held, or nothing was drained.
    pub(super) shards_left: u32,
    pub(super) window_s: i64,
    pub(super) shard_seconds: u64,
    /// Shard-seconds that shards without delay would have needed.
    pub(super) ideal_shard_seconds: u64,
    pub(super) shard_changes: u32,
    pub(super) partition_changes: u32,
}

impl Summary {
    /// Whether it was caught up by the close, and drained after it.
    pub(super) fn is_in_time(&self) -> bool {
        self.caught_up_second.is_some_and(|second| second <= self.window_s) && self.drained_second.is_some()
    }

    /// The cost relative to the ideal, in percent, rounded up.
    pub(super) fn cost_percent(&self) -> u64 {
        (self.shard_seconds * 100).div_ceil(self.ideal_shard_seconds.max(1))
    }
}

impl Replay {
    /// Replays the scenario from before its first shards until the last is gone.
    pub(super) fn of(scenario: &Scenario) -> Self {
        let lead_s = scenario.spec.lead_ms().div_ceil(1_000);
        let mut run = Run::new(scenario, lead_s + BEFORE_S);
        let end = run.before_s + scenario.window_s + DRAIN_S_MAX;
        for clock in 0..end {
            run.step(clock);
            if run.is_over() {
                break;
            }
        }
        let summary = run.summary(lead_s);
        Self { moments: run.moments, decisions: run.decisions, summary }
    }
}

/// A replay that goes on. Its clock is in seconds from its own beginning, `before_s` before the opening.
struct Run<'a> {
    scenario: &'a Scenario,
    before_s: u64,
    state: State,
    history: History,
    last_offsets: Option<Offsets>,
    sample: Option<Sample>,
    last_plan: Option<Plan>,
    look_at: u64,
    /// Thousandths of ballots that wait for the broker, and how many of them come in a second once it is back.
    held: u64,
    resent_each_s: u64,
    ballots: u64,
    moments: Vec<Moment>,
    decisions: Vec<Decision>,
    drained_second: Option<i64>,
}

impl<'a> Run<'a> {
    fn new(scenario: &'a Scenario, before_s: u64) -> Self {
        Self {
            scenario,
            before_s,
            state: State::default(),
            history: History::default(),
            last_offsets: None,
            sample: None,
            last_plan: None,
            look_at: 0,
            held: 0,
            resent_each_s: 0,
            ballots: 0,
            moments: Vec::new(),
            decisions: Vec::new(),
            drained_second: None,
        }
    }

    fn step(&mut self, clock: u64) {
        let Scenario { curve, cluster, window_s, .. } = self.scenario;
        let in_window = clock.checked_sub(self.before_s).filter(|second| second < window_s);
        let sent = in_window.map(|second| curve.at(second));
        let broker = match clock.checked_sub(self.before_s) {
            None => Broker::Up,
            Some(second) => curve.at(second.min(window_s - 1)).broker,
        };
        // A broker that is away at the close comes back with it: what then follows is the drain's matter.
        let broker = if sent.is_none() { Broker::Up } else { broker };
        self.state.turn(cluster, clock);
        let written = match (sent, broker) {
            (Some(step), Broker::Up) => step.arrivals.milli() + self.resent(),
            (Some(step), Broker::Away) => {
                self.held += step.arrivals.milli();
                self.resent_each_s = self.held.div_ceil(RESEND_S);
                0
            }
            (None, _) => 0,
        };
        self.ballots += written;
        self.state.write(cluster, written);
        if broker == Broker::Up {
            self.state.verify(cluster, clock);
        }
        if clock >= self.look_at {
            self.look(clock, broker);
        }
        self.keep(clock, Rate::from_milli(written), broker);
    }

    fn resent(&mut self) -> u64 {
        let resent = self.held.min(self.resent_each_s);
        self.held -= resent;
        resent
    }

    /// The operator reads what it can, plans, and applies.
    fn look(&mut self, clock: u64, broker: Broker) {
        let Scenario { spec, window, window_s, cluster, .. } = self.scenario;
        let now = self.timestamp(clock);
        if broker == Broker::Up && self.state.partitions() > 0 {
            let offsets = self.state.offsets(now);
            let since = self.last_offsets.as_ref().and_then(|earlier| offsets.since(earlier));
            self.sample = since.or_else(|| self.sample.take());
            self.last_offsets = Some(offsets);
        }
        let has_cut = clock >= self.before_s + window_s + GRACE_S;
        let is_drained = has_cut && self.state.backlogs().all(|backlog| backlog == 0);
        let observed = Observed {
            sample: self.sample.clone(),
            rate_per_shard: self.state.has_verified().then_some(cluster.rate_per_shard),
            shards: self.state.shards(),
            partitions: self.state.partitions(),
            is_rebalancing: self.state.is_rebalancing(clock),
            watching_since: TimestampMs(0),
            has_cut,
            is_drained,
        };
        let plan = plan(spec, window, &observed, &self.history, now);
        self.history.record(&plan);
        self.state.apply(cluster, plan.shards.to, plan.partitions.to, clock);
        let second = self.second(clock);
        if plan.phase == ScalingPhase::Drained {
            self.drained_second.get_or_insert(second);
        }
        let is_news = self.last_plan.is_none_or(|last| {
            plan.shards.to != plan.shards.from
                || plan.partitions.to != plan.partitions.from
                || plan.shards.limit != last.shards.limit
                || plan.phase != last.phase
        });
        if is_news {
            self.decisions.push(Decision { second, plan });
        }
        let wait_s = plan.look_again_at.saturating_since_ms(now).div_ceil(1_000);
        let is_idle = plan.phase == ScalingPhase::Idle;
        self.look_at = clock + if is_idle { wait_s.max(1) } else { cluster.sample_every_s };
        self.last_plan = Some(plan);
    }

    fn keep(&mut self, clock: u64, arrivals: Rate, broker: Broker) {
        let (backlog, fullest) =
            self.state.backlogs().fold((0, 0), |(sum, most), backlog| (sum + backlog, u64::max(most, backlog)));
        let last = self.last_plan.expect("the first second is looked at");
        let shards = self.state.shards();
        self.moments.push(Moment {
            second: self.second(clock),
            phase: last.phase,
            arrivals,
            backlog: backlog.div_ceil(1_000),
            fullest_backlog: fullest.div_ceil(1_000),
            shards: shards.desired,
            ready: shards.ready,
            partitions: self.state.partitions(),
            limit: last.shards.limit,
            broker,
        });
    }

    fn is_over(&self) -> bool {
        self.last_plan.is_some_and(|plan| plan.phase == ScalingPhase::Drained)
    }

    fn timestamp(&self, clock: u64) -> TimestampMs {
        let opens_at = self.scenario.window.opens_at();
        TimestampMs((opens_at.0 + clock * 1_000).saturating_sub(self.before_s * 1_000))
    }

    fn second(&self, clock: u64) -> i64 {
        signed(clock) - signed(self.before_s)
    }

    fn summary(&self, lead_s: u64) -> Summary {
        let window_s = signed(self.scenario.window_s);
        let peak = self.moments.iter().rev().max_by_key(|moment| moment.backlog).expect("there is a first second");
        let is_behind = |moment: &&Moment| moment.backlog > moment.arrivals.milli().div_ceil(1_000) * BEHIND_S;
        let behind_until = self.moments.iter().rev().find(is_behind).map_or(0, |moment| moment.second + 1);
        let has_ended = self.moments.last().is_some_and(|moment| moment.second >= behind_until);
        let changes = |is_change: fn(&Plan) -> bool| self.decisions.iter().filter(|it| is_change(&it.plan)).count();
        Summary {
            ballots: self.ballots / 1_000,
            too_late: self.held / 1_000,
            peak_backlog: peak.backlog,
            peak_second: peak.second,
            caught_up_second: has_ended.then_some(behind_until),
            drained_second: self.drained_second,
            shards_left: self.state.shards().desired,
            window_s,
            shard_seconds: self.moments.iter().map(|moment| u64::from(moment.shards)).sum(),
            ideal_shard_seconds: self.ideal_shard_seconds(lead_s),
            shard_changes: count(changes(|plan| plan.shards.to != plan.shards.from)),
            partition_changes: count(changes(|plan| plan.partitions.to != plan.partitions.from)),
        }
    }

    /// What shards would cost that are there and gone at once: in every second as many whole ones as the floor or what
    /// arrives needs, at the planned utilization.
    fn ideal_shard_seconds(&self, lead_s: u64) -> u64 {
        let Scenario { spec, cluster, .. } = self.scenario;
        let planned = cluster.rate_per_shard.percent(spec.utilization_percent()).milli().max(1);
        let ideal = |moment: &Moment| {
            let is_warm = moment.second >= -signed(lead_s) && moment.second < signed(self.scenario.window_s);
            let floor = if is_warm { spec.warm_shards() } else { 0 };
            moment.arrivals.milli().div_ceil(planned).max(u64::from(floor))
        };
        self.moments.iter().map(ideal).sum()
    }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).expect("some days in seconds fit")
}

fn count(number: usize) -> u32 {
    u32::try_from(number).expect("at most one a second")
}

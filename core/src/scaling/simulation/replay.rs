//! The replay: second after second through the cluster, and at every look through the planner.

use super::{BEFORE_S, Broker, Curve, DRAIN_S_MAX, GRACE_S, RESEND_S, Scenario, Summary, cluster::State, noise::Noise};
use crate::{
    scaling::{
        History, Limit, Observed, Offsets, PartitionLoad, Plan, Rate, ReplicasOwner, Sample, ScalingPhase, Start, plan,
    },
    time::TimestampMs,
};

/// What happened.
#[derive(Debug, Clone)]
pub struct Replay {
    /// Every second, in order.
    pub moments: Vec<Moment>,
    /// Plans that changed a number, or were decided by another limit than the one before.
    pub decisions: Vec<Decision>,
    /// The whole in numbers.
    pub summary: Summary,
}

/// One second, at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Seconds after the opening.
    pub second: i64,
    /// Where the proposal was.
    pub phase: ScalingPhase,
    /// What was written.
    pub arrivals: Rate,
    /// Whole ballots that wait.
    pub backlog: u64,
    /// Those in the fullest partition.
    pub fullest_backlog: u64,
    /// Shards that were asked for.
    pub shards: u32,
    /// Shards that worked.
    pub ready: u32,
    /// Partitions, those included that were still to come.
    pub partitions: u32,
    /// What decided the number of shards.
    pub limit: Limit,
    /// Whether the broker was there.
    pub broker: Broker,
}

/// A plan and when it was made.
#[derive(Debug, Clone, Copy)]
pub struct Decision {
    /// Seconds after the opening.
    pub second: i64,
    /// What was planned.
    pub plan: Plan,
}

impl Decision {
    /// Whether a number changed.
    pub const fn is_change(&self) -> bool {
        self.plan.shards.to != self.plan.shards.from || self.plan.partitions.to != self.plan.partitions.from
    }
}

impl Replay {
    /// Replays the scenario from before its first shards until the last is gone.
    pub fn of(scenario: &Scenario) -> Self {
        let mut run = Run::new(scenario);
        let end = run.before_s.saturating_add(run.window_s).saturating_add(DRAIN_S_MAX);
        for clock in 0..end {
            run.step(clock);
            if run.last_plan.is_some_and(|plan| plan.phase == ScalingPhase::Drained) {
                break;
            }
        }
        let Run { moments, decisions, ballots, held, drained_second, .. } = run;
        let summary = Summary::of(scenario, &moments, &decisions, ballots, held, drained_second);
        Self { moments, decisions, summary }
    }
}

/// A replay that goes on. Its clock is in seconds from its own beginning, `before_s` before the opening.
struct Run<'a> {
    scenario: &'a Scenario,
    window_s: u64,
    before_s: u64,
    state: State,
    history: History,
    watching_since: TimestampMs,
    noise: Noise,
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
    fn new(scenario: &'a Scenario) -> Self {
        Self {
            scenario,
            window_s: scenario.window_s(),
            before_s: scenario.spec.lead_ms().div_ceil(1_000).saturating_add(BEFORE_S),
            state: State::default(),
            history: History::default(),
            watching_since: TimestampMs(0),
            noise: Noise::new(scenario.cluster.noise_seed, scenario.cluster.noise_percent),
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
        let Scenario { cluster, .. } = self.scenario;
        let in_window = clock.checked_sub(self.before_s).filter(|second| *second < self.window_s);
        let curve: &Curve = &self.scenario.curve;
        // A broker that is away at the close comes back with it: what then follows is the drain's matter.
        let sent = in_window.map(|second| curve.at(second));
        let broker = sent.map_or(Broker::Up, |step| step.broker);
        let started = self.state.turn(cluster, clock);
        let start = Start { at: self.timestamp(clock), took_ms: cluster.start_up_s.saturating_mul(1_000) };
        (0..started.min(1)).for_each(|_| self.history.record_start(start));
        let written = match (sent, broker) {
            (Some(step), Broker::Up) => step.arrivals.milli().saturating_add(self.resent()),
            (Some(step), Broker::Away) => {
                self.held = self.held.saturating_add(step.arrivals.milli());
                self.resent_each_s = self.held.div_ceil(RESEND_S);
                0
            }
            (None, _) => 0,
        };
        self.ballots = self.ballots.saturating_add(written);
        self.state.write(cluster, written);
        match broker {
            Broker::Up => self.state.verify(cluster, clock),
            Broker::Away => {}
        }
        if in_window.is_some_and(|second| self.scenario.restarts.contains(&second)) {
            self.restart(clock);
        }
        if clock >= self.look_at {
            self.look(clock, broker);
        }
        self.keep(clock, Rate::from_milli(written), broker);
    }

    fn resent(&mut self) -> u64 {
        let resent = self.held.min(self.resent_each_s);
        self.held = self.held.saturating_sub(resent);
        resent
    }

    /// The operator starts again: all that it has is what it kept in status.
    fn restart(&mut self, clock: u64) {
        self.history = History::of(self.history.remembered().clone(), self.timestamp(clock));
        self.watching_since = self.timestamp(clock);
        self.last_offsets = None;
        self.sample = None;
        self.look_at = clock;
    }

    /// The operator reads what it can, plans, and applies.
    fn look(&mut self, clock: u64, broker: Broker) {
        let Scenario { spec, window, cluster, .. } = self.scenario;
        let now = self.timestamp(clock);
        match broker {
            Broker::Up if self.state.partitions() > 0 => {
                let offsets = self.state.offsets(now);
                let since = self.last_offsets.as_ref().and_then(|earlier| offsets.since(earlier));
                self.sample = since.map(|sample| self.measured(sample)).or_else(|| self.sample.take());
                self.last_offsets = Some(offsets);
            }
            Broker::Up | Broker::Away => {}
        }
        let has_cut = clock >= self.before_s.saturating_add(self.window_s).saturating_add(GRACE_S);
        let rate = cluster.rate_per_shard.percent(u32::try_from(self.noise.percent()).unwrap_or(100));
        let observed = Observed {
            sample: self.sample.clone(),
            rate_per_shard: self.state.has_verified().then_some(rate),
            shards: self.state.shards(),
            owner: ReplicasOwner::Operator,
            partitions: self.state.partitions(),
            rebalancing_since: self.state.unsettled_since().map(|since| self.timestamp(since)),
            watching_since: self.watching_since,
            has_cut: Some(has_cut),
            is_drained: Some(has_cut && self.state.backlogs().all(|backlog| backlog == 0)),
        };
        let plan = plan(spec, window, &observed, &self.history, now);
        self.history.record(&plan);
        self.state.apply(cluster, plan.shards.to, plan.partitions.to, clock);
        let decision = Decision { second: self.second(clock), plan };
        if plan.phase == ScalingPhase::Drained {
            self.drained_second.get_or_insert(decision.second);
        }
        let is_other =
            self.last_plan.is_none_or(|last| plan.shards.limit != last.shards.limit || plan.phase != last.phase);
        if is_other || decision.is_change() {
            self.decisions.push(decision);
        }
        let wait_s = plan.look_again_at.saturating_since_ms(now).div_ceil(1_000).max(1);
        let is_idle = plan.phase == ScalingPhase::Idle;
        self.look_at = clock.saturating_add(if is_idle { wait_s } else { cluster.sample_every_s.max(1) });
        self.last_plan = Some(plan);
    }

    /// A sample as it is measured: with ballots that are verified and not yet committed, and with errors.
    fn measured(&mut self, sample: Sample) -> Sample {
        let (arrival, backlog) = (self.noise.percent(), self.noise.percent());
        let lag_s = self.scenario.cluster.commit_lag_s;
        let with_errors = |load: PartitionLoad| {
            let uncommitted = load.arrival.milli().saturating_mul(lag_s).div_euclid(1_000);
            let waiting = load.backlog.saturating_add(uncommitted);
            PartitionLoad {
                backlog: waiting.saturating_mul(backlog).div_euclid(100),
                arrival: load.arrival.percent(u32::try_from(arrival).unwrap_or(100)),
            }
        };
        let Sample { taken_at, partitions } = sample;
        Sample { taken_at, partitions: partitions.into_iter().map(with_errors).collect() }
    }

    fn keep(&mut self, clock: u64, arrivals: Rate, broker: Broker) {
        let Some(last) = self.last_plan else { return };
        let (backlog, fullest) = self
            .state
            .backlogs()
            .fold((0_u64, 0_u64), |(sum, most), backlog| (sum.saturating_add(backlog), most.max(backlog)));
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

    fn timestamp(&self, clock: u64) -> TimestampMs {
        let ahead = self.scenario.window.opens_at().saturating_add_ms(clock.saturating_mul(1_000));
        TimestampMs(ahead.0.saturating_sub(self.before_s.saturating_mul(1_000)))
    }

    fn second(&self, clock: u64) -> i64 {
        super::summary::signed(clock).saturating_sub(super::summary::signed(self.before_s))
    }
}

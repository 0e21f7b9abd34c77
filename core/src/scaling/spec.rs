//! What the owner of a proposal asks of its scaling, checked.

use super::Rate;
use crate::proposal::{Definition, ProposalError};

/// Most shards: as many as a ballots topic has partitions at most, since a partition is read by one shard.
pub const SHARDS_MAX: u32 = Definition::PARTITIONS_MAX;

/// Most shards of a proposal that says nothing.
pub const MAX_SHARDS_DEFAULT: u32 = 8;

/// How long before the opening shards are started where the spec does not say: an image pull and a pod's start.
pub const LEAD_MS_DEFAULT: u64 = 120_000;

/// Longest lead: a day. More is a mistake in the unit.
pub const LEAD_MS_MAX: u64 = 86_400_000;

/// In which time a backlog should be worked off where the spec does not say.
pub const CATCH_UP_MS_DEFAULT: u64 = 60_000;

/// Shortest catch-up: shards that are asked for now do not work much sooner, and a handful of ballots that wait between
/// two samples must not ask for shards.
pub const CATCH_UP_MS_MIN: u64 = 10_000;

/// Longest catch-up target: a day. More is a mistake in the unit.
pub const CATCH_UP_MS_MAX: u64 = 86_400_000;

/// How much of a shard's rate is planned with where the spec does not say.
pub const UTILIZATION_PERCENT_DEFAULT: u32 = 80;

/// Least utilization: below a tenth, nine of ten shards would be there for nothing.
pub const UTILIZATION_PERCENT_MIN: u32 = 10;

/// What one shard verifies where nothing was measured yet, in ballots per second: one core's rate on Kafka
/// (docs/benchmarks.md), rounded down.
pub const RATE_PER_SHARD_DEFAULT: u64 = 20_000;

/// Highest rate that a spec may state, in ballots per second: far above what a topic takes.
pub const RATE_PER_SECOND_MAX: u64 = 100_000_000;

/// What a spec is made of, before it is checked. What is `None` follows from the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScalingParts {
    /// Shards outside the window, until the proposal is drained.
    pub min_shards: u32,
    /// Most shards ever.
    pub max_shards: u32,
    /// Shards from the lead before the opening until the proposal is drained; by default `min_shards`, at least 1.
    pub warm_shards: Option<u32>,
    /// How many there are instead of what the plan chooses, but never fewer than its floor.
    pub shards: Option<u32>,
    /// How long before the opening the warm shards are started.
    pub lead_ms: u64,
    /// In which time a backlog should be worked off.
    pub catch_up_target_ms: u64,
    /// How much of a shard's rate is planned with.
    pub utilization_percent: u32,
    /// Highest arrival rate that is expected, prepared for at both ends of the window.
    pub expected_peak: Option<Rate>,
    /// What one shard verifies, until it is measured.
    pub rate_per_shard: Rate,
    /// Partitions of the ballots topic at first; by default `max_shards`.
    pub partitions_initial: Option<u32>,
    /// Most partitions; by default the larger of `partitions_initial` and `max_shards`.
    pub partitions_max: Option<u32>,
    /// Nothing is given back.
    pub hold: bool,
}

impl Default for ScalingParts {
    fn default() -> Self {
        Self {
            min_shards: 0,
            max_shards: MAX_SHARDS_DEFAULT,
            warm_shards: None,
            shards: None,
            lead_ms: LEAD_MS_DEFAULT,
            catch_up_target_ms: CATCH_UP_MS_DEFAULT,
            utilization_percent: UTILIZATION_PERCENT_DEFAULT,
            expected_peak: None,
            rate_per_shard: Rate::per_second(RATE_PER_SHARD_DEFAULT),
            partitions_initial: None,
            partitions_max: None,
            hold: false,
        }
    }
}

/// A checked spec: `min ≤ warm ≤ max ≤ most partitions`, and nothing that is divided by is 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScalingSpec {
    min_shards: u32,
    max_shards: u32,
    warm_shards: u32,
    shards: Option<u32>,
    lead_ms: u64,
    catch_up_target_ms: u64,
    utilization_percent: u32,
    expected_peak: Option<Rate>,
    rate_per_shard: Rate,
    partitions_initial: u32,
    partitions_max: u32,
    hold: bool,
}

impl ScalingSpec {
    /// The spec that the parts give.
    ///
    /// # Errors
    /// All problems found, by their path in the resource, in the order of its fields; never an empty list.
    pub fn new(parts: &ScalingParts) -> Result<Self, Vec<ProposalError>> {
        let ScalingParts {
            min_shards,
            max_shards,
            warm_shards,
            shards,
            lead_ms,
            catch_up_target_ms,
            utilization_percent,
            expected_peak,
            rate_per_shard,
            partitions_initial,
            partitions_max,
            hold,
        } = *parts;
        let warm_shards = warm_shards.unwrap_or_else(|| min_shards.max(1));
        let partitions_initial = partitions_initial.unwrap_or(max_shards);
        let partitions_max = partitions_max.unwrap_or_else(|| partitions_initial.max(max_shards));
        let spec = Self {
            min_shards,
            max_shards,
            warm_shards,
            shards,
            lead_ms,
            catch_up_target_ms,
            utilization_percent,
            expected_peak,
            rate_per_shard,
            partitions_initial,
            partitions_max,
            hold,
        };
        let problems = spec.problems();
        if problems.is_empty() { Ok(spec) } else { Err(problems) }
    }

    fn problems(&self) -> Vec<ProposalError> {
        let mut found = Vec::new();
        let mut check = |is_well: bool, field: &str, problem: String| {
            if !is_well {
                found.push(ProposalError { path: format!("spec.scaling.{field}"), problem });
            }
        };
        let Self { min_shards: min, max_shards: max, warm_shards: warm, .. } = *self;
        // What is compared with a number that is wrong itself would only repeat it.
        let (is_min, is_max) = (min <= max, (1..=SHARDS_MAX).contains(&max));
        check(is_min || !is_max, "minShards", format!("must be at most maxShards ({max}); it is {min}"));
        check(is_max, "maxShards", format!("must be 1 to {SHARDS_MAX}; it is {max}"));
        let is_warm = (warm >= 1 && warm >= min && warm <= max) || !is_min || !is_max;
        let least = min.max(1);
        check(is_warm, "warmShards", format!("must be {least} to maxShards ({max}); it is {warm}"));
        if let Some(shards) = self.shards {
            check(shards <= max || !is_max, "shards", format!("must be at most maxShards ({max}); it is {shards}"));
        }
        check(self.lead_ms <= LEAD_MS_MAX, "lead", "must be at most a day".to_owned());
        let is_target = (CATCH_UP_MS_MIN..=CATCH_UP_MS_MAX).contains(&self.catch_up_target_ms);
        check(is_target, "catchUpTarget", "must be 10s to a day".to_owned());
        let percent = self.utilization_percent;
        let is_percent = (UTILIZATION_PERCENT_MIN..=100).contains(&percent);
        check(is_percent, "utilization", format!("must be {UTILIZATION_PERCENT_MIN} to 100 percent; it is {percent}"));
        let is_rate = |rate: Rate| rate > Rate::ZERO && rate <= Rate::per_second(RATE_PER_SECOND_MAX);
        let rate_problem = |rate: Rate| format!("must be above 0 and at most {RATE_PER_SECOND_MAX}; it is {rate}");
        if let Some(peak) = self.expected_peak {
            check(is_rate(peak), "expectedPeak", rate_problem(peak));
        }
        check(is_rate(self.rate_per_shard), "ratePerShard", rate_problem(self.rate_per_shard));
        let (initial, most) = (self.partitions_initial, self.partitions_max);
        let is_initial = (initial >= 1 && initial <= most) || !is_max;
        check(is_initial, "partitions.initial", format!("must be 1 to partitions.max ({most}); it is {initial}"));
        check(
            (most <= SHARDS_MAX && most >= max) || !is_max,
            "partitions.max",
            format!("must be maxShards ({max}) to {SHARDS_MAX}, since a partition is read by one shard; it is {most}"),
        );
        found
    }

    /// Shards outside the window, until the proposal is drained.
    pub const fn min_shards(&self) -> u32 {
        self.min_shards
    }

    /// Most shards ever.
    pub const fn max_shards(&self) -> u32 {
        self.max_shards
    }

    /// Shards from the lead before the opening until the proposal is drained, at least 1.
    pub const fn warm_shards(&self) -> u32 {
        self.warm_shards
    }

    /// How many there are instead of what the plan chooses, but never fewer than its floor.
    pub const fn shards(&self) -> Option<u32> {
        self.shards
    }

    /// How long before the opening the warm shards are started, at least.
    pub const fn lead_ms(&self) -> u64 {
        self.lead_ms
    }

    /// In which time a backlog should be worked off.
    pub const fn catch_up_target_ms(&self) -> u64 {
        self.catch_up_target_ms
    }

    /// How much of a shard's rate is planned with.
    pub const fn utilization_percent(&self) -> u32 {
        self.utilization_percent
    }

    /// Highest arrival rate that is expected.
    pub const fn expected_peak(&self) -> Option<Rate> {
        self.expected_peak
    }

    /// What one shard verifies, until it is measured; never 0.
    pub const fn rate_per_shard(&self) -> Rate {
        self.rate_per_shard
    }

    /// Partitions of the ballots topic at first.
    pub const fn partitions_initial(&self) -> u32 {
        self.partitions_initial
    }

    /// Most partitions.
    pub const fn partitions_max(&self) -> u32 {
        self.partitions_max
    }

    /// Whether nothing is given back.
    pub const fn hold(&self) -> bool {
        self.hold
    }
}

impl Default for ScalingSpec {
    fn default() -> Self {
        Self::new(&ScalingParts::default()).expect("the defaults keep the rules")
    }
}

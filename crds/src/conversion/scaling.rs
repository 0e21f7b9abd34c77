//! How a proposal is scaled; what is not said has the core's defaults.

use pnyx_core::{
    proposal::ProposalError,
    scaling::{Rate, ScalingParts, ScalingSpec},
};

use super::{Problems, duration};
use crate::{GovernanceProposal, PartitionsSpec, scaling};

/// The scaling that `resource` asks for; the defaults where it says nothing.
///
/// # Errors
/// All problems found, in the order of the resource's fields; never an empty list. The core's rules are checked only once
/// everything can be read.
pub fn resolve_scaling(resource: &GovernanceProposal) -> Result<ScalingSpec, Vec<ProposalError>> {
    let mut problems = Problems::default();
    read(resource.spec.scaling.as_ref(), &mut problems).ok_or(problems.0)
}

/// The checked spec, or nothing after noting what is wrong with it.
pub(super) fn read(spec: Option<&scaling::ScalingSpec>, problems: &mut Problems) -> Option<ScalingSpec> {
    let Some(spec) = spec else { return Some(ScalingSpec::default()) };
    let parts = parts(spec, problems)?;
    ScalingSpec::new(&parts).map_err(|found| problems.0.extend(found)).ok()
}

fn parts(spec: &scaling::ScalingSpec, problems: &mut Problems) -> Option<ScalingParts> {
    let scaling::ScalingSpec {
        min_shards,
        max_shards,
        warm_shards,
        shards,
        lead,
        catch_up_target,
        utilization,
        expected_peak,
        rate_per_shard,
        partitions,
        hold,
    } = spec;
    let PartitionsSpec { initial, max } = partitions.clone().unwrap_or_default();
    let min_shards = problems.count("minShards", *min_shards);
    let max_shards = problems.count("maxShards", *max_shards);
    let warm_shards = problems.optional_count("warmShards", *warm_shards);
    let shards = problems.optional_count("shards", *shards);
    let lead_ms = problems.keep("spec.scaling.lead", duration::read(lead));
    let catch_up_target_ms = problems.keep("spec.scaling.catchUpTarget", duration::read(catch_up_target));
    let utilization_percent = problems.count("utilization", *utilization);
    let expected_peak = problems.optional_count("expectedPeak", *expected_peak);
    let rate_per_shard = problems.optional_count("ratePerShard", *rate_per_shard);
    let partitions_initial = problems.optional_count("partitions.initial", initial);
    let partitions_max = problems.optional_count("partitions.max", max);
    Some(ScalingParts {
        min_shards: min_shards?,
        max_shards: max_shards?,
        warm_shards: warm_shards?,
        shards: shards?,
        lead_ms: lead_ms?,
        catch_up_target_ms: catch_up_target_ms?,
        utilization_percent: utilization_percent?,
        expected_peak: expected_peak?.map(|peak| Rate::per_second(peak.into())),
        rate_per_shard: rate_per_shard?
            .map_or_else(|| ScalingParts::default().rate_per_shard, |rate| Rate::per_second(rate.into())),
        partitions_initial: partitions_initial?,
        partitions_max: partitions_max?,
        hold: *hold,
    })
}

impl Problems {
    /// A number that counts something.
    fn count(&mut self, field: &str, number: i64) -> Option<u32> {
        let problem = |_| format!("must be 0 to {}, not {number}", u32::MAX);
        self.keep(format!("spec.scaling.{field}"), u32::try_from(number).map_err(problem))
    }

    /// As [`Self::count`], of a number that need not be stated.
    fn optional_count(&mut self, field: &str, number: Option<i64>) -> Option<Option<u32>> {
        match number {
            None => Some(None),
            Some(number) => self.count(field, number).map(Some),
        }
    }
}

//! A decision as one JSON document, for programs: what status says, to the letter, and what its words mean.

use pnyx_core::scaling::{Candidate, DataQuality, Limit, PartitionsLimit, ScalingPhase, ScalingSpec};
use serde_json::{Value, json};

use super::{decision::Decision, remedy};

/// What `--json` prints.
pub(super) fn document(decision: &Decision) -> Value {
    let Decision { namespace, name, scaling, age_s, is_spec_newer, learnt_lead, spec, conditions } = decision;
    let shards = Limit::named(&scaling.shards.limit);
    let partitions = PartitionsLimit::named(&scaling.partitions.limit);
    let candidates = scaling.candidates.iter().map(|candidate| {
        let known = Candidate::named(&candidate.name);
        let decided = known.is_some() && known == shards.and_then(Limit::candidate);
        json!({"name": candidate.name, "meaning": known.map(Candidate::meaning), "decided": decided})
    });
    json!({
        "namespace": namespace,
        "proposal": name,
        "ageSeconds": age_s,
        "isSpecNewer": is_spec_newer,
        "decision": scaling,
        "learntLead": learnt_lead,
        "meanings": {
            "phase": ScalingPhase::named(&scaling.phase).map(ScalingPhase::meaning),
            "data": DataQuality::named(&scaling.inputs.data).map(DataQuality::meaning),
            "shardsLimit": shards.map(Limit::meaning),
            "shardsRemedy": shards.map(remedy::of_shards),
            "partitionsLimit": partitions.map(PartitionsLimit::meaning),
            "partitionsRemedy": partitions.map(remedy::of_partitions),
            "candidates": candidates.collect::<Vec<_>>(),
        },
        "spec": spec.as_ref().ok().map(spec_of),
        "specProblem": spec.as_ref().err(),
        "conditions": conditions,
    })
}

fn spec_of(spec: &ScalingSpec) -> Value {
    json!({
        "minShards": spec.min_shards(),
        "warmShards": spec.warm_shards(),
        "maxShards": spec.max_shards(),
        "shards": spec.shards(),
        "leadMs": spec.lead_ms(),
        "catchUpTargetMs": spec.catch_up_target_ms(),
        "utilizationPercent": spec.utilization_percent(),
        "expectedPeakMilli": spec.expected_peak().map(|peak| peak.milli()),
        "ratePerShardMilli": spec.rate_per_shard().milli(),
        "partitionsInitial": spec.partitions_initial(),
        "partitionsMax": spec.partitions_max(),
        "hold": spec.hold(),
    })
}

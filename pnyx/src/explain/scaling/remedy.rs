//! What to change if one wants another number than the one that a limit gave.

use pnyx_core::scaling::{Limit, PartitionsLimit};

/// For what passes by itself.
const PASSES: &str = "It passes by itself. spec.scaling.shards would decide at once, instead of the plan.";

/// What to change for another number of shards.
pub(super) const fn of_shards(limit: Limit) -> &'static str {
    match limit {
        Limit::Drained => "Nothing is to be changed: no shards are needed any more.",
        Limit::Idle => "spec.scaling.minShards gives more before the lead, and a longer lead an earlier start.",
        Limit::Floor => "spec.scaling.warmShards is the least from the lead until all is verified.",
        Limit::Peak => "A lower spec.scaling.expectedPeak prepares for less.",
        Limit::Arrivals => "A lower spec.scaling.utilization asks for more shards, a higher one for fewer.",
        Limit::Backlog => "A shorter spec.scaling.catchUpTarget asks for more shards, a longer one for fewer.",
        Limit::FullestPartition => {
            "More spec.scaling.partitions leave less in each. A longer spec.scaling.catchUpTarget asks for fewer shards."
        }
        Limit::MaxShards => "A higher spec.scaling.maxShards allows more.",
        Limit::Partitions => {
            "A higher spec.scaling.partitions.max allows more. None are added in the last minutes of a window."
        }
        Limit::Unconfirmed => "A minute settles it. A lower spec.scaling.utilization keeps more room for such rises.",
        Limit::ExternalScaler => {
            "kubectl get deployment --show-managed-fields says who owns spec.replicas; once it is given up the plan decides."
        }
        Limit::Stated => "Without spec.scaling.shards the plan decides.",
        Limit::UnknownDrain => "Not the spec: the log has to be read again. The condition ScalingDataFresh says more.",
        Limit::Hold => "Without spec.scaling.hold what is not needed is given back.",
        Limit::UnknownData => {
            "Not the spec: the log has to be sampled again. The condition ScalingDataFresh says more."
        }
        Limit::JustStarted
        | Limit::JustFresh
        | Limit::Warming
        | Limit::Closing
        | Limit::Draining
        | Limit::Rebalance
        | Limit::Stabilizing
        | Limit::Room
        | Limit::Little => PASSES,
    }
}

/// What to change for another number of partitions.
pub(super) const fn of_partitions(limit: PartitionsLimit) -> &'static str {
    match limit {
        PartitionsLimit::Created | PartitionsLimit::Enough => {
            "A higher spec.scaling.partitions.initial gives more. They are never taken away."
        }
        PartitionsLimit::Grown => "spec.scaling.partitions.max is the most. They are never taken away.",
        PartitionsLimit::NearClose => "Next time, begin with more: spec.scaling.partitions.initial.",
        PartitionsLimit::Closed => "Nothing is to be changed: what is in the log stays in its partition.",
    }
}

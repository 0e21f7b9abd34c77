//! Where pods run: as the platform says, else spread over nodes and zones where that can be.

use k8s_openapi::api::core::v1::{PodSpec, TopologySpreadConstraint};

use super::{
    part::Part,
    pod::{some, some_map},
};

/// Over what pods spread unless they are told otherwise.
const SPREAD_OVER: [&str; 2] = ["kubernetes.io/hostname", "topology.kubernetes.io/zone"];

/// A pod that is placed, and nothing else.
pub(super) fn placed(part: &Part<'_>) -> PodSpec {
    let workload = part.workload();
    let given = workload.topology_spread_constraints.clone();
    let constraints = if given.is_empty() { SPREAD_OVER.map(|key| spread(part, key)).to_vec() } else { given };
    PodSpec {
        node_selector: some_map(&workload.node_selector),
        tolerations: some(workload.tolerations.clone()),
        affinity: workload.affinity.clone(),
        topology_spread_constraints: some(constraints),
        priority_class_name: workload.priority_class_name.clone(),
        ..PodSpec::default()
    }
}

/// Where it cannot be, pods run all the same.
fn spread(part: &Part<'_>, key: &str) -> TopologySpreadConstraint {
    TopologySpreadConstraint {
        max_skew: 1,
        topology_key: key.to_owned(),
        when_unsatisfiable: "ScheduleAnyway".to_owned(),
        label_selector: Some(part.selector()),
        ..TopologySpreadConstraint::default()
    }
}

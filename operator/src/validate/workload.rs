//! How pods run: how many, with what, and where.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Affinity, ResourceRequirements, Toleration, TopologySpreadConstraint};
use pnyx_crds::{ReplicasSpec, WorkloadSpec};

use super::problems::{Problems, number};

/// How pods run.
#[derive(Debug, Clone, PartialEq)]
pub struct Workload {
    /// What each container is given; `None` is as its builder chooses.
    pub resources: Option<ResourceRequirements>,
    /// Labels of nodes that they may run on.
    pub node_selector: BTreeMap<String, String>,
    /// Taints of nodes that they put up with.
    pub tolerations: Vec<Toleration>,
    /// Affinity; `None` is none.
    pub affinity: Option<Affinity>,
    /// How they spread; empty is over nodes and zones where that can be.
    pub topology_spread_constraints: Vec<TopologySpreadConstraint>,
    /// How much they matter; `None` is as the cluster has it.
    pub priority_class_name: Option<String>,
    /// Further labels.
    pub labels: BTreeMap<String, String>,
    /// Further annotations.
    pub annotations: BTreeMap<String, String>,
}

/// How many there are: at least one, and the least is at most the most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replicas {
    min: i32,
    max: i32,
}

impl Replicas {
    /// Within bounds.
    fn new(min: i32, max: i32) -> Result<Self, String> {
        if (1..=max).contains(&min) { Ok(Self { min, max }) } else { Err("min must be 1 to max".to_owned()) }
    }

    /// Least.
    pub const fn min(self) -> i32 {
        self.min
    }

    /// Least, as a count.
    pub fn least(self) -> u32 {
        u32::try_from(self.min).unwrap_or(0)
    }

    /// Most, as a count.
    pub fn most(self) -> u32 {
        u32::try_from(self.max).unwrap_or(0)
    }

    /// What is wanted, or the nearest that is allowed.
    pub fn clamp(self, wanted: i32) -> i32 {
        wanted.clamp(self.min, self.max)
    }
}

/// Reads `spec.<name>`.
pub(super) fn workload(name: &str, spec: &WorkloadSpec, problems: &mut Problems) -> Option<Workload> {
    let affinity = problems.keep_below(format_args!("spec.{name}"), spec.affinity());
    let spread = problems.keep_below(format_args!("spec.{name}"), spec.topology_spread_constraints());
    Some(Workload {
        resources: spec.resources.clone(),
        node_selector: spec.node_selector.clone(),
        tolerations: spec.tolerations.clone(),
        affinity: affinity?,
        topology_spread_constraints: spread?,
        priority_class_name: spec.priority_class_name.clone(),
        labels: spec.pod_labels.clone(),
        annotations: spec.pod_annotations.clone(),
    })
}

/// Reads `spec.<name>.replicas`.
pub(super) fn replicas(name: &str, spec: &WorkloadSpec, problems: &mut Problems) -> Option<Replicas> {
    let ReplicasSpec { min, max } = spec.replicas.clone().unwrap_or_default();
    let read = number(min).and_then(|min| Replicas::new(min, number(max)?));
    problems.keep(format_args!("spec.{name}.replicas"), read)
}

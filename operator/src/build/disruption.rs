//! How many pods may be taken away at once: one, however many there are. A bound from below would hold up a node's drain
//! for ever where there is only one.

use k8s_openapi::{
    api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec},
    apimachinery::pkg::util::intstr::IntOrString,
};

use super::part::Part;

/// The budget of a part.
pub(super) fn budget(part: &Part<'_>) -> PodDisruptionBudget {
    let spec = PodDisruptionBudgetSpec {
        max_unavailable: Some(IntOrString::Int(1)),
        selector: Some(part.selector()),
        // A pod that is not ready serves nobody, so nothing is lost by moving it.
        unhealthy_pod_eviction_policy: Some("AlwaysAllow".to_owned()),
        ..PodDisruptionBudgetSpec::default()
    };
    PodDisruptionBudget { metadata: part.metadata(), spec: Some(spec), ..PodDisruptionBudget::default() }
}

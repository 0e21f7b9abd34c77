//! Lanes and the read API.

use k8s_openapi::api::apps::v1::Deployment;

use super::{deployment::deployment, part::Part};

/// The tally's pods.
pub(super) fn tally(part: &Part<'_>, replicas: i32) -> Deployment {
    deployment(part, &["tally"], part.platform.tally_replicas.clamp(replicas))
}

//! The edge.

use k8s_openapi::api::apps::v1::Deployment;

use super::{deployment::deployment, part::Part};

/// The edge's pods.
pub(super) fn ingest(part: &Part<'_>, replicas: i32) -> Deployment {
    deployment(part, &["ingest"], part.platform.ingest_replicas.clamp(replicas))
}

//! Shards of one proposal.

use k8s_openapi::api::apps::v1::Deployment;
use pnyx_core::id::ProposalId;

use super::{deployment::deployment, part::Part};

/// A proposal's verifiers: nothing but this proposal concerns them, and there may be none of them.
pub(super) fn verifier(part: &Part<'_>, id: ProposalId, shards: i32) -> Deployment {
    deployment(part, &["verifier", "--proposal", &id.to_string()], shards.max(0))
}

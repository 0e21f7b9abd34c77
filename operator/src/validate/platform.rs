//! Whether a platform can be run.

use pnyx_crds::{GovernancePlatform, conditions::reasons};

use super::Refusal;
use crate::observe::MissingSecrets;

/// A platform that can be run.
#[derive(Debug, Clone, PartialEq)]
pub struct ValidatedPlatform {
    resource: GovernancePlatform,
}

impl ValidatedPlatform {
    /// As it stands in the API.
    pub fn resource(&self) -> &GovernancePlatform {
        &self.resource
    }
}

/// Checks a platform. Nothing is held against it while its Secrets cannot be read.
///
/// # Errors
/// What is wrong with it, or what is missing.
pub fn platform(resource: GovernancePlatform, secrets: Option<&MissingSecrets>) -> Result<ValidatedPlatform, Refusal> {
    let spec = &resource.spec;
    let workloads =
        [("ingest", &spec.ingest), ("tally", &spec.tally), ("verifier", &spec.verifier), ("recount", &spec.recount)];
    let mut problems = Vec::new();
    for (name, workload) in workloads {
        let affinity = workload.affinity().map(|_| ());
        let spread = workload.topology_spread_constraints().map(|_| ());
        problems.extend([affinity, spread].into_iter().filter_map(Result::err).map(|e| format!("spec.{name}.{e}")));
    }
    if !problems.is_empty() {
        return Err(Refusal::new(reasons::INVALID, problems.join("; ")));
    }
    match secrets {
        Some(missing) if !missing.is_empty() => Err(Refusal::new(reasons::SECRET_NOT_FOUND, missing.join("; "))),
        Some(_) | None => Ok(ValidatedPlatform { resource }),
    }
}

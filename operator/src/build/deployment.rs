//! Pods that run until they are no longer wanted.

use k8s_openapi::{
    api::apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment},
    apimachinery::pkg::util::intstr::IntOrString,
};

use super::{
    configuration::FILE,
    files::FOLDER,
    part::Part,
    pod::{self, Restart},
};

/// Older versions that are kept, to be looked at.
const REVISIONS_KEPT: i32 = 2;

/// What of a rollout starts at once, so that hundreds of shards do not start one by one.
const SURGE: &str = "25%";

/// The Deployment of a part, with what stands behind `pnyx` beside configuration and address.
pub(super) fn deployment(part: &Part<'_>, arguments: &[&str], replicas: i32) -> Deployment {
    let arguments = arguments.iter().map(|&argument| argument.to_owned());
    let arguments = arguments.chain(configuration_argument()).chain(listen_argument(part)).collect();
    // A new pod is ready before an old one goes: nobody waits for a rollout.
    let rolling = RollingUpdateDeployment {
        max_unavailable: Some(IntOrString::Int(0)),
        max_surge: Some(IntOrString::String(SURGE.to_owned())),
    };
    let strategy = DeploymentStrategy { type_: Some("RollingUpdate".to_owned()), rolling_update: Some(rolling) };
    let spec = DeploymentSpec {
        replicas: Some(replicas),
        revision_history_limit: Some(REVISIONS_KEPT),
        selector: part.selector(),
        strategy: Some(strategy),
        template: pod::template(part, arguments, Restart::Always),
        ..DeploymentSpec::default()
    };
    Deployment { metadata: part.metadata(), spec, ..Deployment::default() }
}

/// The configuration file, as every process takes it.
pub(super) fn configuration_argument() -> [String; 2] {
    ["--config".to_owned(), format!("{FOLDER}/{FILE}")]
}

fn listen_argument(part: &Part<'_>) -> impl Iterator<Item = String> {
    let words = part.component.port().map(|port| ["--listen".to_owned(), format!("0.0.0.0:{port}")]);
    words.into_iter().flatten()
}

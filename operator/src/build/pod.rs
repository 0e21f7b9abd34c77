//! A pod of any part: restricted in what it may do, placed as the platform says, ended in its own time.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{LocalObjectReference, PodSecurityContext, PodSpec, PodTemplateSpec, SeccompProfile},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};

use super::{archives, configuration, container, files, part::Part, placement};

/// What the port is called.
pub(super) const PORT_NAME: &str = "http";

/// How long a pod may take to end; what the process itself takes is below it.
pub(super) const TERMINATION_GRACE_PERIOD_S: i64 = 30;

/// The annotation by which pods are made anew when the configuration changes.
pub const CONFIGURATION_ANNOTATION: &str = "pnyx.dev/configuration";

/// Nobody in particular, as images without users have it.
const USER: i64 = 65_532;

/// What becomes of a pod whose process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Restart {
    /// It is started again.
    Always,
    /// The Job looks at how it ended.
    Never,
}

/// The pods of a part, with what stands behind `pnyx`.
pub(super) fn template(part: &Part<'_>, arguments: Vec<String>, restart: Restart) -> PodTemplateSpec {
    let workload = part.workload();
    // Ours count more than the user's: the operator finds its pods by them.
    let mut labels = workload.labels.clone();
    labels.extend(part.labels());
    let mut annotations = workload.annotations.clone();
    annotations.insert(CONFIGURATION_ANNOTATION.to_owned(), configuration::hash(part.platform));
    let metadata = ObjectMeta { labels: Some(labels), annotations: Some(annotations), ..ObjectMeta::default() };
    let pull_secret = |name: &String| LocalObjectReference { name: name.clone() };
    let pull_secrets: Vec<_> = part.platform.image.pull_secrets.iter().map(pull_secret).collect();
    let spec = PodSpec {
        service_account_name: Some(part.name()),
        automount_service_account_token: Some(false),
        // Variables named after Services could be taken for settings, and there are hundreds of them.
        enable_service_links: Some(false),
        security_context: Some(security_context()),
        containers: vec![container::container(part, arguments)],
        volumes: Some([files::volume(part)].into_iter().chain(archives::volume(part)).collect()),
        restart_policy: Some(match restart {
            Restart::Always => "Always".to_owned(),
            Restart::Never => "Never".to_owned(),
        }),
        termination_grace_period_seconds: Some(TERMINATION_GRACE_PERIOD_S),
        image_pull_secrets: some(pull_secrets),
        ..placement::placed(part)
    };
    PodTemplateSpec { metadata: Some(metadata), spec: Some(spec) }
}

/// The namespace may enforce `restricted`.
fn security_context() -> PodSecurityContext {
    PodSecurityContext {
        run_as_non_root: Some(true),
        run_as_user: Some(USER),
        run_as_group: Some(USER),
        fs_group: Some(USER),
        seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".to_owned(), ..SeccompProfile::default() }),
        ..PodSecurityContext::default()
    }
}

/// A list that says nothing is left out, so that nobody owns it.
pub(super) fn some<T>(items: Vec<T>) -> Option<Vec<T>> {
    (!items.is_empty()).then_some(items)
}

/// As [`some`].
pub(super) fn some_map(map: &BTreeMap<String, String>) -> Option<BTreeMap<String, String>> {
    (!map.is_empty()).then(|| map.clone())
}

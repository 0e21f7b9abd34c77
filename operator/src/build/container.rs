//! The one container of a pod: the program, what it is given, and how one sees whether it lives.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{
        Capabilities, Container, ContainerPort, EnvVar, HTTPGetAction, Probe, ResourceRequirements, SecurityContext,
        VolumeMount,
    },
    apimachinery::pkg::{api::resource::Quantity, util::intstr::IntOrString},
};
use pnyx_crds::PullPolicy;

use super::{
    archives,
    files::{FOLDER, VOLUME},
    part::Part,
    pod::PORT_NAME,
    secrets,
};

/// What a container asks for unless it is told otherwise: little, but a pod that asks for nothing is the first to go when
/// a node runs out of memory.
const REQUESTS_DEFAULT: [(&str, &str); 2] = [("cpu", "100m"), ("memory", "128Mi")];

/// How often it is asked whether a pod is ready: a shard that is warm shall count soon.
const READINESS_PERIOD_S: i32 = 2;

/// How often it is asked whether a process lives, and how often it may not answer in a row before it is started again:
/// half a minute, which no process under load is silent for.
const LIVENESS_PERIOD_S: i32 = 10;
const LIVENESS_FAILURES: i32 = 3;

/// How long an answer may take, on a node that is busy.
const PROBE_TIMEOUT_S: i32 = 5;

/// The container. The image's entry point is the program, so only arguments are named.
pub(super) fn container(part: &Part<'_>, arguments: Vec<String>) -> Container {
    let port = part.component.port();
    let image = &part.platform.image;
    Container {
        name: part.component.word().to_owned(),
        image: Some(image.reference.clone()),
        image_pull_policy: Some(match image.pull_policy {
            PullPolicy::Always => "Always".to_owned(),
            PullPolicy::IfNotPresent => "IfNotPresent".to_owned(),
            PullPolicy::Never => "Never".to_owned(),
        }),
        args: Some(arguments),
        env: Some(environment(part)),
        ports: port.map(|port| vec![container_port(port)]),
        resources: Some(part.workload().resources.clone().unwrap_or_else(resources)),
        security_context: Some(security_context()),
        liveness_probe: port.map(|_| probe("/livez", LIVENESS_PERIOD_S, LIVENESS_FAILURES)),
        readiness_probe: port.map(|_| probe("/readyz", READINESS_PERIOD_S, 1)),
        volume_mounts: Some([files_mount()].into_iter().chain(archives::mount(part)).collect()),
        ..Container::default()
    }
}

fn files_mount() -> VolumeMount {
    VolumeMount {
        name: VOLUME.to_owned(),
        mount_path: FOLDER.to_owned(),
        read_only: Some(true),
        ..VolumeMount::default()
    }
}

fn environment(part: &Part<'_>) -> Vec<EnvVar> {
    let (name, value) = ("PNYX_LOG_FORMAT".to_owned(), Some("json".to_owned()));
    let mut environment = vec![EnvVar { name, value, ..EnvVar::default() }];
    environment.extend(secrets::environment(part));
    environment
}

fn container_port(port: i32) -> ContainerPort {
    let (name, protocol) = (Some(PORT_NAME.to_owned()), Some("TCP".to_owned()));
    ContainerPort { name, container_port: port, protocol, ..ContainerPort::default() }
}

fn resources() -> ResourceRequirements {
    let requests = REQUESTS_DEFAULT.map(|(name, quantity)| (name.to_owned(), Quantity(quantity.to_owned())));
    ResourceRequirements { requests: Some(BTreeMap::from(requests)), ..ResourceRequirements::default() }
}

fn security_context() -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        read_only_root_filesystem: Some(true),
        capabilities: Some(Capabilities { drop: Some(vec!["ALL".to_owned()]), add: None }),
        ..SecurityContext::default()
    }
}

fn probe(path: &str, period_s: i32, failures: i32) -> Probe {
    let (path, port) = (Some(path.to_owned()), IntOrString::String(PORT_NAME.to_owned()));
    Probe {
        http_get: Some(HTTPGetAction { path, port, ..HTTPGetAction::default() }),
        period_seconds: Some(period_s),
        failure_threshold: Some(failures),
        timeout_seconds: Some(PROBE_TIMEOUT_S),
        ..Probe::default()
    }
}

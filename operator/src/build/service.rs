//! A name in front of pods that answer others.

use k8s_openapi::{
    api::core::v1::{Service, ServicePort, ServiceSpec},
    apimachinery::pkg::util::intstr::IntOrString,
};

use super::{part::Part, pod::PORT_NAME};

/// Where a Service listens: what a URL means that names no port.
const PORT: i32 = 80;

/// The Service of a part.
pub(super) fn service(part: &Part<'_>) -> Service {
    let port = ServicePort {
        name: Some(PORT_NAME.to_owned()),
        port: PORT,
        target_port: Some(IntOrString::String(PORT_NAME.to_owned())),
        protocol: Some("TCP".to_owned()),
        app_protocol: Some("http".to_owned()),
        ..ServicePort::default()
    };
    let spec = ServiceSpec {
        type_: Some("ClusterIP".to_owned()),
        selector: Some(part.selected()),
        ports: Some(vec![port]),
        ..ServiceSpec::default()
    };
    Service { metadata: part.metadata(), spec: Some(spec), ..Service::default() }
}

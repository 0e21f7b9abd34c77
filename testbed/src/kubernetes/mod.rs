//! Kubernetes: a real control plane, fake nodes, and the programs that check charts.
//!
//! A [`ControlPlane`] is etcd and kube-apiserver, and on request kube-controller-manager and kube-scheduler, as processes
//! on the loopback interface. It accepts and keeps every resource as a cluster does; [`FakeNodes`] make pods Ready that
//! run nowhere, and a [`Node`] runs them. All programs are one binary, built once from Go modules by [`prepare`].

mod audit;
mod command;
mod control_plane;
mod credentials;
mod definitions;
mod fake_nodes;
mod flags;
mod image;
mod node;
mod options;
mod part;
mod prepare;
mod rights;
mod tools;

pub(crate) use flags::Place;

pub use audit::AuditEvent;
pub use control_plane::ControlPlane;
pub use definitions::Definitions;
pub use fake_nodes::FakeNodes;
pub use image::Image;
pub use node::{Node, NodePart};
pub use options::ControlPlaneOptions;
pub use part::Part;
pub use rights::Right;
pub use tools::Tool;

use crate::TestbedError;

/// Makes everything that tests on Kubernetes need, unless it is there: the first time this takes about ten minutes.
///
/// # Errors
/// Go or Python is missing, a module cannot be had, or the cache cannot be used.
pub fn prepare() -> Result<(), TestbedError> {
    prepare::prepared()?;
    Tool::ALL.into_iter().try_for_each(|tool| tool.prepared().map(|_| ()))?;
    Definitions::ALL.into_iter().try_for_each(|definitions| definitions.yaml().map(|_| ()))
}

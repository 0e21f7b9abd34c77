//! Nodes that exist in the API alone: kwok says that they live and that their pods are Ready.

use std::process::Command;

use serde_json::json;

use super::{ControlPlane, command, part::Runner};
use crate::{TestbedError, cache};

/// How long a sign of life holds; it is renewed after a quarter of that.
const LEASE_S: u32 = 40;

/// The same where a node counts as dead after 6 s.
const QUICK_LEASE_S: u32 = 8;

/// The label by which a group's nodes are known.
const GROUP_LABEL: &str = "testbed.pnyx/group";

/// Groups beyond this would need further addresses for their pods.
const GROUPS_MAX: u32 = 64;

/// A group of fake nodes. Dropping it leaves them without a sign of life, so that they count as dead after a while.
///
/// Pods that get onto them are Ready at once, those of Jobs complete at once, and nothing of them runs anywhere.
#[derive(Debug)]
pub struct FakeNodes {
    names: Vec<String>,
    kwok: Runner,
}

impl FakeNodes {
    /// Adds so many nodes, called `GROUP-1` and so on, in three zones, and waits until they are Ready.
    ///
    /// # Errors
    /// A node is refused, or one is not Ready in time.
    ///
    /// # Panics
    /// There are 64 groups already.
    pub fn start(control_plane: &ControlPlane, group: &str, count: usize) -> Result<Self, TestbedError> {
        let index = control_plane.next_group();
        assert!(index < GROUPS_MAX, "a control plane has 64 groups of fake nodes at most");
        let folder = control_plane.folder();
        let stages = folder.join("stages.yaml");
        let print = command::output(&mut Command::new(control_plane.programs().join("kwok-stages")), None)?;
        cache::write(&stages, &print)?;
        let lease_s = if control_plane.has_quick_node_deaths() { QUICK_LEASE_S } else { LEASE_S };
        let mut line = control_plane.place().command(&control_plane.programs().join("kwok"));
        line.arg("--config").arg(&stages).arg("--kubeconfig").arg(control_plane.kubeconfig_of("fake-nodes"));
        line.arg(format!("--manage-nodes-with-label-selector={GROUP_LABEL}={group}"));
        line.arg(format!("--cidr=10.{}.0.0/16", 128 + index)).arg("--node-ip=10.250.9.9");
        line.arg(format!("--node-lease-duration-seconds={lease_s}"));
        line.env("HOME", folder.join("home")).current_dir(folder);
        let kwok = Runner::new("kwok", line, folder.join(format!("kwok-{group}.log")));
        let names: Vec<String> = (1..=count).map(|number| format!("{group}-{number}")).collect();
        let nodes: Vec<_> = names.iter().enumerate().map(|(index, name)| node(name, group, index)).collect();
        control_plane.apply(&json!({"apiVersion": "v1", "kind": "List", "items": nodes}).to_string())?;
        let nodes = Self { names, kwok };
        nodes.kwok.start()?;
        let selector = format!("{GROUP_LABEL}={group}");
        control_plane.kubectl(&["wait", "--for=condition=Ready", "node", "-l", &selector, "--timeout=120s"])?;
        Ok(nodes)
    }

    /// The names of the nodes.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Leaves the nodes without a sign of life: they count as dead once their last one is too old.
    ///
    /// # Errors
    /// The system does not let us.
    pub fn kill(&self) -> Result<(), TestbedError> {
        self.kwok.kill()
    }

    /// Lets the nodes live again.
    ///
    /// # Errors
    /// kwok cannot be started.
    pub fn revive(&self) -> Result<(), TestbedError> {
        self.kwok.start()
    }
}

fn node(name: &str, group: &str, index: usize) -> serde_json::Value {
    let resources = json!({"cpu": "32", "memory": "256Gi", "pods": "110"});
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {
                (GROUP_LABEL): group,
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
                "kubernetes.io/arch": "amd64",
                "topology.kubernetes.io/zone": format!("zone-{}", index % 3),
            },
        },
        "status": {"allocatable": &resources, "capacity": &resources},
    })
}

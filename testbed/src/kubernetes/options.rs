//! What a test may ask of its control plane.

use super::Part;

/// How much of a control plane, and who may come in.
#[derive(Debug, Clone, Default)]
pub struct ControlPlaneOptions {
    pub(super) has_controllers: bool,
    pub(super) has_scheduler: bool,
    pub(super) has_quick_node_deaths: bool,
    pub(super) is_durable: bool,
    pub(super) users: Vec<User>,
    pub(super) flags: Vec<(Part, String)>,
}

/// Somebody whom the API server knows by a token.
#[derive(Debug, Clone)]
pub(super) struct User {
    pub(super) name: String,
    pub(super) groups: Vec<String>,
}

impl ControlPlaneOptions {
    /// etcd and the API server alone: resources are checked and kept, and nothing acts on them.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// With kube-controller-manager: Deployments make pods, owners that go take along what is theirs, namespaces end.
    #[must_use]
    pub fn controllers(self) -> Self {
        Self { has_controllers: true, ..self }
    }

    /// With kube-scheduler, so that pods get nodes.
    #[must_use]
    pub fn scheduler(self) -> Self {
        Self { has_scheduler: true, ..self }
    }

    /// A node counts as dead after 6 s without a sign instead of 50.
    #[must_use]
    pub fn quick_node_deaths(self) -> Self {
        Self { has_quick_node_deaths: true, ..self }
    }

    /// What is acknowledged is on the disk. Without it a killed process loses nothing either, only a dead machine does.
    #[must_use]
    pub fn durable(self) -> Self {
        Self { is_durable: true, ..self }
    }

    /// Somebody without any right but those that a test gives.
    #[must_use]
    pub fn user(self, name: &str, groups: &[&str]) -> Self {
        let user = User { name: name.to_owned(), groups: groups.iter().map(|&group| group.to_owned()).collect() };
        Self { users: [self.users, vec![user]].concat(), ..self }
    }

    /// A further flag of one part, such as `--feature-gates=…`.
    #[must_use]
    pub fn flag(self, part: Part, flag: &str) -> Self {
        Self { flags: [self.flags, vec![(part, flag.to_owned())]].concat(), ..self }
    }
}

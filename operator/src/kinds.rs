//! Which kinds of objects the operator knows.

use k8s_openapi::api::{
    apps::v1::Deployment,
    batch::v1::Job,
    core::v1::{ConfigMap, Service, ServiceAccount},
    networking::v1::NetworkPolicy,
    policy::v1::PodDisruptionBudget,
};
use kube::core::ApiResource;

/// The group of our own resources.
pub(crate) const GROUP: &str = "pnyx.dev";

/// Their version.
const VERSION: &str = "v1alpha1";

/// Our own resources: what people write and the operator reconciles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Primary {
    /// `GovernancePlatform`. First, because proposals wait for theirs.
    Platform,
    /// `GovernanceProposal`.
    Proposal,
}

impl Primary {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::Platform, Self::Proposal];

    /// The kind as resources name it.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Platform => "GovernancePlatform",
            Self::Proposal => "GovernanceProposal",
        }
    }

    /// As metrics and log lines name it.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Platform => "platform",
            Self::Proposal => "proposal",
        }
    }

    const fn plural(self) -> &'static str {
        match self {
            Self::Platform => "governanceplatforms",
            Self::Proposal => "governanceproposals",
        }
    }

    /// Where the API server has it.
    pub fn resource(self) -> ApiResource {
        ApiResource {
            group: GROUP.to_owned(),
            version: VERSION.to_owned(),
            api_version: format!("{GROUP}/{VERSION}"),
            kind: self.kind().to_owned(),
            plural: self.plural().to_owned(),
        }
    }
}

/// What the operator makes for them. Orphans are looked for among these and nowhere else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChildKind {
    /// Who pods run as.
    ServiceAccount,
    /// What pods read.
    ConfigMap,
    /// Who may speak with whom. Before the pods, so that none runs without it.
    NetworkPolicy,
    /// A name in front of pods.
    Service,
    /// How many pods may be taken away at once.
    PodDisruptionBudget,
    /// Pods that run until they are no longer wanted.
    Deployment,
    /// Pods that run once.
    Job,
}

impl ChildKind {
    /// All of them, in the order in which they are applied: what pods need stands before pods.
    pub const ALL: [Self; 7] = [
        Self::ServiceAccount,
        Self::ConfigMap,
        Self::NetworkPolicy,
        Self::Service,
        Self::PodDisruptionBudget,
        Self::Deployment,
        Self::Job,
    ];

    /// The kind as resources name it.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::ServiceAccount => "ServiceAccount",
            Self::ConfigMap => "ConfigMap",
            Self::NetworkPolicy => "NetworkPolicy",
            Self::Service => "Service",
            Self::PodDisruptionBudget => "PodDisruptionBudget",
            Self::Deployment => "Deployment",
            Self::Job => "Job",
        }
    }

    /// Where the API server has it.
    pub fn resource(self) -> ApiResource {
        match self {
            Self::ServiceAccount => ApiResource::erase::<ServiceAccount>(&()),
            Self::ConfigMap => ApiResource::erase::<ConfigMap>(&()),
            Self::NetworkPolicy => ApiResource::erase::<NetworkPolicy>(&()),
            Self::Service => ApiResource::erase::<Service>(&()),
            Self::PodDisruptionBudget => ApiResource::erase::<PodDisruptionBudget>(&()),
            Self::Deployment => ApiResource::erase::<Deployment>(&()),
            Self::Job => ApiResource::erase::<Job>(&()),
        }
    }
}

/// Namespace and name of an object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey {
    /// Where it is.
    pub namespace: String,
    /// What it is called there.
    pub name: String,
}

impl ObjectKey {
    /// From both parts.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

impl std::fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// One of our own resources: what the work queue is keyed by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Which of the two.
    pub primary: Primary,
    /// Which one.
    pub object: ObjectKey,
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.primary.label(), self.object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_ones_of_the_api() {
        for kind in ChildKind::ALL {
            assert_eq!(kind.resource().kind, kind.kind());
        }
        use kube::Resource as _;
        let proposal = ApiResource::erase::<pnyx_crds::GovernanceProposal>(&());
        assert_eq!(Primary::Proposal.resource(), proposal);
        assert_eq!(pnyx_crds::GovernanceProposal::kind(&()), Primary::Proposal.kind());
    }
}

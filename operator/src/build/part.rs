//! A part of a platform: one kind of pods, with its names, labels and ports.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use pnyx_core::{id::ProposalId, proposal::Proposal};

use super::{component::Component, names};
use crate::{
    plan::{COMPONENT_LABEL, MANAGED_BY, MANAGED_BY_LABEL},
    validate::{PlatformParts, ValidatedProposal, Workload},
};

/// The label that says whose program it is, and what it says.
const NAME_LABEL: (&str, &str) = ("app.kubernetes.io/name", "pnyx");

/// The label that says of which platform.
const INSTANCE_LABEL: &str = "app.kubernetes.io/instance";

/// The label that says of which proposal.
pub const PROPOSAL_LABEL: &str = "pnyx.dev/proposal";

/// One kind of pods of one platform, or of one proposal on it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part<'a> {
    pub(super) component: Component,
    pub(super) platform: &'a PlatformParts,
    proposal: Option<&'a Proposal>,
}

impl<'a> Part<'a> {
    /// Of a platform.
    pub(super) fn of_platform(component: Component, platform: &'a PlatformParts) -> Self {
        Self { component, platform, proposal: None }
    }

    /// Of a proposal.
    pub(super) fn of_proposal(component: Component, proposal: &'a ValidatedProposal) -> Self {
        Self { component, platform: proposal.platform().parts(), proposal: Some(proposal.proposal()) }
    }

    /// What all its objects are called.
    pub(super) fn name(&self) -> String {
        names::child_name(self.proposal_name().unwrap_or(&self.platform.name), self.component.word())
    }

    /// Of which proposal it is, if it is of one.
    pub(super) fn proposal_id(&self) -> Option<ProposalId> {
        self.proposal.map(Proposal::id)
    }

    fn proposal_name(&self) -> Option<&'a str> {
        self.proposal.map(|proposal| proposal.parts().name.as_str())
    }

    /// How its pods run.
    pub(super) fn workload(&self) -> &'a Workload {
        match self.component {
            Component::Ingest => &self.platform.ingest,
            Component::Tally => &self.platform.tally,
            Component::Verifier => &self.platform.verifier,
            Component::Recount | Component::Pin | Component::Trial => &self.platform.recount,
        }
    }

    /// What an object of it begins with.
    pub(super) fn metadata(&self) -> ObjectMeta {
        metadata(self.platform, self.name(), self.labels())
    }

    /// By which its pods are found. Nothing else has all of these, and none of them ever changes.
    pub(super) fn selector(&self) -> LabelSelector {
        LabelSelector { match_labels: Some(self.selected()), ..LabelSelector::default() }
    }

    /// As [`Self::selector`], for a Service.
    pub(super) fn selected(&self) -> BTreeMap<String, String> {
        let mut labels = platform_labels(self.platform);
        labels.insert(COMPONENT_LABEL.to_owned(), self.component.word().to_owned());
        labels.extend(self.proposal_name().map(|name| (PROPOSAL_LABEL.to_owned(), names::label_value(name))));
        labels
    }

    /// What its objects are labelled with.
    pub(super) fn labels(&self) -> BTreeMap<String, String> {
        let mut labels = self.selected();
        labels.insert(MANAGED_BY_LABEL.to_owned(), MANAGED_BY.to_owned());
        labels
    }
}

/// What every object of a platform is labelled with.
fn platform_labels(platform: &PlatformParts) -> BTreeMap<String, String> {
    let (name, program) = NAME_LABEL;
    let instance = names::label_value(&platform.name);
    BTreeMap::from([(name.to_owned(), program.to_owned()), (INSTANCE_LABEL.to_owned(), instance)])
}

/// What an object that belongs to a whole platform begins with.
pub(super) fn platform_metadata(platform: &PlatformParts, suffix: &'static str) -> ObjectMeta {
    let mut labels = platform_labels(platform);
    labels.insert(COMPONENT_LABEL.to_owned(), suffix.to_owned());
    labels.insert(MANAGED_BY_LABEL.to_owned(), MANAGED_BY.to_owned());
    metadata(platform, names::child_name(&platform.name, suffix), labels)
}

fn metadata(platform: &PlatformParts, name: String, labels: BTreeMap<String, String>) -> ObjectMeta {
    let namespace = Some(platform.namespace.clone());
    ObjectMeta { name: Some(name), namespace, labels: Some(labels), ..ObjectMeta::default() }
}

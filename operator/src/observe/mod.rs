//! What is there, as plain data: all that a plan is made from, and nothing of where it came from.

mod books;
mod brief;
mod secrets;
mod standings;
mod topics;

pub(crate) use books::BookWriter;
pub use books::Books;
pub(crate) use books::Decided;
pub use brief::ProposalBrief;
pub(crate) use secrets::missing;
pub use secrets::{MissingSecrets, log_secret_references, secret_references};
pub use standings::{Standing, Standings};
pub use topics::TopicsSeen;

use std::{collections::BTreeMap, sync::Arc};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::core::DynamicObject;
use pnyx_core::{decisions::DecisionBook, id::ProposalId};
use pnyx_crds::{
    GovernancePlatform, GovernanceProposal, GovernanceProposalStatus,
    conditions::{proposal::ACCEPTED, reasons},
};
use serde::de::DeserializeOwned;

use crate::{
    kinds::{ChildKind, Key, ObjectKey, Primary},
    log::LogState,
    plan::{OWNER_LABEL, Owner},
    status,
    watch::Cache,
};

/// The children of a resource, as they are.
pub type LiveChildren = Vec<(ChildKind, Arc<DynamicObject>)>;

/// A resource of ours that could be read.
#[derive(Debug, Clone)]
pub struct Seen<K> {
    /// Whose children are looked for.
    pub owner: Owner,
    /// As it stands in the API.
    pub resource: K,
    /// Which generation of its spec this is.
    pub generation: Option<i64>,
    /// What its status says now.
    pub conditions: Vec<Condition>,
    /// Whether it is being deleted.
    pub is_deleted: bool,
}

/// What a plan of a platform is made from.
#[derive(Debug, Clone)]
pub struct PlatformObserved {
    /// The platform.
    pub seen: Seen<GovernancePlatform>,
    /// What it has.
    pub children: LiveChildren,
    /// The proposals that name it.
    pub proposals: Vec<ProposalBrief>,
    /// What is missing of the Secrets that it names; nothing is known of them if they could not be read.
    pub secrets: Option<MissingSecrets>,
    /// How its log is; nothing if nobody follows it.
    pub log: Option<LogState>,
}

/// What a plan of a proposal is made from.
#[derive(Debug, Clone)]
pub struct ProposalObserved {
    /// The proposal.
    pub seen: Seen<GovernanceProposal>,
    /// What it has.
    pub children: LiveChildren,
    /// Its platform.
    pub platform: PlatformSeen,
    /// The other proposals of the same platform, if that limits how many may be open and this one is not accepted: what its
    /// space may take is asked once.
    pub others: Vec<ProposalBrief>,
    /// What its status says; nothing where that cannot be read.
    pub before: Box<GovernanceProposalStatus>,
    /// What is decided in the log of its platform; nothing if that was not read.
    pub book: Option<Arc<DecisionBook>>,
    /// How the vote stands; nothing where the tally of its platform did not say it.
    pub standing: Option<Standing>,
}

impl ProposalObserved {
    /// Whether a condition of its platform is so.
    pub fn is_platform_true(&self, kind: &str) -> bool {
        let PlatformSeen::Found(platform) = &self.platform else { return false };
        platform.conditions.iter().any(|condition| condition.type_ == kind && condition.status == "True")
    }

    /// Whether it is left alone, because it or its platform says so.
    pub fn is_paused(&self) -> bool {
        let is_platform_paused = match &self.platform {
            PlatformSeen::Found(platform) => platform.resource.spec.paused,
            PlatformSeen::Missing | PlatformSeen::Unreadable => false,
        };
        self.seen.resource.spec.paused || is_platform_paused
    }

    /// Which id its status says.
    pub fn status_id(&self) -> Option<ProposalId> {
        self.before.proposal_id.as_ref()?.parse().ok()
    }

    /// Whether its definition may be recorded at any moment, so that what it binds cannot change any more.
    pub fn is_recording(&self) -> bool {
        let mut conditions = self.seen.conditions.iter();
        conditions.any(|condition| condition.type_ == ACCEPTED && condition.reason == reasons::RECORDING)
    }

    /// Which platform it names.
    pub fn platform_key(&self) -> ObjectKey {
        ObjectKey::new(&self.seen.owner.key().object.namespace, &self.seen.resource.spec.platform_ref.name)
    }
}

/// The platform of a proposal.
#[derive(Debug, Clone)]
pub enum PlatformSeen {
    /// There is none of that name.
    Missing,
    /// There is one that cannot be read.
    Unreadable,
    /// It is there.
    Found(Box<Seen<GovernancePlatform>>),
}

/// The caches of everything that is watched, the books of what is decided, and how votes stand. Clones share them.
#[derive(Debug, Clone)]
pub struct Caches {
    /// Our own resources.
    pub primaries: BTreeMap<Primary, Cache>,
    /// What was made for them.
    pub children: BTreeMap<ChildKind, Cache>,
    /// What is decided.
    pub books: Books,
    /// How votes stand.
    pub standings: Standings,
}

impl Caches {
    /// Empty ones.
    pub fn new() -> Self {
        Self {
            primaries: Primary::ALL.into_iter().map(|primary| (primary, Cache::new(OWNER_LABEL))).collect(),
            children: ChildKind::ALL.into_iter().map(|kind| (kind, Cache::new(OWNER_LABEL))).collect(),
            books: Books::default(),
            standings: Standings::default(),
        }
    }

    /// One of our own resources, as it came.
    pub fn primary(&self, key: &Key) -> Option<Arc<DynamicObject>> {
        self.primaries.get(&key.primary)?.get(&key.object)
    }

    /// All of one kind of our own resources, as they came.
    pub fn all(&self, primary: Primary) -> Vec<Arc<DynamicObject>> {
        self.primaries.get(&primary).map(Cache::all).unwrap_or_default()
    }

    /// What a resource has.
    pub fn children_of(&self, owner: &Owner) -> LiveChildren {
        let of_kind = |(kind, cache): (&ChildKind, &Cache)| {
            let kind = *kind;
            cache.labelled(owner.uid()).into_iter().map(move |object| (kind, object))
        };
        // Labels may be copied; only in its namespace can a resource own anything.
        let is_here = |(_, object): &(ChildKind, Arc<DynamicObject>)| {
            object.metadata.namespace.as_deref() == Some(&owner.key().object.namespace)
        };
        self.children.iter().flat_map(of_kind).filter(is_here).collect()
    }

    /// The proposals of a platform, in order.
    pub fn proposals_of(&self, platform: &ObjectKey) -> Vec<ProposalBrief> {
        self.objects_of(platform).filter_map(|object| ProposalBrief::of(&object)).collect()
    }

    /// The same, as they came.
    pub fn objects_of(&self, platform: &ObjectKey) -> impl Iterator<Item = Arc<DynamicObject>> {
        self.all(Primary::Proposal).into_iter().filter(move |object| brief::is_of(object, platform))
    }

    /// What a plan of a proposal is made from.
    pub fn proposal(&self, seen: Seen<GovernanceProposal>, before: GovernanceProposalStatus) -> ProposalObserved {
        let namespace = seen.owner.key().object.namespace.clone();
        let object = ObjectKey::new(namespace, &seen.resource.spec.platform_ref.name);
        let book = self.books.get(&object);
        let id = before.proposal_id.as_ref().and_then(|id| id.parse().ok());
        let standing = id.and_then(|id| self.standings.get(&object, id));
        let key = Key { primary: Primary::Platform, object };
        let platform = match self.primary(&key) {
            None => PlatformSeen::Missing,
            Some(object) => match read(&key, &object) {
                Ok(platform) => PlatformSeen::Found(Box::new(platform)),
                Err(_) => PlatformSeen::Unreadable,
            },
        };
        // There may be hundreds, and each of them is looked at: what nobody asks for is not collected.
        let is_accepted = seen.conditions.iter().any(|it| it.type_ == ACCEPTED && it.status == "True");
        let mut others = Vec::new();
        if !is_accepted && is_limited(&platform) {
            others = self.proposals_of(&key.object);
            others.retain(|other| other.key != seen.owner.key().object);
        }
        let children = self.children_of(&seen.owner);
        ProposalObserved { children, seen, platform, others, before: Box::new(before), book, standing }
    }
}

impl Default for Caches {
    fn default() -> Self {
        Self::new()
    }
}

/// Whether a platform limits how many proposals of any space may be open.
fn is_limited(platform: &PlatformSeen) -> bool {
    let PlatformSeen::Found(platform) = platform else { return false };
    let limits = &platform.resource.spec.limits;
    let mut all = limits.spaces.iter().map(|space| &space.limits).chain([&limits.default]);
    all.any(|limits| limits.max_open_proposals.is_some())
}

/// Reads one of our own resources.
///
/// # Errors
/// What is wrong with it: it was written by another version, or with a schema that is not this one's.
pub fn read<K: DeserializeOwned>(key: &Key, object: &DynamicObject) -> Result<Seen<K>, String> {
    let metadata = &object.metadata;
    // Without its status: what a person or another version left there is no reason not to run a vote.
    let mut value = serde_json::to_value(object).map_err(|error| error.to_string())?;
    if let Some(map) = value.as_object_mut() {
        map.remove("status");
    }
    let resource = serde_json::from_value(value).map_err(|error| error.to_string())?;
    Ok(Seen {
        owner: Owner::new(key.clone(), metadata.uid.clone().unwrap_or_default()),
        resource,
        generation: metadata.generation,
        conditions: status::conditions_of(object),
        is_deleted: metadata.deletion_timestamp.is_some(),
    })
}

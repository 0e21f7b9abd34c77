//! Settings of the operator.

use std::{collections::BTreeSet, num::NonZeroUsize, path::PathBuf, time::Duration};

use crate::{plan::DELETION_LIMIT, validate::OwnImage};

/// The lease's name unless told otherwise.
pub const LEASE_NAME_DEFAULT: &str = "pnyx-operator";

/// Resources that are worked on at once unless told otherwise. Each is a handful of calls one after the other; together
/// they are well below what an API server gives one client.
const WORKERS_DEFAULT: NonZeroUsize = NonZeroUsize::new(8).expect("8 is above 0");

/// Settings of the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorConfig {
    /// By which name this process holds the lease: no two that run may share it, so a pod's name and something new at each
    /// start.
    pub identity: String,
    /// Where the lease is.
    pub lease_namespace: String,
    /// What it is called.
    pub lease_name: String,
    /// Whose resources are looked after.
    pub scope: Scope,
    /// Resources that are worked on at once.
    pub workers: NonZeroUsize,
    /// What platforms run that name no image.
    pub image: OwnImage,
    /// Longest that the deletion of a proposal waits for its ballots, its result or its log.
    pub deletion_limit: Duration,
    /// Where credentials for logs lie as files while they are used. Nobody else may write there.
    pub folder: PathBuf,
}

impl OperatorConfig {
    /// For all namespaces, with the rest as it usually is.
    pub fn new(identity: impl Into<String>, lease_namespace: impl Into<String>, folder: impl Into<PathBuf>) -> Self {
        Self {
            identity: identity.into(),
            lease_namespace: lease_namespace.into(),
            lease_name: LEASE_NAME_DEFAULT.to_owned(),
            scope: Scope::All,
            workers: WORKERS_DEFAULT,
            image: OwnImage::default(),
            deletion_limit: DELETION_LIMIT,
            folder: folder.into(),
        }
    }
}

/// Whose resources are looked after.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Scope {
    /// Those of the whole cluster.
    #[default]
    All,
    /// Those of some namespaces: needs rights in these alone.
    Namespaces(BTreeSet<String>),
}

impl Scope {
    /// One watch each: of everything, or of a namespace.
    pub(crate) fn watched(&self) -> Vec<Option<String>> {
        match self {
            Self::All => vec![None],
            Self::Namespaces(namespaces) => namespaces.iter().cloned().map(Some).collect(),
        }
    }
}

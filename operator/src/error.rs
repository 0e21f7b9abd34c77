//! Why the operator ended.

use thiserror::Error;
use tokio::task::JoinError;

use crate::lease::LeaseError;

/// Why the operator ended.
#[derive(Debug, Error)]
pub enum OperatorError {
    /// It led and no longer does. Another may, so this process must end.
    #[error("leadership was lost")]
    Lease(#[from] LeaseError),
    /// A task panicked.
    #[error("a part of the operator panicked")]
    Panic(#[source] JoinError),
    /// A watch ended while it was needed.
    #[error("a watch ended")]
    WatchEnded,
    /// No API server is configured.
    #[error("no Kubernetes API server is known: set KUBECONFIG to a file that names one")]
    NoCluster(#[source] kube::config::InferConfigError),
    /// No client for asking tallies can be made.
    #[error("the HTTP client cannot be made")]
    Http(#[source] reqwest::Error),
    /// The Kubernetes API cannot be used.
    #[error("the Kubernetes API cannot be used")]
    Client(#[source] kube::Error),
}

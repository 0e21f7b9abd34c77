//! The client for the Kubernetes API.

use std::time::Duration;

use kube::{Client, Config};

use crate::error::OperatorError;

/// Longest that a connection takes to begin: an API server that is not there is noticed well before a lease ends.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// A client, and where this process is.
pub struct Connected {
    /// The client.
    pub client: Client,
    /// The namespace of the pod, or of the kubeconfig.
    pub namespace: String,
}

/// A client for the API server that kubectl would speak with, in a pod that of its cluster.
///
/// # Errors
/// If none is configured, or what is cannot be used.
pub async fn connect() -> Result<Connected, OperatorError> {
    let config = Config::infer().await.map_err(OperatorError::NoCluster)?;
    let namespace = config.default_namespace.clone();
    Ok(Connected { client: client(config)?, namespace })
}

/// A client for the operator. It repeats nothing by itself: its own retries hold a call for minutes, and whoever calls
/// here knows better what may be asked again, and when.
///
/// # Errors
/// If what the configuration says of TLS or credentials cannot be used.
pub fn client(mut config: Config) -> Result<Client, OperatorError> {
    config.default_retry = false;
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    Client::try_from(config).map_err(OperatorError::Client)
}

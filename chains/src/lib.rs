//! Reads EVM chains: the block that a snapshot rule names, and what contracts say of voters, and of their signatures, at
//! that block.
//!
//! Everything is read at a pin, by its block's hash ([EIP-1898](https://eips.ethereum.org/EIPS/eip-1898)), from several
//! endpoints of which `agreement` must say the same. What an endpoint fails at is an error that decides nothing; only
//! what a chain itself says is ever given as a fact. The crate knows nothing of ballots, topics or proposals' lives.

mod aggregate;
mod batches;
mod block;
mod cache;
mod chain;
mod check;
mod codes;
mod config;
mod endpoint;
mod failure;
mod metrics;
mod powers;
mod probe;
mod reads;
mod rpc;
mod secret;
mod signatures;
mod tables;
mod wrapper;

use std::{collections::BTreeMap, fmt, sync::Arc};

use pnyx_core::chain::ChainId;
use thiserror::Error;

pub use self::{
    aggregate::{CALL_GAS, PREPARATION_GAS, Run},
    block::PinError,
    cache::CACHE_BYTES_DEFAULT,
    chain::{Chain, ChainError, ChainStatus},
    check::{CheckError, NeverAnswers},
    codes::CODE_CACHE_BYTES_DEFAULT,
    config::{
        CONCURRENCY_DEFAULT, ChainConfig, ChainsConfig, ChainsConfigError, ENDPOINTS_MAX, EndpointConfig,
        EndpointLimits, EndpointName, REQUEST_TIMEOUT_DEFAULT,
    },
    endpoint::EndpointStatus,
    failure::{EndpointFailure, Failure},
    metrics::ChainsMetrics,
    powers::{ChainPower, ChainPowerError, PowerPart},
    probe::{Probe, Probed},
    reads::Raw,
    secret::{SecretUrl, SecretUrlError},
    signatures::{ChainSignatures, SignatureQuestion},
};

/// All chains that can be read. Clones share their endpoints.
#[derive(Clone)]
pub struct Chains {
    by_id: Arc<BTreeMap<ChainId, Chain>>,
    metrics: ChainsMetrics,
}

/// The HTTP client cannot be made.
#[derive(Debug, Error)]
#[error("cannot prepare for asking chains' endpoints")]
pub struct ChainsError(#[source] reqwest::Error);

impl Chains {
    /// Prepares the endpoints without asking any: each is checked before it is used. The process must have chosen its
    /// TLS provider (`rustls::crypto::CryptoProvider::install_default`).
    pub fn new(config: &ChainsConfig, metrics: ChainsMetrics) -> Result<Self, ChainsError> {
        let client = rpc::client().map_err(|error| ChainsError(error.without_url()))?;
        let chain = |(id, config): (&ChainId, &ChainConfig)| (*id, Chain::new(*id, config, &client, &metrics));
        Ok(Self { by_id: Arc::new(config.chains().iter().map(chain).collect()), metrics })
    }

    /// No chain: for whoever reads none.
    pub fn none() -> Self {
        Self { by_id: Arc::default(), metrics: ChainsMetrics::unregistered() }
    }

    /// A chain, if it is configured.
    pub fn get(&self, id: ChainId) -> Option<&Chain> {
        self.by_id.get(&id)
    }

    /// All chains, ascending by id.
    pub fn iter(&self) -> impl Iterator<Item = &Chain> {
        self.by_id.values()
    }

    pub(crate) fn cache_metrics(&self) -> metrics::CacheMetrics {
        self.metrics.cache.clone()
    }

    pub(crate) fn code_metrics(&self) -> metrics::CodeMetrics {
        self.metrics.codes.clone()
    }
}

impl fmt::Debug for Chains {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.by_id.keys()).finish()
    }
}

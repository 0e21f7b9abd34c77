//! Which chains can be read, through which endpoints, and how many of these must agree.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    num::{NonZeroU32, NonZeroUsize},
    str::FromStr,
    sync::Arc,
    time::Duration,
};

use pnyx_core::chain::ChainId;
use thiserror::Error;

use crate::secret::SecretUrl;

/// Most endpoints of a chain: an answer is compared with all others, and more of them do not make it truer.
pub const ENDPOINTS_MAX: usize = 16;

/// Default of [`EndpointLimits::concurrency`]: a node answers heavy calls on all its cores by then.
pub const CONCURRENCY_DEFAULT: NonZeroUsize = NonZeroUsize::new(8).unwrap();

/// Default of [`EndpointLimits::request_timeout`]: nodes give up on a call after 5 s, providers after 10 to 30.
pub const REQUEST_TIMEOUT_DEFAULT: Duration = Duration::from_secs(15);

/// All chains that can be read.
#[derive(Debug, Clone, Default)]
pub struct ChainsConfig {
    chains: BTreeMap<ChainId, ChainConfig>,
}

/// How one chain is read.
#[derive(Debug, Clone)]
pub struct ChainConfig {
    endpoints: Vec<EndpointConfig>,
    agreement: NonZeroUsize,
}

/// One server that answers JSON-RPC for a chain.
#[derive(Debug, Clone)]
pub struct EndpointConfig {
    /// What logs, metrics and the API call it.
    pub name: EndpointName,
    /// Where it is.
    pub url: SecretUrl,
    /// How much may be asked of it.
    pub limits: EndpointLimits,
}

/// How much may be asked of an endpoint.
#[derive(Debug, Clone, Copy)]
pub struct EndpointLimits {
    /// Requests in flight at once.
    pub concurrency: NonZeroUsize,
    /// Requests in a second; `None` for as many as it answers.
    pub requests_per_second: Option<NonZeroU32>,
    /// How long one request may take from its first byte to the answer's last.
    pub request_timeout: Duration,
}

/// An endpoint's name: 1 to [`EndpointName::BYTES_MAX`] letters, digits, `-`, `_` and `.`, so that no URL is one.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EndpointName(Arc<str>);

/// Why chains are not configured.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ChainsConfigError {
    /// Not an endpoint's name. The text is not repeated: it may be a URL with a key, in the wrong place.
    #[error("an endpoint's name must be 1 to {} letters, digits, '-', '_' and '.'", EndpointName::BYTES_MAX)]
    Name,
    /// No endpoint, or too many.
    #[error("a chain needs 1 to {ENDPOINTS_MAX} endpoints, not {count}")]
    Endpoints {
        /// How many there are.
        count: usize,
    },
    /// Two endpoints of a chain have one name.
    #[error("two endpoints are called {name}")]
    Repeated {
        /// The name.
        name: EndpointName,
    },
    /// More must agree than there are.
    #[error("{agreement} endpoints cannot agree where there are {count}")]
    Agreement {
        /// How many must agree.
        agreement: NonZeroUsize,
        /// How many there are.
        count: usize,
    },
    /// A chain is configured twice.
    #[error("chain {chain} is configured twice")]
    Chain {
        /// The chain.
        chain: ChainId,
    },
}

impl ChainsConfig {
    /// These chains.
    pub fn new(chains: impl IntoIterator<Item = (ChainId, ChainConfig)>) -> Result<Self, ChainsConfigError> {
        let mut by_id = BTreeMap::new();
        for (chain, config) in chains {
            if by_id.insert(chain, config).is_some() {
                return Err(ChainsConfigError::Chain { chain });
            }
        }
        Ok(Self { chains: by_id })
    }

    /// The chains, ascending.
    pub const fn chains(&self) -> &BTreeMap<ChainId, ChainConfig> {
        &self.chains
    }
}

impl ChainConfig {
    /// These endpoints, in order of preference where nothing else tells them apart; of their answers `agreement` must
    /// be the same.
    pub fn new(endpoints: Vec<EndpointConfig>, agreement: NonZeroUsize) -> Result<Self, ChainsConfigError> {
        let count = endpoints.len();
        if !(1..=ENDPOINTS_MAX).contains(&count) {
            return Err(ChainsConfigError::Endpoints { count });
        }
        let mut names = BTreeSet::new();
        if let Some(twice) = endpoints.iter().find(|endpoint| !names.insert(&endpoint.name)) {
            return Err(ChainsConfigError::Repeated { name: twice.name.clone() });
        }
        if agreement.get() > count {
            return Err(ChainsConfigError::Agreement { agreement, count });
        }
        Ok(Self { endpoints, agreement })
    }

    /// The endpoints, at least one.
    pub fn endpoints(&self) -> &[EndpointConfig] {
        &self.endpoints
    }

    /// How many endpoints must give the same answer.
    pub const fn agreement(&self) -> NonZeroUsize {
        self.agreement
    }
}

impl EndpointConfig {
    /// An endpoint with the default limits.
    pub fn new(name: EndpointName, url: SecretUrl) -> Self {
        Self { name, url, limits: EndpointLimits::default() }
    }
}

impl Default for EndpointLimits {
    fn default() -> Self {
        Self { concurrency: CONCURRENCY_DEFAULT, requests_per_second: None, request_timeout: REQUEST_TIMEOUT_DEFAULT }
    }
}

impl EndpointName {
    /// Longest name, in bytes: it is a label of many metrics.
    pub const BYTES_MAX: usize = 64;

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for EndpointName {
    type Err = ChainsConfigError;

    fn from_str(text: &str) -> Result<Self, ChainsConfigError> {
        let is_name = (1..=Self::BYTES_MAX).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        if is_name { Ok(Self(text.into())) } else { Err(ChainsConfigError::Name) }
    }
}

impl fmt::Display for EndpointName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for EndpointName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(name: &str) -> EndpointConfig {
        EndpointConfig::new(name.parse().unwrap(), SecretUrl::parse("http://127.0.0.1/key-in-path").unwrap())
    }

    fn count(number: usize) -> NonZeroUsize {
        NonZeroUsize::new(number).unwrap()
    }

    #[test]
    fn names_are_not_urls() {
        for name in ["a", "alchemy-1", "node_2.eu"] {
            assert_eq!(name.parse::<EndpointName>().unwrap().as_str(), name);
        }
        for name in ["", "https://node.example/key", "a b", "ä", &"a".repeat(65)] {
            assert_eq!(name.parse::<EndpointName>(), Err(ChainsConfigError::Name), "{name}");
        }
    }

    #[test]
    fn a_chain_has_endpoints_enough_to_agree() {
        let config = |endpoints, agreement| ChainConfig::new(endpoints, count(agreement)).map(|_| ());
        assert_eq!(config(vec![endpoint("a"), endpoint("b")], 2), Ok(()));
        assert_eq!(config(vec![], 1), Err(ChainsConfigError::Endpoints { count: 0 }));
        assert_eq!(config(vec![endpoint("a"); 17], 1), Err(ChainsConfigError::Endpoints { count: 17 }));
        let repeated = ChainsConfigError::Repeated { name: "a".parse().unwrap() };
        assert_eq!(config(vec![endpoint("a"), endpoint("a")], 1), Err(repeated));
        let agreement = ChainsConfigError::Agreement { agreement: count(2), count: 1 };
        assert_eq!(config(vec![endpoint("a")], 2), Err(agreement));
    }

    #[test]
    fn a_configuration_can_be_logged() {
        let chain = ChainId::new(1).unwrap();
        let config = ChainConfig::new(vec![endpoint("a")], count(1)).unwrap();
        let chains = ChainsConfig::new([(chain, config.clone())]).unwrap();
        assert!(!format!("{chains:?}").contains("127.0.0.1"), "{chains:?}");
        let twice = ChainsConfig::new([(chain, config.clone()), (chain, config)]).unwrap_err();
        assert_eq!(twice, ChainsConfigError::Chain { chain });
    }
}

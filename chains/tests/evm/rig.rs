//! A node with contracts, and chains that read it.

use std::{num::NonZeroUsize, time::Duration};

use alloy_primitives::{Address, U256};
use pnyx_chains::{
    Chain, ChainConfig, ChainPower, Chains, ChainsConfig, ChainsMetrics, EndpointConfig, EndpointLimits, SecretUrl,
};
use pnyx_core::{
    chain::{BlockHash, BlockNumber, ChainId, ContractAddress, Pin, Pins},
    id::{ProposalId, Voter},
    power::{Power, VoterPower},
    proposal::{ChainRead, ChainStrategy, Decimals, Strategy},
};
use pnyx_testbed::evm::{Argument, Block, Contracts, Evm, EvmOptions};

/// Time-out of a request in tests: a node on this machine answers in milliseconds, a busy machine takes its time.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(4);

/// A node and the contracts to put there.
pub(crate) struct Rig {
    pub(crate) evm: Evm,
    pub(crate) contracts: Contracts,
}

impl Rig {
    pub(crate) fn start() -> Self {
        Self::with(EvmOptions::new())
    }

    pub(crate) fn with(options: EvmOptions) -> Self {
        Self { evm: Evm::start(options).unwrap(), contracts: Contracts::compiled().unwrap() }
    }

    pub(crate) fn id(&self) -> ChainId {
        ChainId::new(self.evm.chain_id()).unwrap()
    }

    /// The node itself as the only endpoint.
    pub(crate) fn chains(&self) -> Chains {
        chains([(self.id(), vec![self.evm.url()], 1)])
    }

    pub(crate) fn token(&self, decimals: u64) -> Address {
        self.evm.deploy(self.contracts.get("Token"), &[decimals.into()]).unwrap()
    }

    /// Sends a transaction to a function of a contract.
    pub(crate) fn send(&self, contract: &str, to: Address, signature: &str, arguments: &[Argument]) {
        let calldata = self.contracts.get(contract).calldata(signature, arguments);
        self.evm.send(to, &calldata).unwrap();
    }

    pub(crate) fn mint(&self, token: Address, to: Address, raw: U256) {
        self.send("Token", token, "mint(address,uint256)", &[to.into(), raw.into()]);
    }

    /// Makes the head final and pins it.
    pub(crate) fn pin_head(&self) -> Pin {
        let head = self.evm.head().unwrap();
        self.evm.finalize(head.number).unwrap();
        self.pin(head)
    }

    pub(crate) fn pin(&self, block: Block) -> Pin {
        Pin {
            chain: self.id(),
            number: BlockNumber(block.number),
            hash: BlockHash::new(block.hash.0),
            timestamp_s: block.timestamp_s,
        }
    }
}

/// Chains with these endpoints, `a`, `b`, …, of which so many must agree.
pub(crate) fn chains<const N: usize>(configured: [(ChainId, Vec<String>, usize); N]) -> Chains {
    let configured = configured.map(|(id, urls, agreement)| {
        let endpoints = ["a", "b", "c", "d"].iter().zip(urls).map(|(name, url)| EndpointConfig {
            name: name.parse().unwrap(),
            url: SecretUrl::parse(&url).unwrap(),
            limits: EndpointLimits { request_timeout: REQUEST_TIMEOUT, ..EndpointLimits::default() },
        });
        let config = ChainConfig::new(endpoints.collect(), NonZeroUsize::new(agreement).unwrap()).unwrap();
        (id, config)
    });
    // Only the first one is installed; they are all the same.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Chains::new(&ChainsConfig::new(configured).unwrap(), ChainsMetrics::unregistered()).unwrap()
}

/// The one chain of `chains`.
pub(crate) fn only(chains: &Chains) -> &Chain {
    chains.iter().next().unwrap()
}

pub(crate) fn power(chains: &Chains, strategies: &[Strategy], pins: &[Pin]) -> ChainPower {
    let pins = Pins::new(ProposalId::new([1; 32]), pins.iter().copied()).unwrap();
    ChainPower::new(chains, strategies, &pins).unwrap()
}

pub(crate) fn on_chain(network: ChainId, read: ChainRead) -> Strategy {
    Strategy::OnChain(ChainStrategy { network, read })
}

pub(crate) fn erc20(address: Address, number: u8) -> ChainRead {
    ChainRead::Erc20BalanceOf { address: contract(address), decimals: decimals(number) }
}

pub(crate) fn decimals(number: u8) -> Decimals {
    Decimals::new(number).unwrap()
}

pub(crate) fn contract(address: Address) -> ContractAddress {
    ContractAddress::new(address.0.0)
}

pub(crate) fn account(number: u64) -> Address {
    let mut bytes = [0xa0; 20];
    bytes[12..].copy_from_slice(&number.to_be_bytes());
    Address::from(bytes)
}

pub(crate) fn voter(account: Address) -> Voter {
    Voter::new(account.0.0)
}

/// A power from its units of 10^-18.
pub(crate) fn units(units: U256) -> VoterPower {
    VoterPower::Known(Power::from_units(units).unwrap())
}

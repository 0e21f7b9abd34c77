//! What a test may ask of its EVM node.

use std::net::Ipv4Addr;

/// The chain id unless a test chooses another: the one that anvil's own documents use.
const CHAIN_ID: u64 = 31_337;

/// Gas of a block, and of a call that names none, unless a test chooses otherwise: what geth grants to a call.
const GAS_LIMIT: u64 = 50_000_000;

/// Which chain.
#[derive(Debug, Clone)]
pub struct EvmOptions {
    pub(super) address: Ipv4Addr,
    pub(super) chain_id: u64,
    pub(super) gas_limit: u64,
    pub(super) genesis_timestamp_s: Option<u64>,
    pub(super) block_time_s: Option<u64>,
}

impl Default for EvmOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl EvmOptions {
    /// Chain 31337, which begins now and mines a block for each transaction.
    #[must_use]
    pub fn new() -> Self {
        let (genesis_timestamp_s, block_time_s) = (None, None);
        Self {
            address: Ipv4Addr::LOCALHOST,
            chain_id: CHAIN_ID,
            gas_limit: GAS_LIMIT,
            genesis_timestamp_s,
            block_time_s,
        }
    }

    /// Listens on this address of the machine; with [`crate::kubernetes::Node::outside`], pods reach the node there.
    #[must_use]
    pub fn listen_on(self, address: Ipv4Addr) -> Self {
        Self { address, ..self }
    }

    /// Sets the chain id.
    #[must_use]
    pub fn chain_id(self, chain_id: u64) -> Self {
        Self { chain_id, ..self }
    }

    /// Sets the gas of a block, which is also what a call gets that names none.
    #[must_use]
    pub fn gas_limit(self, gas_limit: u64) -> Self {
        Self { gas_limit, ..self }
    }

    /// Sets the time of block 0, in seconds since 1970. Later blocks take as long as they really do.
    #[must_use]
    pub fn genesis_timestamp_s(self, timestamp_s: u64) -> Self {
        Self { genesis_timestamp_s: Some(timestamp_s), ..self }
    }

    /// Mines a block every so many seconds, transactions or not.
    #[must_use]
    pub fn block_time_s(self, seconds: u64) -> Self {
        Self { block_time_s: Some(seconds), ..self }
    }
}

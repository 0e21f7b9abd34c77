//! An EVM node, contracts for it, and endpoints in front of it that fail in chosen ways.
//!
//! The node is anvil. It mines a block for each transaction, takes no fees, and signs for every account, so that a test
//! says who does what and nothing else changes. Two blocks follow before one is final. States of more than 500 blocks
//! ago vanish, as on a node that prunes: keep chains short.

mod abi;
mod chain;
mod contracts;
mod demo;
mod endpoint;
mod fault;
mod http;
mod ledger;
mod node;
mod options;
mod rpc;
mod safe;
mod wallets;

pub use abi::Argument;
pub use chain::{Block, EvmSnapshot, Log, Receipt};
pub use contracts::{Compiled, Contracts, Odd};
pub use endpoint::FaultyEndpoint;
pub use fault::{Fault, Lie, Pruned, Refusal};
pub use ledger::Ledger;
pub use node::{DEPLOYER, Evm, MULTICALL3};
pub use options::EvmOptions;
pub use safe::{PlannedSafe, Safe, SafeContracts, SafeOwner};
pub use wallets::OddWallet;

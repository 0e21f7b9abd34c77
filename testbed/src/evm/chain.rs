//! What a test does with the chain: transactions, blocks, reorganisations.

use std::{
    thread,
    time::{Duration, Instant},
};

use alloy_primitives::{Address, B256, U256, hex};
use serde_json::{Value, json};

use super::{
    Argument, Compiled, Contracts, DEPLOYER, Evm, MULTICALL3, abi,
    rpc::{as_b256, as_bytes, as_u64, as_u256, bad, quantity},
};
use crate::{TestbedError, cache, process::POLL_INTERVAL};

/// How long a transaction may wait for its block.
const RECEIPT_LIMIT: Duration = Duration::from_secs(30);

/// Accounts that one transaction funds; each costs at most 43,000 gas, and a block has 50 million.
const FUNDED_PER_TRANSACTION: usize = 500;

/// Blocks whose logs are read at a time. Full ones have some thousand logs, and an answer has a limit.
const LOG_BLOCKS: usize = 50;

/// A block's head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    /// Its number.
    pub number: u64,
    /// Its hash.
    pub hash: B256,
    /// Hash of the block before.
    pub parent_hash: B256,
    /// Its time, in seconds since 1970.
    pub timestamp_s: u64,
}

/// What became of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// The transaction's hash.
    pub transaction_hash: B256,
    /// Number of its block.
    pub block_number: u64,
    /// Hash of its block.
    pub block_hash: B256,
    /// Gas it used.
    pub gas_used: u64,
    /// The contract that it made.
    pub contract: Option<Address>,
}

/// What a contract wrote down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// Hash of the event's signature, then its indexed values.
    pub topics: Vec<B256>,
    /// Its other values.
    pub data: Vec<u8>,
    /// Number of its block.
    pub block_number: u64,
}

/// A state of the chain to go back to, once, unless [`Evm::reorg`] took back its head.
#[derive(Debug)]
pub struct EvmSnapshot {
    id: Value,
}

/// # Errors
/// Each call fails if the node cannot be reached or answers with an error.
impl Evm {
    /// Mines so many empty blocks and returns the last one.
    pub fn mine(&self, count: u64) -> Result<Block, TestbedError> {
        self.rpc("anvil_mine", json!([quantity(count)]))?;
        self.head()
    }

    /// As [`Evm::mine`], with blocks that are so many seconds apart.
    pub fn mine_spaced(&self, count: u64, interval_s: u64) -> Result<Block, TestbedError> {
        self.rpc("anvil_mine", json!([quantity(count), quantity(interval_s)]))?;
        self.head()
    }

    /// Mines until the block of this number is final, and returns it.
    pub fn finalize(&self, number: u64) -> Result<Block, TestbedError> {
        while self.finalized()?.number < number {
            self.mine(1)?;
        }
        self.block(number)?.ok_or_else(|| bad("eth_getBlockByNumber", "no such block"))
    }

    /// Sets the time of the next block, in seconds since 1970; not before the head's. Later ones go on from there.
    pub fn set_next_timestamp(&self, timestamp_s: u64) -> Result<(), TestbedError> {
        self.rpc("evm_setNextBlockTimestamp", json!([timestamp_s])).map(|_| ())
    }

    /// Takes back the last `depth` blocks with their transactions, and mines as many empty ones with other hashes.
    pub fn reorg(&self, depth: u64) -> Result<Block, TestbedError> {
        self.rpc("anvil_rollback", json!([depth]))?;
        // Otherwise an empty block of the same second would be the same block.
        let miner = Address::from_word(U256::from(self.next_reorg()).into());
        self.rpc("anvil_setCoinbase", json!([miner]))?;
        self.mine(depth)
    }

    /// Remembers the chain as it is.
    pub fn snapshot(&self) -> Result<EvmSnapshot, TestbedError> {
        Ok(EvmSnapshot { id: self.rpc("evm_snapshot", json!([]))? })
    }

    /// Goes back to a snapshot.
    pub fn revert(&self, snapshot: EvmSnapshot) -> Result<(), TestbedError> {
        match self.rpc("evm_revert", json!([snapshot.id]))? {
            Value::Bool(true) => Ok(()),
            other => Err(bad("evm_revert", &other.to_string())),
        }
    }

    /// The newest block.
    pub fn head(&self) -> Result<Block, TestbedError> {
        self.tagged("latest")
    }

    /// The newest final block: two behind the head.
    pub fn finalized(&self) -> Result<Block, TestbedError> {
        self.tagged("finalized")
    }

    /// The block of a number, if there is one.
    pub fn block(&self, number: u64) -> Result<Option<Block>, TestbedError> {
        let block = self.rpc("eth_getBlockByNumber", json!([quantity(number), false]))?;
        if block.is_null() { Ok(None) } else { as_block(&block).map(Some) }
    }

    /// Gives native currency, from the deployer.
    pub fn fund(&self, account: Address, wei: U256) -> Result<Receipt, TestbedError> {
        self.send_from(DEPLOYER, account, wei, &[])
    }

    /// Gives native currency to many accounts in few transactions, from the deployer.
    pub fn fund_many(&self, accounts: &[(Address, U256)]) -> Result<(), TestbedError> {
        let contracts = Contracts::compiled()?;
        let compiled = contracts.get("Disperser");
        let disperser = {
            let mut disperser = self.disperser.lock().expect("no holder panics");
            match *disperser {
                Some(address) => address,
                None => *disperser.insert(self.deploy(compiled, &[])?),
            }
        };
        for chunk in accounts.chunks(FUNDED_PER_TRANSACTION) {
            let (to, values): (Vec<Address>, Vec<U256>) = chunk.iter().copied().unzip();
            let total = values.iter().fold(U256::ZERO, |total, value| total.saturating_add(*value));
            let arguments = [to.as_slice().into(), values.as_slice().into()];
            let calldata = compiled.calldata("pay(address[],uint256[])", &arguments);
            self.send_from(DEPLOYER, disperser, total, &calldata)?;
        }
        Ok(())
    }

    /// Native currency of an account at a block.
    pub fn native_balance(&self, account: Address, block: Block) -> Result<U256, TestbedError> {
        let method = "eth_getBalance";
        as_u256(method, &self.rpc(method, json!([account, pinned(block)]))?)
    }

    /// Deploys a contract.
    pub fn deploy(&self, compiled: &Compiled, arguments: &[Argument]) -> Result<Address, TestbedError> {
        self.deploy_code(compiled.creation(), arguments)
    }

    /// Deploys a contract that was compiled elsewhere: its creation code and its constructor's arguments.
    pub fn deploy_code(&self, creation: &[u8], arguments: &[Argument]) -> Result<Address, TestbedError> {
        let data = hex::encode_prefixed([creation, &abi::encode(arguments)].concat());
        let receipt = self.transact(json!({ "from": DEPLOYER, "data": data }))?;
        receipt.contract.ok_or_else(|| bad("eth_getTransactionReceipt", "no contract was made"))
    }

    /// Puts a contract's code at an address, in a block of its own; earlier blocks do not know it.
    pub fn place_code(&self, address: Address, runtime: &[u8]) -> Result<(), TestbedError> {
        // The node gives the state of its head away as that of the last block: that must not be an earlier one.
        self.mine(1)?;
        self.rpc("anvil_setCode", json!([address, hex::encode_prefixed(runtime)]))?;
        self.mine(1).map(|_| ())
    }

    /// Puts our contract with Multicall3's functions at its usual address; earlier blocks do not know it.
    pub fn place_multicall(&self) -> Result<(), TestbedError> {
        self.place_code(MULTICALL3, Contracts::compiled()?.get("Multicall3").runtime())
    }

    /// Sends a transaction of the deployer and waits until it is in a block.
    pub fn send(&self, to: Address, calldata: &[u8]) -> Result<Receipt, TestbedError> {
        self.send_from(DEPLOYER, to, U256::ZERO, calldata)
    }

    /// Sends a transaction of any account, whose key is not needed, and waits until it is in a block.
    pub fn send_from(&self, from: Address, to: Address, wei: U256, calldata: &[u8]) -> Result<Receipt, TestbedError> {
        self.transact(json!({ "from": from, "to": to, "value": wei, "data": hex::encode_prefixed(calldata) }))
    }

    /// Calls a function at the head without a transaction.
    pub fn call(&self, to: Address, calldata: &[u8]) -> Result<Vec<u8>, TestbedError> {
        self.call_at(self.head()?, to, calldata)
    }

    /// Calls a function at a block without a transaction.
    pub fn call_at(&self, block: Block, to: Address, calldata: &[u8]) -> Result<Vec<u8>, TestbedError> {
        let call = json!({ "to": to, "data": hex::encode_prefixed(calldata) });
        let method = "eth_call";
        as_bytes(method, &self.rpc(method, json!([call, pinned(block)]))?)
    }

    /// Everything that a contract wrote down up to and with a block, in order.
    pub fn logs(&self, contract: Address, to_block: u64) -> Result<Vec<Log>, TestbedError> {
        let method = "eth_getLogs";
        let mut logs = Vec::new();
        for first in (0..=to_block).step_by(LOG_BLOCKS) {
            let last = to_block.min(first + LOG_BLOCKS as u64 - 1);
            let filter = json!({ "address": contract, "fromBlock": quantity(first), "toBlock": quantity(last) });
            let page = self.rpc(method, json!([filter]))?;
            for log in page.as_array().ok_or_else(|| bad(method, "no array"))? {
                let topics = log["topics"].as_array().into_iter().flatten().map(|topic| as_b256(method, topic));
                logs.push(Log {
                    topics: topics.collect::<Result<_, _>>()?,
                    data: as_bytes(method, &log["data"])?,
                    block_number: as_u64(method, &log["blockNumber"])?,
                });
            }
        }
        Ok(logs)
    }

    fn tagged(&self, tag: &str) -> Result<Block, TestbedError> {
        as_block(&self.rpc("eth_getBlockByNumber", json!([tag, false]))?)
    }

    /// Sends a transaction with all the gas of a block, since estimating costs the node more than executing.
    fn transact(&self, mut transaction: Value) -> Result<Receipt, TestbedError> {
        transaction["gas"] = quantity(self.options.gas_limit);
        transaction["gasPrice"] = quantity(0);
        let hash = self.rpc("eth_sendTransaction", json!([transaction]))?;
        let method = "eth_getTransactionReceipt";
        let start = Instant::now();
        loop {
            let receipt = self.rpc(method, json!([hash]))?;
            if !receipt.is_null() {
                return as_receipt(method, &receipt);
            }
            if start.elapsed() > RECEIPT_LIMIT {
                let what = "a transaction was not mined".to_owned();
                let limit_ms = RECEIPT_LIMIT.as_millis();
                return Err(TestbedError::TimedOut { what, limit_ms, log: cache::tail_of(&self.log()) });
            }
            thread::sleep(POLL_INTERVAL);
        }
    }
}

/// The block as EIP-1898 names it.
fn pinned(block: Block) -> Value {
    json!({ "blockHash": block.hash, "requireCanonical": true })
}

fn as_block(block: &Value) -> Result<Block, TestbedError> {
    let method = "eth_getBlockByNumber";
    Ok(Block {
        number: as_u64(method, &block["number"])?,
        hash: as_b256(method, &block["hash"])?,
        parent_hash: as_b256(method, &block["parentHash"])?,
        timestamp_s: as_u64(method, &block["timestamp"])?,
    })
}

fn as_receipt(method: &str, receipt: &Value) -> Result<Receipt, TestbedError> {
    if receipt["status"] != "0x1" {
        return Err(bad(method, &format!("the transaction failed: {receipt}")));
    }
    Ok(Receipt {
        transaction_hash: as_b256(method, &receipt["transactionHash"])?,
        block_number: as_u64(method, &receipt["blockNumber"])?,
        block_hash: as_b256(method, &receipt["blockHash"])?,
        gas_used: as_u64(method, &receipt["gasUsed"])?,
        contract: receipt["contractAddress"].as_str().and_then(|address| address.parse().ok()),
    })
}

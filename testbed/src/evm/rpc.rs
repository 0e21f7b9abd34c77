//! JSON-RPC to the node itself.

use std::{
    net::SocketAddr,
    sync::{Mutex, MutexGuard},
};

use alloy_primitives::{B256, U256};
use serde_json::{Value, json};

use super::http::Connection;
use crate::TestbedError;

/// Characters of an answer that an error shows; revert data may be a megabyte.
const ANSWER_LEN_MAX: usize = 500;

/// Calls to one address, one after the other.
#[derive(Debug)]
pub(super) struct JsonRpc {
    address: SocketAddr,
    connection: Mutex<Connection>,
}

impl JsonRpc {
    pub(super) fn new(address: SocketAddr) -> Self {
        Self { address, connection: Mutex::new(Connection::new(address)) }
    }

    /// One call; its result.
    pub(super) fn call(&self, method: &str, params: Value) -> Result<Value, TestbedError> {
        let call = json!({ "jsonrpc": "2.0", "id": 0, "method": method, "params": params });
        let mut answer = self.post(method, &call)?;
        match answer.get_mut("result") {
            Some(result) => Ok(result.take()),
            None => {
                let error = &answer["error"];
                // The message first: data that a contract reverts with may be long, and is clipped.
                Err(bad(method, &format!("{} {} {}", error["code"], error["message"], error["data"])))
            }
        }
    }

    /// Whether anybody answers.
    pub(super) fn is_up(&self) -> bool {
        self.call("eth_chainId", json!([])).is_ok()
    }

    fn post(&self, method: &str, body: &Value) -> Result<Value, TestbedError> {
        let answer = self.connection().post(body.to_string().as_bytes()).map_err(|source| TestbedError::Network {
            action: "talk to",
            address: format!("the EVM node at {}", self.address),
            source,
        })?;
        serde_json::from_slice(&answer).map_err(|error| bad(method, &error.to_string()))
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().expect("no holder panics")
    }
}

pub(super) fn bad(method: &str, answer: &str) -> TestbedError {
    TestbedError::Evm { method: method.to_owned(), answer: answer.chars().take(ANSWER_LEN_MAX).collect() }
}

/// An integer in the notation of JSON-RPC.
pub(super) fn quantity(number: u64) -> Value {
    Value::String(format!("{number:#x}"))
}

/// Reads an integer of at most 64 bits.
pub(super) fn as_u64(method: &str, value: &Value) -> Result<u64, TestbedError> {
    let number = value.as_str().and_then(|text| u64::from_str_radix(text.strip_prefix("0x")?, 16).ok());
    number.ok_or_else(|| bad(method, &value.to_string()))
}

/// Reads an integer of at most 256 bits.
pub(super) fn as_u256(method: &str, value: &Value) -> Result<U256, TestbedError> {
    let number = value.as_str().and_then(|text| U256::from_str_radix(text.strip_prefix("0x")?, 16).ok());
    number.ok_or_else(|| bad(method, &value.to_string()))
}

/// Reads a hash.
pub(super) fn as_b256(method: &str, value: &Value) -> Result<B256, TestbedError> {
    value.as_str().and_then(|text| text.parse().ok()).ok_or_else(|| bad(method, &value.to_string()))
}

/// Reads bytes.
pub(super) fn as_bytes(method: &str, value: &Value) -> Result<Vec<u8>, TestbedError> {
    let bytes = value.as_str().and_then(|text| alloy_primitives::hex::decode(text).ok());
    bytes.ok_or_else(|| bad(method, &value.to_string()))
}

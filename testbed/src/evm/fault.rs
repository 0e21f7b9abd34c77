//! What endpoints get wrong, as changes to requests and answers of JSON-RPC.

use std::{io, time::Duration};

use alloy_primitives::{Address, B256, U256, hex, keccak256};
use serde_json::{Map, Value, json};

use super::{http::Answer, rpc::quantity};

/// Code of most errors of geth.
const SERVER_ERROR: i64 = -32_000;

/// Something that an endpoint gets wrong. Several may hold at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Nobody listens; connections that exist are closed.
    Dead,
    /// Connections are accepted and nothing answers, until the fault is over.
    Silent,
    /// Every answer comes so much later.
    Slow(Duration),
    /// Every answer to a request that names this account comes so much later: its contract is slow.
    SlowAbout(Address, Duration),
    /// Every request is refused with 429 and the time after which to come back.
    TooManyRequests {
        /// Seconds in `Retry-After`.
        retry_after_s: u64,
    },
    /// Every request is refused with 503 and a page of HTML.
    Unavailable,
    /// Answers end in the middle of their JSON, and say that this is all.
    TruncatedJson,
    /// Answers end in the middle, before the length they stated.
    CutBody,
    /// Another chain's id.
    WrongChainId(u64),
    /// Blocks have other hashes, and are found by those alone: a node on another fork.
    OtherHash,
    /// The chain ends at this block: a node that stopped following.
    StuckAt(u64),
    /// No state but the newest can be read: a node that prunes.
    PrunedHistory(Pruned),
    /// A wrong answer to some reads, however they are batched.
    Lie(Lie),
    /// Whatever is asked of this contract, the answer is the number of the request, hence another one each time.
    Unsteady(Address),
    /// Calls find this account as the block's miner, as each maker's nodes have their own idea of one.
    Miner(Address),
    /// Calls get this much gas at most, without a word about it, as geth does.
    GasCap(u64),
    /// Bodies of requests above so many bytes are refused with 413.
    BodyMax(usize),
    /// Bodies of requests above so many bytes are refused as if something else were wrong.
    Overlong {
        /// The most bytes that are not refused.
        len_max: usize,
        /// How.
        refusal: Refusal,
    },
    /// JSON-RPC batches are refused with an error.
    NoBatches,
}

/// How a proxy refuses what is too long for it without saying so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// With this status and a page of HTML.
    Status(u16),
    /// With JSON-RPC's error for a limit that was exceeded.
    LimitExceeded,
    /// The connection is closed without an answer.
    HangUp,
}

/// How a node says that it has no state of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pruned {
    /// `missing trie node …`, of geth.
    MissingTrieNode,
    /// `header not found`, of geth and of many providers.
    HeaderNotFound,
}

/// A wrong answer. It holds at every block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lie {
    /// An account has this much native currency.
    Native {
        /// The account.
        account: Address,
        /// Its wrong balance.
        wei: U256,
    },
    /// A holder has this balance of a `Token` of ours or another ERC-20 with balances in slot 0.
    Erc20 {
        /// The contract.
        token: Address,
        /// The holder.
        holder: Address,
        /// Its wrong balance.
        raw: U256,
    },
    /// A contract answers every call with this number.
    Constant {
        /// The contract.
        contract: Address,
        /// The number.
        number: U256,
    },
}

/// Asks the node itself.
pub(super) type Ask<'a> = &'a mut dyn FnMut(&str, Value) -> io::Result<Value>;

/// The answer to a request that is refused as a whole, if it is.
pub(super) fn refusal(faults: &[Fault], body_len: usize, is_batch: bool) -> Option<Answer> {
    faults.iter().find_map(|fault| match fault {
        Fault::TooManyRequests { retry_after_s } => {
            let mut answer = Answer::new(429, error(&Value::Null, -32_005, "too many requests").to_string().into());
            answer.headers.push(("retry-after", retry_after_s.to_string()));
            Some(answer)
        }
        Fault::Unavailable => Some(page(503)),
        Fault::Overlong { len_max, refusal: Refusal::Status(status) } if body_len > *len_max => Some(page(*status)),
        Fault::Overlong { len_max, refusal: Refusal::LimitExceeded } if body_len > *len_max => {
            Some(Answer::new(200, error(&Value::Null, -32_005, "limit exceeded").to_string().into()))
        }
        Fault::BodyMax(len_max) if body_len > *len_max => Some(Answer::new(413, Vec::new())),
        Fault::NoBatches if is_batch => {
            let body = error(&Value::Null, -32_600, "batches are not supported");
            Some(Answer::new(200, body.to_string().into()))
        }
        _ => None,
    })
}

/// How much later the answer to a request comes.
pub(super) fn delay(faults: &[Fault], body: &[u8]) -> Duration {
    let names = |account: &Address| {
        let digits = hex::encode(account);
        body.windows(digits.len()).any(|window| window.eq_ignore_ascii_case(digits.as_bytes()))
    };
    let delays = faults.iter().map(|fault| match fault {
        Fault::Slow(delay) => *delay,
        Fault::SlowAbout(account, delay) if names(account) => *delay,
        _ => Duration::ZERO,
    });
    delays.sum()
}

/// Whether a request is not even answered.
pub(super) fn hangs_up(faults: &[Fault], body_len: usize) -> bool {
    let is_refused =
        |fault: &Fault| matches!(fault, Fault::Overlong { len_max, refusal: Refusal::HangUp } if body_len > *len_max);
    faults.iter().any(is_refused)
}

/// What proxies say in place of the node.
fn page(status: u16) -> Answer {
    let mut answer = Answer::new(status, b"<html><body>Try again later</body></html>".into());
    answer.headers = vec![("content-type", "text/html".to_owned())];
    answer
}

/// Changes the finished answer.
pub(super) fn spoil(faults: &[Fault], answer: &mut Answer) {
    if faults.contains(&Fault::TruncatedJson) {
        answer.body.truncate(answer.body.len() / 2);
        answer.stated_len = answer.body.len();
    }
    if faults.contains(&Fault::CutBody) {
        answer.body.truncate(answer.body.len() / 2);
    }
}

/// Changes a call before the node sees it, or answers in the node's place. `number` is that of the request.
pub(super) fn before(faults: &[Fault], call: &mut Value, number: u64, ask: Ask<'_>) -> io::Result<Option<Value>> {
    for fault in faults {
        let answer = match fault {
            Fault::WrongChainId(chain_id) => wrong_chain(call, *chain_id),
            Fault::OtherHash => {
                ask_for_other_hash(call);
                None
            }
            Fault::StuckAt(head) => stuck(call, *head, ask)?,
            Fault::PrunedHistory(pruned) => pruned_history(call, *pruned),
            Fault::Lie(lie) => tell(call, *lie),
            Fault::Unsteady(contract) => tell(call, Lie::Constant { contract: *contract, number: U256::from(number) }),
            Fault::Miner(miner) => {
                set_miner(call, *miner);
                None
            }
            Fault::GasCap(gas_max) => {
                cap_gas(call, *gas_max);
                None
            }
            _ => None,
        };
        if answer.is_some() {
            return Ok(answer);
        }
    }
    Ok(None)
}

/// Changes the node's answer to a call.
pub(super) fn after(faults: &[Fault], method: &str, answer: &mut Value) {
    let Some(result) = answer.get_mut("result") else { return };
    for fault in faults {
        match fault {
            Fault::OtherHash => tell_other_hash(method, result),
            Fault::StuckAt(head)
                if method == "eth_getBlockByHash"
                    && block_number(&result["number"]).is_some_and(|number| number > *head) =>
            {
                *result = Value::Null;
            }
            _ => {}
        }
    }
}

pub(super) fn error(id: &Value, code: i64, message: &str) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": message } })
}

fn success(call: &Value, result: impl Into<Value>) -> Value {
    json!({ "jsonrpc": "2.0", "id": call["id"], "result": result.into() })
}

/// Which parameter of a method says the block; all but the last read state.
fn block_parameter(method: &str) -> Option<usize> {
    match method {
        "eth_call" | "eth_getBalance" | "eth_getCode" | "eth_getTransactionCount" | "eth_estimateGas" => Some(1),
        "eth_getStorageAt" | "eth_getProof" => Some(2),
        "eth_getBlockByNumber" => Some(0),
        _ => None,
    }
}

fn method_of(call: &Value) -> &str {
    call["method"].as_str().unwrap_or_default()
}

fn block_number(value: &Value) -> Option<u64> {
    u64::from_str_radix(value.as_str()?.strip_prefix("0x")?, 16).ok()
}

fn wrong_chain(call: &Value, chain_id: u64) -> Option<Value> {
    match method_of(call) {
        "eth_chainId" => Some(success(call, quantity(chain_id))),
        "net_version" => Some(success(call, chain_id.to_string())),
        _ => None,
    }
}

fn stuck(call: &mut Value, head: u64, ask: Ask<'_>) -> io::Result<Option<Value>> {
    let method = method_of(call).to_owned();
    if method == "eth_blockNumber" {
        return Ok(Some(success(call, quantity(head))));
    }
    let Some(index) = block_parameter(&method) else { return Ok(None) };
    let id = call["id"].clone();
    let Some(params) = call["params"].as_array_mut() else { return Ok(None) };
    if params.len() == index {
        params.push("latest".into());
    }
    let Some(block) = params.get_mut(index) else { return Ok(None) };
    let number = match (block.as_str(), block.get("blockHash")) {
        (Some("latest" | "pending"), _) => Some(head),
        (Some("safe"), _) => Some(head.saturating_sub(1)),
        (Some("finalized"), _) => Some(head.saturating_sub(2)),
        (Some("earliest"), _) => Some(0),
        (Some(_), _) => block_number(block),
        (None, Some(hash)) => block_number(&ask("eth_getBlockByHash", json!([hash, false]))?["number"]),
        (None, None) => block.get("blockNumber").and_then(block_number),
    };
    match number {
        Some(number) if number <= head => {
            // A name in the notation of EIP-1898 says the block as well as a number does.
            if block.is_string() {
                *block = quantity(number);
            }
            Ok(None)
        }
        _ if method == "eth_getBlockByNumber" => Ok(Some(json!({ "jsonrpc": "2.0", "id": id, "result": null }))),
        _ => Ok(Some(error(&id, SERVER_ERROR, "header for hash not found"))),
    }
}

fn pruned_history(call: &Value, pruned: Pruned) -> Option<Value> {
    let method = method_of(call);
    let index = block_parameter(method).filter(|_| method != "eth_getBlockByNumber")?;
    let block = call["params"].get(index)?;
    if matches!(block.as_str(), Some("latest" | "pending")) {
        return None;
    }
    let message = match pruned {
        Pruned::MissingTrieNode => {
            let root = keccak256(block.to_string());
            format!("missing trie node {root:x} (path ) state {root:#x} is not available, not found")
        }
        Pruned::HeaderNotFound => "header not found".to_owned(),
    };
    Some(error(&call["id"], SERVER_ERROR, &message))
}

fn set_miner(call: &mut Value, miner: Address) {
    if method_of(call) != "eth_call" {
        return;
    }
    let Some(params) = call["params"].as_array_mut().filter(|params| params.len() >= 2) else { return };
    while params.len() < 3 {
        params.push(json!({}));
    }
    params.insert(3, json!({ "coinbase": miner }));
}

fn cap_gas(call: &mut Value, gas_max: u64) {
    if !matches!(method_of(call), "eth_call" | "eth_estimateGas") {
        return;
    }
    let Some(transaction) = call["params"].get_mut(0).and_then(Value::as_object_mut) else { return };
    let gas = transaction.get("gas").and_then(block_number).map_or(gas_max, |gas| gas.min(gas_max));
    transaction.insert("gas".to_owned(), quantity(gas));
}

/// Lies by having the node execute calls on a changed state, so that every way of asking gets the same wrong answer.
fn tell(call: &mut Value, lie: Lie) -> Option<Value> {
    if let Lie::Native { account, wei } = lie
        && method_of(call) == "eth_getBalance"
        && call["params"].get(0).and_then(Value::as_str).and_then(|text| text.parse::<Address>().ok()) == Some(account)
    {
        return Some(success(call, format!("{wei:#x}")));
    }
    if method_of(call) != "eth_call" {
        return None;
    }
    let (address, key, value) = match lie {
        Lie::Native { account, wei } => (account, "balance", json!(format!("{wei:#x}"))),
        Lie::Erc20 { token, holder, raw } => {
            let slot = keccak256([holder.into_word(), B256::ZERO].concat());
            (token, "stateDiff", json!({ slot.to_string(): B256::from(raw) }))
        }
        Lie::Constant { contract, number } => (contract, "code", json!(constant_code(number))),
    };
    let params = call["params"].as_array_mut()?;
    if params.len() == 1 {
        params.push("latest".into());
    }
    if params.len() == 2 {
        params.push(json!({}));
    }
    let accounts = params.get_mut(2)?.as_object_mut()?;
    let account = accounts.entry(format!("{address:#x}")).or_insert_with(|| json!({})).as_object_mut()?;
    match (account.get_mut(key).and_then(Value::as_object_mut), value) {
        // Another lie about the same token.
        (Some(slots), Value::Object(more)) => slots.extend(more),
        (_, value) => {
            account.insert(key.to_owned(), value);
        }
    }
    None
}

/// PUSH32 number, PUSH1 0, MSTORE, PUSH1 32, PUSH1 0, RETURN.
fn constant_code(number: U256) -> String {
    let word = B256::from(number);
    hex::encode_prefixed([&[0x7f], word.as_slice(), &[0x60, 0, 0x52, 0x60, 32, 0x60, 0, 0xf3]].concat())
}

/// Whoever asks by the hash that this endpoint gave gets what belongs to the real one, and the other way round.
fn ask_for_other_hash(call: &mut Value) {
    let method = method_of(call).to_owned();
    let Some(params) = call["params"].as_array_mut() else { return };
    if method == "eth_getBlockByHash" {
        params.first_mut().map(flip);
    }
    let index = block_parameter(&method).unwrap_or(0);
    if let Some(block) = params.get_mut(index).and_then(Value::as_object_mut) {
        flip_in(block, &["blockHash"]);
    }
}

fn tell_other_hash(method: &str, result: &mut Value) {
    match result {
        Value::Object(block) if method.starts_with("eth_getBlock") => flip_in(block, &["hash", "parentHash"]),
        Value::Object(receipt) => flip_in(receipt, &["blockHash"]),
        Value::Array(logs) => {
            for log in logs.iter_mut().filter_map(Value::as_object_mut) {
                flip_in(log, &["blockHash"]);
            }
        }
        _ => {}
    }
}

fn flip_in(object: &mut Map<String, Value>, keys: &[&str]) {
    for key in keys {
        object.get_mut(*key).map(flip);
    }
}

/// Changes the last bit of a hash; a second time changes it back.
fn flip(hash: &mut Value) {
    let flipped = hash.as_str().and_then(|text| text.parse::<B256>().ok()).map(|mut hash| {
        hash.0[31] ^= 1;
        hash
    });
    if let Some(flipped) = flipped {
        *hash = json!(flipped);
    }
}

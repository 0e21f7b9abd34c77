//! A JSON-RPC answer: its result, or which kind of error it tells of.

use reqwest::Url;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::REQUEST_ID;
use crate::{failure::Failure, secret::redact};

/// Most characters of an endpoint's message that are kept: enough to tell its cause, too few to flood a log.
const MESSAGE_CHARS_MAX: usize = 200;

/// JSON-RPC's code for a revert, of geth and those that follow it.
const CODE_REVERTED: i64 = 3;

/// Codes by which nodes and providers say that too much was asked (EIP-1474: limit exceeded; 429 as in HTTP).
const CODES_LIMITED: [i64; 2] = [-32_005, 429];

/// What nodes say of a block that they do not have, or not as canonical: geth, erigon, nethermind, reth, besu.
const UNKNOWN_BLOCK: &[&str] = &[
    "header not found",
    "header for hash not found",
    "block not found",
    "unknown block",
    "not currently canonical",
    "not canonical",
    "resource not found",
    "could not find block",
];

/// What nodes say of a block whose state they have thrown away: geth (hash and path scheme), erigon, nethermind, reth,
/// besu, anvil.
const PRUNED_STATE: &[&str] = &[
    "missing trie node",
    "state is not available",
    "state not available",
    "no state available",
    "historical state",
    "state histories haven't been fully indexed",
    "world state unavailable",
    "state already discarded",
    "pruned",
    "maximum proof window",
    "blockoutofrange",
    "block is out of range",
];

const LIMITED: &[&str] = &["rate limit", "too many requests", "limit exceeded", "compute units", "capacity exceeded"];

#[derive(Deserialize)]
struct Answer {
    #[serde(default, deserialize_with = "present")]
    result: Option<Box<RawValue>>,
    #[serde(default)]
    error: Option<RpcError>,
    #[serde(default)]
    id: Option<u64>,
}

#[derive(Deserialize)]
struct RpcError {
    code: i64,
    #[serde(default)]
    message: String,
    #[serde(default, deserialize_with = "present")]
    data: Option<Box<RawValue>>,
}

/// The result of the one call that `body` answers.
pub(super) fn result(body: &[u8], url: &Url) -> Result<Box<RawValue>, Failure> {
    // A list would be read as the members in their order.
    if body.trim_ascii_start().first().is_some_and(|byte| *byte != b'{') {
        return Err(Failure::Malformed("not a JSON-RPC answer"));
    }
    let answer: Answer = serde_json::from_slice(body).map_err(|error| match error.classify() {
        serde_json::error::Category::Eof => Failure::Malformed("the JSON ends in the middle"),
        _ => Failure::Malformed("not a JSON-RPC answer"),
    })?;
    match answer {
        Answer { error: Some(error), .. } => Err(classify(&error, url)),
        Answer { result: Some(result), id: Some(REQUEST_ID), .. } => Ok(result),
        Answer { result: Some(_), .. } => Err(Failure::Malformed("the answer to another request")),
        Answer { result: None, .. } => Err(Failure::Malformed("neither a result nor an error")),
    }
}

fn classify(error: &RpcError, url: &Url) -> Failure {
    let data = error.data.as_ref().map_or("", |data| data.get());
    let said = format!("{} {}", error.message, data).to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| said.contains(word));
    let message = || clip(&redact(url, &error.message));
    if error.code == CODE_REVERTED || said.contains("execution reverted") || said.contains("vm execution error") {
        Failure::Reverted
    } else if CODES_LIMITED.contains(&error.code) || says(LIMITED) {
        Failure::Limited(message())
    } else if says(PRUNED_STATE) {
        Failure::PrunedState(message())
    } else if says(UNKNOWN_BLOCK) {
        Failure::UnknownBlock(message())
    } else {
        Failure::Rpc { code: error.code, message: message() }
    }
}

/// Kept to one line and a bounded length: it goes into logs.
fn clip(message: &str) -> String {
    message.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MESSAGE_CHARS_MAX).collect()
}

/// A member that is there, `null` included.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::<RawValue>::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(body: &str) -> Result<String, Failure> {
        let url = Url::parse("http://node.example/key-in-path").unwrap();
        result(body.as_bytes(), &url).map(|result| result.get().to_owned())
    }

    fn error(code: i64, message: &str) -> Failure {
        let message = serde_json::Value::from(message);
        read(&format!(r#"{{"jsonrpc":"2.0","id":1,"error":{{"code":{code},"message":{message}}}}}"#)).unwrap_err()
    }

    #[test]
    fn results_are_those_of_our_request() {
        assert_eq!(read(r#"{"jsonrpc":"2.0","id":1,"result":"0x1"}"#), Ok(r#""0x1""#.to_owned()));
        assert_eq!(read(r#"{"jsonrpc":"2.0","id":1,"result":null}"#), Ok("null".to_owned()));
        assert_eq!(
            read(r#"{"jsonrpc":"2.0","id":2,"result":"0x1"}"#),
            Err(Failure::Malformed("the answer to another request"))
        );
        assert_eq!(read(r#"{"jsonrpc":"2.0","id":1}"#), Err(Failure::Malformed("neither a result nor an error")));
        assert_eq!(
            read(r#"{"jsonrpc":"2.0","id":1,"result":"0x"#),
            Err(Failure::Malformed("the JSON ends in the middle"))
        );
        assert_eq!(read("<html>"), Err(Failure::Malformed("not a JSON-RPC answer")));
        assert_eq!(read("[]"), Err(Failure::Malformed("not a JSON-RPC answer")));
    }

    /// What the nodes named answer to `eth_call` with a block hash.
    #[test]
    fn errors_are_told_apart() {
        for (code, message, outcome) in [
            (3, "execution reverted: no", "reverted"),
            (-32_000, "execution reverted", "reverted"),
            (-32_015, "VM execution error.", "reverted"),
            (-32_000, "header not found", "unknown-block"),
            (-32_001, "block not found: hash 0x01", "unknown-block"),
            (-32_000, "hash 0x01 is not currently canonical", "unknown-block"),
            (-32_000, "missing trie node 01 (path ) state 0x02 is not available", "pruned-state"),
            (-32_000, "historical state 01 is not available", "pruned-state"),
            (-32_602, "BlockOutOfRangeError: block height is 9 but requested was 3", "pruned-state"),
            (-32_005, "daily request count exceeded", "limited"),
            (-32_000, "out of gas", "error"),
            (-32_000, "max initcode size exceeded: code size 49153 limit 49152", "error"),
            (-32_601, "the method does not exist", "error"),
        ] {
            assert_eq!(error(code, message).outcome(), outcome, "{message}");
        }
    }

    #[test]
    fn messages_are_clipped_and_hold_no_key() {
        let failure = error(-32_000, &format!("no\nkey-in-path {}", "x".repeat(500)));
        let Failure::Rpc { message, .. } = &failure else { panic!("{failure}") };
        assert!(message.starts_with("no [hidden] x"), "{message}");
        assert_eq!(message.len(), MESSAGE_CHARS_MAX);
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_answer_or_a_failure(body: Vec<u8>) {
            let url = Url::parse("http://node.example/").unwrap();
            prop_assert!(result(&body, &url).is_err() || !body.is_empty());
        }
    }
}

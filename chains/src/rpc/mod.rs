//! JSON-RPC over HTTP: one call a POST, answers of bounded size, and what went wrong told apart.

mod answer;
mod values;

use std::{
    fmt::Write as _,
    time::{Duration, SystemTime},
};

use alloy_primitives::hex;
use jiff::fmt::rfc2822;
use pnyx_core::chain::{BlockHash, BlockNumber, ContractAddress, Pin};
use reqwest::{
    Client, Response, StatusCode, Url,
    header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER},
    redirect,
};
use serde_json::value::RawValue;
use tokio::time::timeout;

pub(crate) use self::values::{Block, block, bytes, number};
use crate::{
    chain::Subject,
    failure::{CONNECTION_BROKE, Failure},
};

/// Most bytes of an answer. The largest that we ask for, a full batch or a contract's code, has 50 kB.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// How long connecting may take, TLS included: across the world, with one lost packet, it takes less.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(4);

/// How long an idle connection is kept: batches come in bursts, and a new TLS connection costs three round trips.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// Longest time that an endpoint can make us wait by `Retry-After`: it may name any, and we want to see that it healed.
pub(crate) const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);

/// The number of every request: each POST carries one, so nothing has to be told apart.
const REQUEST_ID: u64 = 1;

/// A call, ready to be sent to any endpoint.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    body: String,
    /// Whether it makes the node execute a contract many times: such calls have latencies of their own.
    pub(crate) is_heavy: bool,
}

/// The HTTP client that all endpoints share. Follows no redirect: the answer is to come from where the question went,
/// and a key is not for anybody else.
pub(crate) fn client() -> reqwest::Result<Client> {
    Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(IDLE_TIMEOUT)
        .redirect(redirect::Policy::none())
        .referer(false)
        .tcp_nodelay(true)
        .user_agent(concat!("pnyx/", env!("CARGO_PKG_VERSION")))
        .build()
}

/// Sends one request and gives its result, within `limit`.
pub(crate) async fn post(
    client: &Client,
    url: &Url,
    request: &Request,
    limit: Duration,
) -> Result<Box<RawValue>, Failure> {
    let sent = client.post(url.clone()).header(CONTENT_TYPE, "application/json").body(request.body.clone()).send();
    let exchange = async {
        let response = sent.await.map_err(|error| transport(&error, limit))?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = read(response, limit).await;
        // Nodes give errors a status or 200, as they like: what the body says goes first where it is JSON-RPC.
        if status.is_success() {
            return answer::result(&body?, url);
        }
        match body.map(|body| answer::result(&body, url)) {
            Ok(Err(Failure::Limited(message))) if retry_after(&headers).is_none() => Err(Failure::Limited(message)),
            Ok(Err(said @ (Failure::Rpc { .. } | Failure::Reverted))) if !is_overload(status) => Err(said),
            Ok(Err(said @ (Failure::UnknownBlock(_) | Failure::PrunedState(_)))) => Err(said),
            _ => Err(Failure::Status { status: status.as_u16(), retry_after: retry_after(&headers) }),
        }
    };
    timeout(limit, exchange).await.unwrap_or(Err(Failure::TimedOut(limit)))
}

impl Request {
    /// The chain's id.
    pub(crate) fn chain_id() -> Self {
        Self::new("eth_chainId", "", false)
    }

    /// The newest block that will never be replaced.
    pub(crate) fn finalized_block() -> Self {
        Self::new("eth_getBlockByNumber", r#""finalized",false"#, false)
    }

    /// The canonical block of this number.
    pub(crate) fn block(number: BlockNumber) -> Self {
        Self::new("eth_getBlockByNumber", &format!(r#""0x{:x}",false"#, number.0), false)
    }

    /// The code of an account at the pin.
    pub(crate) fn code(address: ContractAddress, pin: &Pin) -> Self {
        let account = hex::encode(address.as_bytes());
        Self::new("eth_getCode", &format!(r#""0x{account}",{}"#, at(pin.hash)), false)
    }

    /// Executes `init_code` at the pin: a call without `to`, with the caller and value that the rules fix, zero both.
    pub(crate) fn call(init_code: &[u8], gas: u64, pin: &Pin, is_heavy: bool) -> Self {
        const FROM: &str = "0x0000000000000000000000000000000000000000";
        let mut params = String::with_capacity(init_code.len().saturating_mul(2).saturating_add(320));
        write!(params, r#"{{"from":"{FROM}","value":"0x0","gas":"0x{gas:x}","data":"0x"#)
            .expect("writing to a string cannot fail");
        params.push_str(&hex::encode(init_code));
        params.push_str(r#""},"#);
        params.push_str(&at(pin.hash));
        Self::new("eth_call", &params, is_heavy)
    }

    /// What it asks about.
    pub(crate) fn subject(&self) -> Subject {
        Subject::new(&self.body)
    }

    fn new(method: &'static str, params: &str, is_heavy: bool) -> Self {
        let body = format!(r#"{{"jsonrpc":"2.0","id":{REQUEST_ID},"method":"{method}","params":[{params}]}}"#);
        Self { body, is_heavy }
    }
}

/// A block by its hash, and only if it is canonical (EIP-1898).
fn at(hash: BlockHash) -> String {
    format!(r#"{{"blockHash":"{hash}","requireCanonical":true}}"#)
}

async fn read(mut response: Response, limit: Duration) -> Result<Vec<u8>, Failure> {
    let announced = response.content_length().and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
    if announced > ANSWER_BYTES_MAX {
        return Err(Failure::TooLarge);
    }
    let mut body = Vec::with_capacity(announced);
    while let Some(chunk) = response.chunk().await.map_err(|error| transport(&error, limit))? {
        if body.len().saturating_add(chunk.len()) > ANSWER_BYTES_MAX {
            return Err(Failure::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// The library's error has the URL in it, so only its kind is kept.
fn transport(error: &reqwest::Error, limit: Duration) -> Failure {
    if error.is_timeout() && !error.is_connect() {
        Failure::TimedOut(limit)
    } else if error.is_connect() {
        Failure::Unreachable("no connection")
    } else if error.is_body() || error.is_decode() {
        Failure::Malformed("the answer ends in the middle")
    } else {
        Failure::Unreachable(CONNECTION_BROKE)
    }
}

fn is_overload(status: StatusCode) -> bool {
    matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE)
}

/// The header's delay, in seconds or until a date (RFC 9110 § 10.2.3), at most [`RETRY_AFTER_MAX`].
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let delay = match text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let date = SystemTime::from(rfc2822::parse(text).ok()?.timestamp());
            date.duration_since(SystemTime::now()).unwrap_or_default()
        }
    };
    Some(delay.min(RETRY_AFTER_MAX))
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};
    use pnyx_core::chain::ChainId;
    use reqwest::header::HeaderValue;

    use super::*;

    fn after(text: &str) -> Option<Duration> {
        retry_after(&HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_str(text).unwrap())]))
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_and_has_a_bound() {
        assert_eq!(retry_after(&HeaderMap::new()), None);
        assert_eq!(after("7"), Some(Duration::from_secs(7)));
        assert_eq!(after("86400"), Some(RETRY_AFTER_MAX));
        assert_eq!(after("soon"), None);
        assert_eq!(after("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::ZERO));
        let then = Timestamp::now() + SignedDuration::from_secs(30);
        let date = rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&then).unwrap();
        let delay = after(&date).unwrap();
        assert!((Duration::from_secs(28)..=Duration::from_secs(30)).contains(&delay), "{date}: {delay:?}");
    }

    #[test]
    fn calls_name_the_block_by_its_hash() {
        let pin = Pin {
            chain: ChainId::new(1).unwrap(),
            number: BlockNumber(255),
            hash: BlockHash::new([0xab; 32]),
            timestamp_s: 9,
        };
        let hash = "ab".repeat(32);
        let zero = "0".repeat(40);
        let call = format!(r#""from":"0x{zero}","value":"0x0","gas":"0x100","data":"0x0102""#);
        let block = format!(r#""blockHash":"0x{hash}","requireCanonical":true"#);
        assert_eq!(
            Request::call(&[1, 2], 0x100, &pin, false).body,
            format!(r#"{{"jsonrpc":"2.0","id":1,"method":"eth_call","params":[{{{call}}},{{{block}}}]}}"#)
        );
        assert_eq!(
            Request::block(BlockNumber(255)).body,
            r#"{"jsonrpc":"2.0","id":1,"method":"eth_getBlockByNumber","params":["0xff",false]}"#
        );
        for request in [Request::call(&[7], 1, &pin, true), Request::chain_id(), Request::finalized_block()] {
            serde_json::from_str::<serde_json::Value>(&request.body).unwrap();
        }
    }
}

//! HTTP of the tests: every request bounded, and waiting for something is polling for it with a limit.

use std::{
    future::Future,
    sync::LazyLock,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

/// How long one request may take: longer than any answer of a process that is alive.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// How long connecting to this machine may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How often a waiting test looks again.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

static RUNTIME: LazyLock<tokio::runtime::Runtime> =
    LazyLock::new(|| tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap());

static CLIENT: LazyLock<reqwest::Client> = LazyLock::new(client);

/// An answer of any status.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// `Retry-After`, in seconds.
    pub(crate) retry_after_s: Option<u64>,
    pub(crate) body: String,
}

impl Answer {
    /// Whether the ballot was acknowledged.
    pub(crate) const fn is_success(&self) -> bool {
        self.status >= 200 && self.status < 300
    }

    /// The body as JSON, null if it is none.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or(Value::Null)
    }
}

/// A client with connections of its own.
pub(crate) fn client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = reqwest::Client::builder().timeout(REQUEST_TIMEOUT).connect_timeout(CONNECT_TIMEOUT);
    builder.tcp_nodelay(true).build().unwrap()
}

/// Runs a future from a test's own thread.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    RUNTIME.block_on(future)
}

/// Starts a task that goes on beside the test.
pub(crate) fn spawn(future: impl Future<Output = ()> + Send + 'static) -> tokio::task::JoinHandle<()> {
    RUNTIME.spawn(future)
}

/// The answer to a request, or none if there was no connection or it broke off.
pub(crate) async fn send(request: reqwest::RequestBuilder) -> Option<Answer> {
    let answer = request.send().await.ok()?;
    let status = answer.status().as_u16();
    let retry_after_s = answer.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
    Some(Answer { status, retry_after_s, body: answer.text().await.ok()? })
}

/// Posts a ballot over a client's connections.
pub(crate) async fn post_with(client: &reqwest::Client, url: &str, body: Vec<u8>) -> Option<Answer> {
    send(client.post(url).header("content-type", "application/json").body(body)).await
}

/// Posts a ballot.
pub(crate) fn post(url: &str, body: Vec<u8>) -> Option<Answer> {
    block_on(post_with(&CLIENT, url, body))
}

/// `GET`, or none if there was no whole answer.
pub(crate) fn try_get(url: &str) -> Option<Answer> {
    block_on(send(CLIENT.get(url)))
}

/// The JSON of a `GET` that succeeds, or none.
pub(crate) fn try_json(url: &str) -> Option<Value> {
    try_get(url).filter(Answer::is_success).map(|answer| answer.json())
}

/// Waits until `look` finds something; fails with `what` after `limit`.
pub(crate) fn poll<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < limit, "{what} did not happen within {limit:?}");
        thread::sleep(POLL_INTERVAL);
    }
}

/// The value of a metric without labels, or the sum over all labels.
pub(crate) fn metric(base_url: &str, name: &str) -> Option<f64> {
    let text = try_get(&format!("{base_url}/metrics")).filter(Answer::is_success)?.body;
    let of_name = |line: &&str| {
        let rest = line.strip_prefix(name);
        rest.is_some_and(|rest| rest.starts_with([' ', '{']))
    };
    let mut values = text.lines().filter(of_name).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
    let first = values.next()?;
    Some(values.fold(first, |sum, value| sum + value))
}

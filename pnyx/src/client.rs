//! The HTTP client that the commands share: JSON in and out, bounded waits, errors that say what to do.

use std::{io, time::Duration};

use anyhow::{Context as _, bail};
use axum::body::Bytes;
use futures_util::{Stream, stream};
use reqwest::{StatusCode, Url};
use serde_json::Value;
use tokio::time::timeout;

use crate::cli::PlatformArgs;

/// How long one request may take: far above any answer of a healthy platform, below a person's patience.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a stream's beginning may take: an archive may wait for a recount of tens of millions of ballots, and for
/// others before it.
const FIRST_BYTE_TIMEOUT: Duration = Duration::from_secs(2 * 60 * 60);

/// A platform, as a client sees it.
#[derive(Debug, Clone)]
pub(crate) struct Platform {
    /// Where ballots are posted.
    edge: Url,
    /// Where everything is read.
    base: Url,
    http: reqwest::Client,
}

/// An answer that is not a success, in Snapshot's form where the platform could give it.
#[derive(Debug, Clone)]
pub(crate) struct Refused {
    /// HTTP status.
    pub(crate) status: StatusCode,
    /// `error_description`, or the body's beginning.
    pub(crate) description: String,
    /// `detail`, if any.
    pub(crate) detail: Option<String>,
    /// `Retry-After` in seconds, if any.
    pub(crate) retry_after_s: Option<u64>,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.description, self.status)?;
        if let Some(detail) = &self.detail {
            write!(f, ": {detail}")?;
        }
        if let Some(seconds) = self.retry_after_s {
            write!(f, "; try again in {seconds} s")?;
        }
        Ok(())
    }
}

impl Platform {
    /// A client for the platform that these arguments name, keeping up to `connections` connections open.
    pub(crate) fn of(args: &PlatformArgs, connections: usize) -> anyhow::Result<Self> {
        let platform = Self::new(&args.url, connections)?;
        match &args.read_url {
            Some(read_url) => Ok(Self { base: base_url("--read-url", read_url)?, ..platform }),
            None => Ok(platform),
        }
    }

    /// A client for the platform at `url`, keeping up to `connections` connections open.
    pub(crate) fn new(url: &str, connections: usize) -> anyhow::Result<Self> {
        let base = base_url("--url", url)?;
        let http = reqwest::Client::builder()
            .timeout(REQUEST_TIMEOUT)
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_max_idle_per_host(connections)
            .tcp_nodelay(true)
            .build()
            .context("making the HTTP client")?;
        Ok(Self { edge: base.clone(), base, http })
    }

    /// The URL of a path below the base.
    pub(crate) fn url(&self, path: &str) -> anyhow::Result<Url> {
        self.base.join(path.trim_start_matches('/')).with_context(|| format!("building the URL of {path}"))
    }

    /// `GET path` as JSON; a refusal is an error.
    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        let url = self.url(path)?;
        let answer = self.http.get(url.clone()).send().await.with_context(|| unreachable_platform(&url))?;
        match read(answer).await? {
            Ok(value) => Ok(value),
            Err(refused) => bail!("{url}: {refused}"),
        }
    }

    /// The answer to `GET url` as a stream of bytes; a refusal is an error.
    pub(crate) async fn stream(
        &self,
        url: Url,
    ) -> anyhow::Result<impl Stream<Item = io::Result<Bytes>> + Send + use<>> {
        // An archive may stream for long: only its beginning and the silence between two pieces are bounded.
        let http = reqwest::Client::builder().connect_timeout(CONNECT_TIMEOUT).build()?;
        let sent = timeout(FIRST_BYTE_TIMEOUT, http.get(url.clone()).send()).await;
        let sent = sent.with_context(|| format!("{url} did not answer in {} s", FIRST_BYTE_TIMEOUT.as_secs()))?;
        let answer = sent.with_context(|| unreachable_platform(&url))?;
        if answer.status().is_success() {
            return Ok(stream::try_unfold(answer, async |mut answer| {
                let silent = |_| io::Error::new(io::ErrorKind::TimedOut, "the platform fell silent");
                let chunk = timeout(REQUEST_TIMEOUT, answer.chunk()).await.map_err(silent)?;
                Ok(chunk.map_err(io::Error::other)?.map(|chunk| (chunk, answer)))
            }));
        }
        match read(answer).await? {
            Ok(_) => bail!("{url}: a redirect or an answer without content"),
            Err(refused) => bail!("{url}: {refused}"),
        }
    }

    /// Posts a ballot. The outer error is the network's, the inner one the platform's.
    pub(crate) async fn cast(&self, body: Vec<u8>) -> anyhow::Result<Result<Value, Refused>> {
        let request = self.http.post(self.edge.clone()).header("content-type", "application/json").body(body);
        let answer = request.send().await.with_context(|| unreachable_platform(&self.edge))?;
        read(answer).await
    }
}

fn base_url(flag: &str, url: &str) -> anyhow::Result<Url> {
    let mut base: Url = url.parse().with_context(|| format!("{flag} {url:?} is not a URL"))?;
    if !base.path().ends_with('/') {
        base.set_path(&format!("{}/", base.path()));
    }
    Ok(base)
}

/// Text as one segment of a path: `namespace/name` stays one.
pub(crate) fn path_segment(text: &str) -> String {
    text.replace('%', "%25").replace('/', "%2F").replace('?', "%3F").replace('#', "%23")
}

fn unreachable_platform(url: &Url) -> String {
    format!(
        "no answer from {url}; is the platform running there? (`pnyx dev` starts one, --url and --read-url name others)"
    )
}

async fn read(answer: reqwest::Response) -> anyhow::Result<Result<Value, Refused>> {
    let status = answer.status();
    let retry_after_s = answer.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
    let text = answer.text().await.context("reading the answer")?;
    let value: Option<Value> = serde_json::from_str(&text).ok();
    if status.is_success() {
        return Ok(Ok(value.with_context(|| format!("the answer is not JSON: {}", beginning(&text)))?));
    }
    let field = |name: &str| value.as_ref().and_then(|value| Some(value.get(name)?.as_str()?.to_owned()));
    let description = field("error_description").unwrap_or_else(|| beginning(&text));
    Ok(Err(Refused { status, description, detail: field("detail"), retry_after_s }))
}

fn beginning(text: &str) -> String {
    text.chars().take(200).collect()
}

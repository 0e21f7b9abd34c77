//! The collector at the other end, by OTLP over HTTP.

use std::{path::PathBuf, time::Duration};

use opentelemetry_proto::tonic::collector::trace::v1::{ExportTracePartialSuccess, ExportTraceServiceResponse};
use prost::Message as _;
use reqwest::{Client, Response, StatusCode, header::HeaderMap, redirect};
use thiserror::Error;
use tokio::{fs::File, io::AsyncReadExt as _};

use super::config::{Endpoint, HEADERS_BYTES_MAX, HeadersError, parse_headers};

/// How long one request may take: a collector only queues what it takes.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Most bytes of an answer that are read: it holds a number and a sentence.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Most characters of a collector's own words that are shown.
const WORDS_CHARS_MAX: usize = 200;

/// A collector.
#[derive(Debug)]
pub(super) struct Collector {
    pub(super) endpoint: Endpoint,
    headers_file: Option<PathBuf>,
    http: Client,
}

/// Why spans were not taken.
#[derive(Debug, Error)]
pub(super) enum ExportError {
    #[error("the headers for it")]
    Headers(#[source] HeadersError),
    #[error("no answer")]
    Unreachable(#[source] reqwest::Error),
    #[error("it answered {0}")]
    Status(StatusCode),
    #[error("it refused {rejected} of the spans: {words}")]
    Refused { rejected: u64, words: String },
}

impl ExportError {
    /// Whether sending the same again may help: what the specification of OTLP says of each status.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::Headers(_) | Self::Unreachable(_) => true,
            Self::Status(status) => matches!(
                *status,
                StatusCode::TOO_MANY_REQUESTS
                    | StatusCode::BAD_GATEWAY
                    | StatusCode::SERVICE_UNAVAILABLE
                    | StatusCode::GATEWAY_TIMEOUT
            ),
            Self::Refused { .. } => false,
        }
    }
}

impl Collector {
    pub(super) fn new(endpoint: Endpoint, headers_file: Option<PathBuf>) -> Result<Self, reqwest::Error> {
        let client = Client::builder().timeout(REQUEST_TIMEOUT).connect_timeout(CONNECT_TIMEOUT);
        // A header's secret is for this collector and for nobody it points to.
        let http = client.redirect(redirect::Policy::none()).build()?;
        Ok(Self { endpoint, headers_file, http })
    }

    /// The headers as the file has them now.
    pub(super) async fn headers(&self) -> Result<HeaderMap, HeadersError> {
        let Some(path) = &self.headers_file else { return Ok(HeaderMap::new()) };
        let mut text = String::new();
        let read = async {
            let file = File::open(path).await?;
            file.take(HEADERS_BYTES_MAX + 1).read_to_string(&mut text).await
        };
        let bytes = read.await.map_err(|source| HeadersError::Read { path: path.clone(), source })?;
        if bytes as u64 > HEADERS_BYTES_MAX {
            return Err(HeadersError::TooLarge { path: path.clone() });
        }
        parse_headers(path, &text)
    }

    /// Posts the body of a request.
    pub(super) async fn post(&self, body: Vec<u8>) -> Result<(), ExportError> {
        let headers = self.headers().await.map_err(ExportError::Headers)?;
        let request = self.http.post(self.endpoint.traces()).headers(headers);
        let sent = request.header("content-type", "application/x-protobuf").body(body).send().await;
        // The endpoint is shown beside.
        let answer = sent.map_err(|error| ExportError::Unreachable(error.without_url()))?;
        let status = answer.status();
        if !status.is_success() {
            return Err(ExportError::Status(status));
        }
        match partial_success(answer).await {
            Some(ExportTracePartialSuccess { rejected_spans, error_message }) if rejected_spans > 0 => {
                let words = error_message.chars().take(WORDS_CHARS_MAX).collect();
                Err(ExportError::Refused { rejected: rejected_spans.unsigned_abs(), words })
            }
            Some(_) | None => Ok(()),
        }
    }
}

/// What the collector says that it did not take; nothing if its answer cannot be read, since it said yes before.
async fn partial_success(mut answer: Response) -> Option<ExportTracePartialSuccess> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.ok()? {
        if body.len() + chunk.len() > ANSWER_BYTES_MAX {
            return None;
        }
        body.extend_from_slice(&chunk);
    }
    ExportTraceServiceResponse::decode(body.as_slice()).ok()?.partial_success
}

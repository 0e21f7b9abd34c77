//! Every way in which a request is refused, as HTTP: status, Snapshot's text, detail for people, `Retry-After`.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use pnyx_backbone::clock::time_text;
use pnyx_core::{
    rejection::Rejection,
    time::TimestampMs,
    wire::snapshot::{self, ErrorKind},
};

use crate::config::{BODY_WAIT_MAX, RETRY_AFTER_S};

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// A request that was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// For a reason that follows from the ballot.
    Rejected(Rejection),
    /// The window has not opened.
    Early {
        /// When it opens.
        opens_at: TimestampMs,
        /// The clock at the time of refusal.
        now: TimestampMs,
    },
    /// The window was over when the request came.
    Late {
        /// When it closed.
        closes_at: TimestampMs,
        /// When the request came.
        received_at: TimestampMs,
    },
    /// The window was over when the log appended the ballot. The record stays and counts nowhere.
    AppendedLate {
        /// When it closed.
        closes_at: TimestampMs,
        /// When the log appended it.
        appended_at: TimestampMs,
    },
    /// The ballots that count are fixed.
    CutDecided,
    /// The body did not arrive in time.
    BodySlow,
    /// The connection broke off within the body.
    BodyBroken,
    /// The source address has sent more than its share; nothing was read.
    RateLimited {
        /// After how long it may come again.
        retry_after_s: u64,
    },
    /// As many requests are in flight as may be, or the log's queue is full.
    Overloaded,
    /// The log took too long. The record may be there and count, but nobody has a receipt for it.
    AppendSlow,
    /// The log did not take the ballot.
    LogUnavailable,
    /// The record is durable and may count, but the process ended before its receipt was signed.
    ReceiptUnsigned,
    /// The process is ending; nothing was appended.
    ShuttingDown,
    /// Another path.
    NotFound,
    /// Another method.
    MethodNotAllowed,
}

/// What a refusal says over HTTP.
struct Answer {
    status: StatusCode,
    description: &'static str,
    detail: Option<String>,
    retry_after_s: Option<u64>,
}

impl Refused {
    /// The label in metrics.
    pub(crate) const fn outcome(&self) -> &'static str {
        match self {
            Self::Rejected(rejection) => rejection.name(),
            Self::Early { .. } => "early",
            Self::Late { .. } => "late",
            Self::AppendedLate { .. } => "appendedLate",
            Self::CutDecided => "cutDecided",
            Self::BodySlow => "bodySlow",
            Self::BodyBroken => "bodyBroken",
            Self::RateLimited { .. } => "rateLimited",
            Self::Overloaded => "overloaded",
            Self::AppendSlow => "appendSlow",
            Self::LogUnavailable => "logUnavailable",
            Self::ReceiptUnsigned => "receiptUnsigned",
            Self::ShuttingDown => "shuttingDown",
            Self::NotFound => "notFound",
            Self::MethodNotAllowed => "methodNotAllowed",
        }
    }

    /// The labels of all refusals of a posted ballot.
    pub(crate) fn outcomes() -> impl Iterator<Item = &'static str> {
        let time = TimestampMs(0);
        let others = [
            Self::Early { opens_at: time, now: time },
            Self::Late { closes_at: time, received_at: time },
            Self::AppendedLate { closes_at: time, appended_at: time },
            Self::CutDecided,
            Self::BodySlow,
            Self::BodyBroken,
            Self::RateLimited { retry_after_s: RETRY_AFTER_S },
            Self::Overloaded,
            Self::AppendSlow,
            Self::LogUnavailable,
            Self::ReceiptUnsigned,
            Self::ShuttingDown,
        ];
        Rejection::ALL.map(Self::Rejected).into_iter().chain(others).map(|refused| refused.outcome())
    }

    fn answer(self) -> Answer {
        let window = Rejection::OutsideWindow.snapshot_text();
        match self {
            Self::Rejected(rejection) => client(rejection.snapshot_text(), Some(rejection.name().to_owned())),
            Self::Early { opens_at, now } => Answer {
                retry_after_s: Some(opens_at.saturating_since_ms(now).div_ceil(1_000).max(RETRY_AFTER_S)),
                ..server(window, format!("opens {}", time_text(opens_at)))
            },
            Self::Late { closes_at, received_at } => {
                client(window, Some(format!("closed {}, received {}", time_text(closes_at), time_text(received_at))))
            }
            Self::AppendedLate { closes_at, appended_at } => {
                client(window, Some(format!("closed {}, appended {}", time_text(closes_at), time_text(appended_at))))
            }
            Self::CutDecided => client(window, Some("the ballots that count are fixed".to_owned())),
            Self::BodySlow => Answer {
                status: StatusCode::REQUEST_TIMEOUT,
                ..client("request timeout", Some(format!("no whole body within {} s", BODY_WAIT_MAX.as_secs())))
            },
            Self::BodyBroken => {
                client(Rejection::MalformedEnvelope.snapshot_text(), Some("the body broke off".to_owned()))
            }
            Self::RateLimited { retry_after_s } => Answer {
                status: StatusCode::TOO_MANY_REQUESTS,
                retry_after_s: Some(retry_after_s),
                ..client("too many requests", Some("from this address; nothing was stored".to_owned()))
            },
            Self::Overloaded => server("too many requests in flight", "nothing was stored".to_owned()),
            Self::AppendSlow => {
                server("not acknowledged in time", "the log took too long; send the ballot again".to_owned())
            }
            Self::LogUnavailable => {
                server("not acknowledged", "the log is unavailable; send the ballot again".to_owned())
            }
            Self::ReceiptUnsigned => {
                server("shutting down", "it may have been stored; sending it again is harmless".to_owned())
            }
            Self::ShuttingDown => server("shutting down", "nothing was stored; send the ballot again".to_owned()),
            Self::NotFound => Answer { status: StatusCode::NOT_FOUND, ..client("not found", None) },
            Self::MethodNotAllowed => {
                Answer { status: StatusCode::METHOD_NOT_ALLOWED, ..client("method not allowed", None) }
            }
        }
    }
}

/// The request is at fault.
const fn client(description: &'static str, detail: Option<String>) -> Answer {
    Answer { status: StatusCode::BAD_REQUEST, description, detail, retry_after_s: None }
}

/// The platform cannot at present.
const fn server(description: &'static str, detail: String) -> Answer {
    Answer {
        status: StatusCode::SERVICE_UNAVAILABLE,
        description,
        detail: Some(detail),
        retry_after_s: Some(RETRY_AFTER_S),
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let Answer { status, description, detail, retry_after_s } = self.answer();
        let kind = if status.is_server_error() { ErrorKind::Server } else { ErrorKind::Client };
        let mut response = json(snapshot::error(kind, description, detail.as_deref()));
        *response.status_mut() = status;
        if let Some(seconds) = retry_after_s {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

/// A fallback for paths that nobody serves, for whoever composes this router with others.
pub async fn not_found() -> Response {
    Refused::NotFound.into_response()
}

/// A 200 with this JSON.
pub(crate) fn json(body: String) -> Response {
    ([(header::CONTENT_TYPE, JSON)], body).into_response()
}

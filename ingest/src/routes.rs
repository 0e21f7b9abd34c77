//! The routes of the edge.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{ConnectInfo, DefaultBodyLimit, FromRequest as _, Request, State},
    http::{HeaderName, Method, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use pnyx_core::{ballot::BODY_BYTES_MAX, receipt::SignedReceipt, rejection::Rejection, wire::snapshot};
use tokio::time::timeout;
use tower_http::cors::{Any, CorsLayer};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    Ingest, Inner,
    accept::accept,
    answer::{Refused, json},
    config::{BODY_WAIT_MAX, CORS_MAX_AGE, Cors, RETRY_AFTER_S},
    openapi::{AcceptedBallot, BallotEnvelope, ErrorAnswer, PlatformKeyEntry, PlatformKeys},
    source::Source,
};

/// The header with which a browser resumes an event stream.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Serves `POST /` and `GET /v1/keys`; other methods there are refused in Snapshot's form. For other paths see
/// [`crate::not_found`], for web pages of other origins [`cors`].
pub fn router(ingest: Ingest) -> Router {
    let (router, _) = documented().split_for_parts();
    router.method_not_allowed_fallback(method_not_allowed).with_state(ingest)
}

/// What [`router`] serves, as OpenAPI.
pub fn openapi() -> utoipa::openapi::OpenApi {
    documented().into_openapi()
}

fn documented() -> OpenApiRouter<Ingest> {
    let ballots = OpenApiRouter::new().routes(routes!(post_ballot)).layer(DefaultBodyLimit::max(BODY_BYTES_MAX - 1));
    ballots.routes(routes!(get_keys))
}

/// Lets web pages of the allowed origins vote and read. A layer over everything the process serves, so that a page that
/// may vote can also see what came of it.
pub fn cors(allowed: &Cors) -> CorsLayer {
    let layer = CorsLayer::new()
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([header::CONTENT_TYPE, header::IF_NONE_MATCH, LAST_EVENT_ID])
        .expose_headers([header::ETAG, header::RETRY_AFTER])
        .max_age(CORS_MAX_AGE);
    match allowed {
        Cors::Any => layer.allow_origin(Any),
        Cors::Origins(origins) => layer.allow_origin(origins.clone()),
    }
}

/// Cast a ballot
///
/// Answers 200 only once the ballot is durable and was appended within the voting window. Sending a ballot again is
/// harmless. Whether its signature is true and its voter has power is decided later, and never here.
#[utoipa::path(
    post,
    path = "/",
    tag = "ballots",
    request_body = BallotEnvelope,
    responses(
        (status = 200, description = "Acknowledged", body = AcceptedBallot),
        (status = 400, description = "Refused for what it is, or too late", body = ErrorAnswer),
        (status = 408, description = "The body did not arrive in time", body = ErrorAnswer),
        (
            status = 429,
            description = "More from this address than its share",
            body = ErrorAnswer,
            headers(("retry-after" = u64, description = "Seconds")),
        ),
        (
            status = 503,
            description = "Too early, or not possible at present",
            body = ErrorAnswer,
            headers(("retry-after" = u64, description = "Seconds")),
        ),
    ),
)]
async fn post_ballot(State(ingest): State<Ingest>, request: Request) -> Response {
    let mut counted = ingest.inner.metrics.begin();
    match admit(&ingest.inner, request).await {
        Ok(signed) => {
            counted.set_accepted();
            json(snapshot::accepted(&signed))
        }
        Err(refused) => {
            counted.set_refused(&refused);
            refused.into_response()
        }
    }
}

/// Keeps within the source's share and what may be in flight, and reads the body.
async fn admit(ingest: &Inner, request: Request) -> Result<SignedReceipt, Refused> {
    check_rate(ingest, &request)?;
    let _in_flight = ingest.in_flight.try_acquire().map_err(|_| Refused::Overloaded)?;
    // A process that ends takes nothing new.
    if ingest.shutdown.is_requested() {
        return Err(Refused::ShuttingDown);
    }
    let body = match timeout(BODY_WAIT_MAX, Bytes::from_request(request, &())).await {
        Ok(Ok(body)) => body,
        Ok(Err(error)) if error.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            return Err(Refused::Rejected(Rejection::TooLarge));
        }
        Ok(Err(_)) => return Err(Refused::BodyBroken),
        Err(_) => return Err(Refused::BodySlow),
    };
    accept(ingest, body).await
}

/// Whether the source may send one more. A request whose connection is not known shares one limit with all such.
fn check_rate(ingest: &Inner, request: &Request) -> Result<(), Refused> {
    let Some(limiter) = &ingest.limiter else { return Ok(()) };
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(address)| address.ip());
    let peer = peer.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    let source = Source::of(peer, request.headers(), limiter.trusted_proxies());
    limiter.admit(source).map_err(|wait| Refused::RateLimited {
        retry_after_s: wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0)).max(RETRY_AFTER_S),
    })
}

/// The platform's keys
///
/// The addresses of all keys that ever signed receipts or results, as recorded in the log.
#[utoipa::path(get, path = "/v1/keys", tag = "receipts", responses((status = 200, body = PlatformKeys)))]
async fn get_keys(State(ingest): State<Ingest>) -> Json<PlatformKeys> {
    let book = ingest.inner.book.borrow();
    let entry = |key: &_| PlatformKeyEntry { address: format!("{key}"), current: *key == ingest.inner.key };
    Json(PlatformKeys { keys: book.keys().iter().map(entry).collect() })
}

async fn method_not_allowed() -> Response {
    Refused::MethodNotAllowed.into_response()
}

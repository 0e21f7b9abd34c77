//! `GET /v1/proposals/{id}/events`: the tally as server-sent events.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes},
    extract::{Path, State},
    http::{HeaderMap, HeaderName, header},
    response::{IntoResponse as _, Response},
};
use futures_util::{Stream, stream};
use prometheus_client::metrics::gauge::Gauge;
use tokio::{
    sync::{OwnedSemaphorePermit, watch},
    time,
};

use crate::api::{
    ApiState,
    error::{ApiError, ErrorBody},
    watched,
};

/// How often a comment is sent when nothing changes: below the idle time-outs of usual proxies (30 to 60 s).
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(15);

/// A comment, which readers ignore.
const KEEP_ALIVE: Bytes = Bytes::from_static(b":\n\n");

/// The header with which a reader says what it has seen.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// One connected reader.
struct Reader {
    states: watch::Receiver<Arc<watched::State>>,
    /// The version it has seen last.
    seen: Option<String>,
    _connected: Connected,
}

/// Counts a reader while it is connected.
struct Connected {
    _permit: OwnedSemaphorePermit,
    gauge: Gauge,
}

impl Connected {
    fn new(permit: OwnedSemaphorePermit, gauge: Gauge) -> Self {
        gauge.inc();
        Self { _permit: permit, gauge }
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.gauge.dec();
    }
}

/// The whole tally whenever it changes, at most 4 times a second; a slow reader skips states, and one
/// that takes nothing is disconnected. `Last-Event-ID` resumes
/// without repeating what was seen.
#[utoipa::path(get, path = "/v1/proposals/{id}/events", tag = "proposals",
    params(("id" = String, Path, description = "id or name"),
        ("Last-Event-ID" = Option<String>, Header, description = "id of the last event seen")),
    responses((status = 200, content_type = "text/event-stream", body = watched::TallyEventDto),
        (status = 404, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub(in crate::api) async fn get_events(
    State(state): State<ApiState>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let named = state.find(&id)?;
    let metrics = &state.0.tally.metrics;
    let Ok(permit) = state.0.event_readers.clone().try_acquire_owned() else {
        metrics.event_readers_refused.inc();
        return Err(ApiError::Busy { what: "readers of events" });
    };
    let connected = Connected::new(permit, metrics.event_readers.clone());
    let seen = headers.get(LAST_EVENT_ID).and_then(|value| Some(value.to_str().ok()?.to_owned()));
    let reader = Reader { states: state.watch(&named).await?, seen, _connected: connected };
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
        // Proxies that collect answers before passing them on would hold events back.
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    Ok((headers, Body::from_stream(events(reader))).into_response())
}

fn events(reader: Reader) -> impl Stream<Item = Result<Bytes, Infallible>> + Send {
    stream::unfold(reader, async |mut reader| {
        loop {
            let state = reader.states.borrow_and_update().clone();
            if reader.seen.as_ref() != Some(&state.version) {
                reader.seen = Some(state.version.clone());
                return Some((Ok(state.event.clone()), reader));
            }
            match time::timeout(KEEP_ALIVE_INTERVAL, reader.states.changed()).await {
                // Ends with the process's shutdown.
                Ok(changed) => changed.ok()?,
                Err(_) => return Some((Ok(KEEP_ALIVE), reader)),
            }
        }
    })
}

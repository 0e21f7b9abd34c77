//! `GET /v1/proposals/{id}/archive`.

use axum::{
    body::Body,
    extract::{Path, State},
    http::{HeaderMap, header},
    response::{IntoResponse as _, Response},
};
use pnyx_core::wire;

use super::result::cache;
use crate::api::{
    ApiState,
    conditional::{answer, has, version, weak_tag},
    error::{ApiError, ErrorBody},
};

/// Everything an auditor needs, as JSON lines.
#[utoipa::path(get, path = "/v1/proposals/{id}/archive", tag = "results",
    params(("id" = String, Path, description = "id or name")),
    responses((status = 200, content_type = "application/jsonl", body = String), (status = 404, body = ErrorBody),
        (status = 500, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub(in crate::api) async fn get_archive(
    State(state): State<ApiState>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let named = state.find(&id)?;
    let Some(result) = &named.decisions.result else {
        let phase = state.phase(named.id, &named.decisions).await;
        return Err(ApiError::NotFinal { what: "archive", phase });
    };
    // An archive is the same bytes for the same log, and its result names that log's records.
    let tag = weak_tag(&version(wire::result::encode(result).as_bytes()));
    let body = if has(&headers, &tag) {
        Body::empty()
    } else {
        // Opened before the status is sent, so that a failure is told as one.
        Body::from_stream((state.0.recount.archive)(named.id).await?)
    };
    Ok(answer(&headers, &tag, cache(&named), || {
        let file = format!("attachment; filename=\"{}.jsonl\"", named.id);
        ([(header::CONTENT_TYPE, "application/jsonl".to_owned()), (header::CONTENT_DISPOSITION, file)], body)
            .into_response()
    }))
}

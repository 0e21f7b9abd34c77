//! `GET /v1/proposals/{id}/result`.

use axum::{
    extract::{Path, State},
    http::HeaderMap,
    response::Response,
};
use pnyx_core::wire;

use crate::api::{
    ApiState, Named,
    conditional::{Cache, json_text},
    error::{ApiError, ErrorBody},
};

/// How long what belongs to a result may be kept: for ever under the id, briefly under a name, which a later proposal
/// may take over.
pub(super) const fn cache(named: &Named) -> Cache {
    if named.by_id { Cache::Immutable } else { Cache::Live }
}

/// The signed result, byte for byte as the log recorded it.
#[utoipa::path(get, path = "/v1/proposals/{id}/result", tag = "results",
    params(("id" = String, Path, description = "id or name")),
    responses((status = 200, body = Object), (status = 404, body = ErrorBody)))]
pub(in crate::api) async fn get_result(
    State(state): State<ApiState>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let named = state.find(&id)?;
    let Some(result) = &named.decisions.result else {
        let phase = state.phase(named.id, &named.decisions).await;
        return Err(ApiError::NotFinal { what: "result", phase });
    };
    Ok(json_text(&headers, wire::result::encode(result), cache(&named)))
}

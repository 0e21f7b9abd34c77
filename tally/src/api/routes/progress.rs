//! `GET /v1/proposals/{id}/progress`.

use std::collections::BTreeMap;

use axum::{
    extract::{Path, State},
    http::{HeaderMap, header},
    response::{IntoResponse as _, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::{
    ApiState,
    conditional::{Cache, answer, to_json, version, weak_tag},
    error::{ApiError, ErrorBody},
    snapshots::STALE_AGE,
};

/// How far the records of a proposal have come.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct ProgressDto {
    /// Where the proposal is.
    phase: &'static str,
    /// Records in the ballots topic: every acknowledged ballot, and those that came too late.
    accepted: u64,
    /// Records whose verdict is written: not those that wait for their voter's contract.
    verified: u64,
    /// Records whose verdict is in the tally as it is shown.
    counted: u64,
    /// Of those, records that count, superseded ballots included.
    counting: u64,
    /// Of those, records that do not, by reason.
    rejected: BTreeMap<&'static str, u64>,
    /// All that waits: the next two together. At 0 the tally shows every accepted record.
    lag: u64,
    /// Records without a verdict.
    lag_verify: u64,
    /// Verdicts that the tally does not show yet. A record may have more than one.
    lag_tally: u64,
    /// When the figures of the tally were true, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    as_of: Option<String>,
    /// Whether any of these figures is more than 2 s old, because the store or the log does not answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    stale: Option<bool>,
}

/// How many records were accepted, verified and counted, and what waits.
#[utoipa::path(get, path = "/v1/proposals/{id}/progress", tag = "proposals",
    params(("id" = String, Path, description = "id or name")),
    responses((status = 200, body = ProgressDto), (status = 404, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub(in crate::api) async fn get_progress(
    State(state): State<ApiState>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let named = state.find(&id)?;
    // Read after the request came, and the lanes' ends after the verifiers' offsets: a lag of 0 is never shown too early.
    let verification = state.0.tally.ends.verification(&named.decisions.definition).await?;
    let snapshot = state.snapshot(named.id, &named.decisions).await?;
    let (counting, rejected) = snapshot.tally.counters();
    let lag_verify = verification.value.lag();
    let lag_tally = snapshot.tally.behind_of(&verification.value.lane_ends);
    let mut document = ProgressDto {
        phase: snapshot.phase.name(),
        accepted: verification.value.accepted,
        verified: verification.value.verified(),
        counted: counting + rejected.values().sum::<u64>(),
        counting,
        rejected: rejected.clone(),
        lag: lag_verify + lag_tally,
        lag_verify,
        lag_tally,
        as_of: None,
        stale: None,
    };
    let tag = weak_tag(&version(to_json(&document).as_bytes()));
    Ok(answer(&headers, &tag, Cache::Live, || {
        let (as_of, is_stale) = snapshot.tally.age();
        (document.as_of, document.stale) = (as_of, Some(is_stale || verification.age() > STALE_AGE));
        ([(header::CONTENT_TYPE, "application/json")], to_json(&document)).into_response()
    }))
}

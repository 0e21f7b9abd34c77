//! `GET /v1/proposals/{id}/progress`.

use std::collections::BTreeMap;

use axum::{
    extract::{Path, State},
    http::HeaderMap,
    response::Response,
};
use pnyx_backbone::log::{LogError, Topic};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    VERIFIER_GROUP,
    api::{
        ApiState, Named,
        conditional::{Cache, json},
        error::{ApiError, ErrorBody},
    },
};

/// How far the records of a proposal have come.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct ProgressDto {
    /// Where the proposal is.
    phase: &'static str,
    /// Records in the ballots topic: every acknowledged ballot, and those that came too late.
    accepted: u64,
    /// Records whose verdict is written.
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
}

/// How many records wait for their verdict.
pub(super) struct Verification {
    accepted: u64,
    verified: u64,
}

impl Verification {
    /// Reads the verifiers' offsets and the ends of the ballots.
    pub(super) async fn read(state: &ApiState, named: &Named) -> Result<Self, ApiError> {
        let ballots = Topic::ballots(named.id);
        // What is done is read before what there is to do, so that a lag of 0 is never shown too early.
        let committed = match state.0.tally.log.committed(&ballots, VERIFIER_GROUP).await {
            Err(LogError::UnknownTopic { .. }) => Vec::new(),
            answer => answer?,
        };
        let accepted = state.0.tally.ends(&ballots).await?.iter().sum();
        Ok(Self { accepted, verified: committed.iter().sum() })
    }

    /// Records without a verdict.
    pub(super) const fn lag(&self) -> u64 {
        self.accepted.saturating_sub(self.verified)
    }
}

/// How many records were accepted, verified and counted, and what waits.
#[utoipa::path(get, path = "/v1/proposals/{id}/progress", tag = "proposals",
    params(("id" = String, Path, description = "id or name")),
    responses((status = 200, body = ProgressDto), (status = 404, body = ErrorBody)))]
pub(in crate::api) async fn get_progress(
    State(state): State<ApiState>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let named = state.find(&id)?;
    // Verifiers commit after they have written their verdicts, so the lanes' ends are read after their offsets.
    let verification = Verification::read(&state, &named).await?;
    let snapshot = state.snapshot(named.id, &named.decisions).await?;
    let (counting, rejected) = snapshot.tally.counters();
    let (lag_verify, lag_tally) = (verification.lag(), snapshot.tally.behind());
    let document = ProgressDto {
        phase: snapshot.phase.name(),
        accepted: verification.accepted,
        verified: verification.verified,
        counted: counting + rejected.values().sum::<u64>(),
        counting,
        rejected: rejected.clone(),
        lag: lag_verify + lag_tally,
        lag_verify,
        lag_tally,
    };
    Ok(json(&headers, &document, Cache::Live))
}

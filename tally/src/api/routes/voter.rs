//! `GET /v1/proposals/{id}/voters/{address}`.

use axum::{
    extract::{Path, State},
    http::HeaderMap,
    response::Response,
};
use pnyx_core::id::Voter;
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    ballots::BallotDto,
    power::{StrategyPowerDto, known},
    rejections::RejectionDto,
};
use crate::api::{
    ApiState,
    conditional::{Cache, json},
    error::{ApiError, ErrorBody},
    explanations,
    inclusion::InclusionDto,
    search::Searched,
};

/// Most rejected records shown of a voter: anybody can send records that claim anybody.
const REJECTIONS_MAX: usize = 20;

/// What is known of a voter, before and after a ballot.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct VoterDto {
    /// The proposal.
    proposal: String,
    /// The voter.
    voter: String,
    /// The voter's weight: the sum over the strategies. Null if it is not known, or can never be.
    power: Option<String>,
    /// Why the power is null; else null.
    power_missing: Option<String>,
    /// What each strategy gives, in the order of the definition.
    power_by_strategy: Vec<StrategyPowerDto>,
    /// The ballot that counts; null where none does.
    ballot: Option<BallotDto>,
    /// Why that ballot counts, or why none does.
    explanation: String,
    /// Rejected records that claim this voter, by place; the last of many. Anybody can send those; they displace nothing.
    rejections: Vec<RejectionDto>,
    /// Which verdicts were looked at for them: all, the newest, or nothing, when others are searching; ask again then.
    rejections_searched: Searched,
    /// Once the proposal is final: proof that the ballot is in the published result.
    inclusion: Option<InclusionDto>,
    /// Why a ballot of a final proposal is without proof at this moment; else null.
    inclusion_missing: Option<&'static str>,
}

/// One voter's power, ballot and rejected records, with the reasons.
#[utoipa::path(get, path = "/v1/proposals/{id}/voters/{address}", tag = "ballots",
    params(("id" = String, Path, description = "id or name"), ("address" = String, Path, description = "in any case")),
    responses((status = 200, body = VoterDto), (status = 400, body = ErrorBody), (status = 404, body = ErrorBody),
        (status = 503, body = ErrorBody)))]
pub(in crate::api) async fn get_voter(
    State(state): State<ApiState>,
    headers: HeaderMap,
    Path((id, address)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let voter = Voter::from_any_case(&address)
        .map_err(|problem| ApiError::Parameter { name: "address", problem: problem.to_string() })?;
    let named = state.find(&id)?;
    let store = &state.0.tally.store;
    let power = state.0.tally.powers.of(&named.decisions, voter).await;
    let ballot = state.ballots_in_time(named.id, store.standing_ballot(named.id, voter)).await?;
    let (rejected, searched) = state.rejected_of(named.id, voter).await;
    let explanation = match &ballot {
        Some(ballot) => explanations::standing(ballot),
        None => {
            // What was proven to be the voter's own says more than what anybody may have sent.
            let rejections = || rejected.iter().map(|rejected| rejected.record.rejection);
            let own = rejections().rfind(|rejection| rejection.signer_is_proven()).or_else(|| rejections().next_back());
            let verification = state.0.tally.ends.verification(named.id).await?;
            let snapshot = state.snapshot(named.id, &named.decisions).await?;
            let waiting = verification.value.lag() + snapshot.tally.behind();
            explanations::nothing_stands(power.total, own, searched, waiting)
        }
    };
    let (inclusion, missing) = match (&ballot, &named.decisions.result) {
        (Some(ballot), Some(result)) => {
            match state.inclusion(named.id, voter, ballot, result.core.ballots_root).await? {
                Ok(inclusion) => (Some(inclusion), None),
                Err(missing) => (None, Some(missing.text())),
            }
        }
        (Some(_), None) | (None, _) => (None, None),
    };
    let newest = rejected.len().saturating_sub(REJECTIONS_MAX);
    let document = VoterDto {
        proposal: named.id.to_string(),
        voter: voter.to_string(),
        power: power.total.and_then(known).map(|power| power.to_string()),
        power_missing: explanations::power_missing(&power),
        power_by_strategy: power.by_strategy.iter().map(StrategyPowerDto::new).collect(),
        ballot: ballot.as_ref().map(|ballot| BallotDto::new(voter, ballot)),
        explanation,
        rejections: rejected[newest..].iter().map(RejectionDto::new).collect(),
        rejections_searched: searched,
        inclusion,
        inclusion_missing: missing,
    };
    Ok(json(&headers, &document, Cache::Live))
}

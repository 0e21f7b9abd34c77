//! `GET /v1/proposals/{id}/leaderboard`.

use axum::{
    extract::{Path, Query, State, rejection::QueryRejection},
    http::HeaderMap,
    response::Response,
};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::api::{
    ApiState,
    conditional::{Cache, json},
    error::{ApiError, ErrorBody},
    paging::{self, PageQuery, rank_cursor},
    texts::choice_json,
};

/// A page of voters by power, the highest first, exactly; equal ones by address.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct LeaderboardDto {
    voters: Vec<RankedVoterDto>,
    /// Where the next page begins; null on the last.
    next_cursor: Option<String>,
}

/// A voter in the leaderboard.
#[derive(Serialize, ToSchema)]
struct RankedVoterDto {
    /// Who voted.
    voter: String,
    /// The voter's weight.
    power: String,
    /// The choice in its canonical form.
    #[schema(value_type = Object)]
    choice: Box<RawValue>,
}

/// Lists voters whose ballot stands by power.
#[utoipa::path(get, path = "/v1/proposals/{id}/leaderboard", tag = "ballots",
    params(("id" = String, Path, description = "id or name"), PageQuery),
    responses((status = 200, body = LeaderboardDto), (status = 400, body = ErrorBody), (status = 404, body = ErrorBody),
        (status = 503, body = ErrorBody)))]
pub(in crate::api) async fn get_leaderboard(
    State(state): State<ApiState>,
    headers: HeaderMap,
    Path(id): Path<String>,
    query: Result<Query<PageQuery>, QueryRejection>,
) -> Result<Response, ApiError> {
    let page = paging::read(query)?;
    let (limit, after) = (page.limit()?, page.after(rank_cursor)?);
    let named = state.find(&id)?;
    let mut ranked =
        state.ballots_in_time(named.id, state.0.tally.store.leaderboard(named.id, after, limit + 1)).await?;
    let has_more = ranked.len() > limit;
    ranked.truncate(limit);
    let next_cursor = ranked.last().filter(|_| has_more).map(|(voter, power, _)| format!("{power}_{voter}"));
    let voters = ranked.iter().map(|(voter, power, choice)| RankedVoterDto {
        voter: voter.to_string(),
        power: power.to_string(),
        choice: choice_json(choice),
    });
    Ok(json(&headers, &LeaderboardDto { voters: voters.collect(), next_cursor }, Cache::Live))
}

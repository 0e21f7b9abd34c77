//! `GET /v1/proposals/{id}/ballots`.

use axum::{
    extract::{Path, Query, State, rejection::QueryRejection},
    http::HeaderMap,
    response::Response,
};
use pnyx_core::{id::Voter, tally::StandingBallot};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::api::{
    ApiState,
    conditional::{Cache, json},
    error::{ApiError, ErrorBody},
    paging::{self, PageQuery, voter_cursor},
    texts::{PlaceDto, choice_json, signed_at_text},
};

/// A page of standing ballots, by voter.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct BallotsDto {
    ballots: Vec<BallotDto>,
    /// Where the next page begins; null on the last.
    next_cursor: Option<String>,
}

/// The one ballot of a voter that counts.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct BallotDto {
    /// Who voted.
    voter: String,
    /// The ballot's identity: its EIP-712 signing hash.
    digest: String,
    /// The choice in its canonical form.
    #[schema(value_type = Object)]
    choice: Box<RawValue>,
    /// The voter's weight.
    power: String,
    /// The voter's own claim of when, RFC 3339.
    signed_at: String,
    /// The same in seconds since the epoch, as it was signed.
    signed_at_s: u64,
    /// Where a counting record of it lies in the ballots topic.
    place: PlaceDto,
}

impl BallotDto {
    pub(in crate::api) fn new(voter: Voter, ballot: &StandingBallot) -> Self {
        let StandingBallot { digest, signed_at_s, choice, power, place } = ballot;
        Self {
            voter: voter.to_string(),
            digest: digest.to_string(),
            choice: choice_json(choice),
            power: power.to_string(),
            signed_at: signed_at_text(*signed_at_s),
            signed_at_s: *signed_at_s,
            place: (*place).into(),
        }
    }
}

/// Lists the standing ballots by voter.
#[utoipa::path(get, path = "/v1/proposals/{id}/ballots", tag = "ballots",
    params(("id" = String, Path, description = "id or name"), PageQuery),
    responses((status = 200, body = BallotsDto), (status = 400, body = ErrorBody), (status = 404, body = ErrorBody),
        (status = 503, body = ErrorBody)))]
pub(in crate::api) async fn list_ballots(
    State(state): State<ApiState>,
    headers: HeaderMap,
    Path(id): Path<String>,
    query: Result<Query<PageQuery>, QueryRejection>,
) -> Result<Response, ApiError> {
    let page = paging::read(query)?;
    let (limit, after) = (page.limit()?, page.after(voter_cursor)?);
    let named = state.find(&id)?;
    // One more than asked for tells whether there is a next page.
    let mut standing =
        state.ballots_in_time(named.id, state.0.tally.store.standing_after(named.id, after, limit + 1)).await?;
    let has_more = standing.len() > limit;
    standing.truncate(limit);
    let next_cursor = standing.last().filter(|_| has_more).map(|(voter, _)| voter.to_string());
    let ballots = standing.iter().map(|(voter, ballot)| BallotDto::new(*voter, ballot)).collect();
    Ok(json(&headers, &BallotsDto { ballots, next_cursor }, Cache::Live))
}

//! `GET /v1/proposals`.

use axum::{
    extract::{Query, State, rejection::QueryRejection},
    http::HeaderMap,
    response::Response,
};
use pnyx_backbone::clock::time_text;
use pnyx_core::{decisions::ProposalDecisions, id::ProposalId, lifecycle::Phase};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::api::{
    ApiState,
    conditional::{Cache, json},
    error::{ApiError, ErrorBody},
    paging::{self, PageQuery},
    tally_json::LeadingDto,
};

/// Which proposals are listed.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct ListQuery {
    /// Only proposals in this phase.
    phase: Option<String>,
    /// Only proposals of this space.
    space: Option<String>,
    /// Most entries, 1 to 1,000; 100 if left out.
    limit: Option<String>,
    /// `nextCursor` of the page before; the first page if left out.
    cursor: Option<String>,
}

/// A page of proposals, the newest last.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct ProposalsDto {
    proposals: Vec<ListedDto>,
    /// Where the next page begins; null on the last.
    next_cursor: Option<String>,
}

/// A proposal in a list.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ListedDto {
    /// What ballots are signed for.
    id: String,
    name: String,
    namespace: String,
    space: String,
    title: String,
    /// Snapshot's name of the voting system.
    system: &'static str,
    choices: Vec<String>,
    /// pending, open, closed, draining, recounting, final or disputed.
    phase: &'static str,
    /// RFC 3339.
    opens_at: String,
    /// RFC 3339; ballots appended at this instant no longer count.
    closes_at: String,
    /// Standing ballots.
    ballots: u64,
    /// Their power.
    total_power: String,
    /// One score a choice, the first choice first.
    scores: Vec<String>,
    /// The choice with the highest score, if there is one.
    leading: Option<LeadingDto>,
    /// Whether the store lost lanes, or has not been given any of them yet.
    rebuilding: bool,
}

/// Lists proposals in the order in which they were made.
#[utoipa::path(get, path = "/v1/proposals", tag = "proposals", params(ListQuery),
    responses((status = 200, body = ProposalsDto), (status = 400, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub(in crate::api) async fn list_proposals(
    State(state): State<ApiState>,
    headers: HeaderMap,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Response, ApiError> {
    let ListQuery { phase, space, limit, cursor } = paging::read(query)?;
    let page = PageQuery::new(limit, cursor);
    let (limit, after) = (page.limit()?, page.after(|text| text.parse::<u64>().ok())?);
    let wanted = phase.map(|name| parse_phase(&name)).transpose()?;
    let book = state.0.tally.proposals.book();
    let mut found: Vec<(ProposalId, ProposalDecisions)> = book
        .proposals()
        .iter()
        .filter(|(_, decisions)| after.is_none_or(|after| decisions.offset > after))
        .filter(|(_, decisions)| {
            space.as_ref().is_none_or(|space| decisions.definition.proposal().parts().space == *space)
        })
        .map(|(id, decisions)| (*id, decisions.clone()))
        .collect();
    found.sort_by_key(|(_, decisions)| decisions.offset);
    let (mut proposals, mut last, mut next_cursor) = (Vec::new(), None, None);
    for (id, decisions) in found {
        if let Some(wanted) = wanted
            && state.phase(id, &decisions).await != wanted
        {
            continue;
        }
        if proposals.len() == limit {
            next_cursor = last.map(|offset: u64| offset.to_string());
            break;
        }
        last = Some(decisions.offset);
        proposals.push(listed(&state, id, &decisions).await?);
    }
    Ok(json(&headers, &ProposalsDto { proposals, next_cursor }, Cache::Live))
}

async fn listed(state: &ApiState, id: ProposalId, decisions: &ProposalDecisions) -> Result<ListedDto, ApiError> {
    let snapshot = state.snapshot(id, decisions).await?;
    let proposal = decisions.definition.proposal();
    let parts = proposal.parts();
    Ok(ListedDto {
        id: id.to_string(),
        name: parts.name.clone(),
        namespace: parts.namespace.clone(),
        space: parts.space.clone(),
        title: parts.title.clone(),
        system: proposal.system().name(),
        choices: parts.choices.clone(),
        phase: snapshot.phase.name(),
        opens_at: time_text(proposal.window().opens_at()),
        closes_at: time_text(proposal.window().closes_at()),
        ballots: snapshot.tally.ballots,
        total_power: snapshot.tally.total_power,
        scores: snapshot.tally.scores,
        leading: snapshot.tally.leading,
        rebuilding: snapshot.tally.rebuilding,
    })
}

fn parse_phase(name: &str) -> Result<Phase, ApiError> {
    Phase::ALL.into_iter().find(|phase| phase.name() == name).ok_or_else(|| ApiError::Parameter {
        name: "phase",
        problem: format!("must be one of {}, not {name:?}", Phase::ALL.map(Phase::name).join(", ")),
    })
}

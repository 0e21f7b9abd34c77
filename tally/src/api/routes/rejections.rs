//! `GET /v1/proposals/{id}/rejections`: read from the verdicts in the log.

use axum::{
    extract::{Path, Query, State, rejection::QueryRejection},
    http::HeaderMap,
    response::Response,
};
use pnyx_backbone::{clock::time_text, log::LogRecord};
use pnyx_core::{
    id::{Lane, ProposalId},
    verdict::RejectedRecord,
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::ReadError;
use crate::api::{
    ApiState,
    conditional::{Cache, json},
    error::{ApiError, ErrorBody},
    explanations,
    paging::{self, PageQuery, verdict_cursor},
    search::{Rejected, rejected},
    texts::PlaceDto,
};

/// Most verdicts looked at for one page: most of them count, and a request may not read a whole log. A page may be short
/// or empty and have a next one.
const SCAN_VERDICTS_MAX: usize = 20_000;

/// A page of rejected records in the order of their verdicts, lane by lane.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct RejectionsDto {
    rejections: Vec<RejectionDto>,
    /// Records of the verdicts topic that are not verdicts: skipped, and an incident.
    unreadable: Vec<UnreadableDto>,
    /// Where the next page begins; null once the end was reached. A page may be empty and have a next one.
    next_cursor: Option<String>,
}

/// A record that does not count. A record that was judged twice is listed twice.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct RejectionDto {
    /// Number of the reason: never reused.
    code: u16,
    /// Name of the reason.
    reason: &'static str,
    /// The reason in a sentence.
    explanation: &'static str,
    /// The text that Snapshot's clients match on.
    snapshot_text: &'static str,
    /// Where the record lies in the ballots topic.
    place: PlaceDto,
    /// When it was appended, RFC 3339.
    appended_at: String,
    /// SHA-256 of the record.
    record: String,
    /// The ballot's identity, where it could be read.
    digest: Option<String>,
    /// The voter that the record claims to speak for: anybody can claim anything.
    claimed_voter: Option<String>,
}

/// A record that is not a verdict.
#[derive(Serialize, ToSchema)]
struct UnreadableDto {
    /// Partition of the verdicts topic.
    lane: u16,
    /// Offset in it.
    offset: u64,
    /// What is wrong with it.
    problem: String,
}

impl RejectionDto {
    pub(in crate::api) fn new(rejected: &Rejected) -> Self {
        let Rejected { place, appended_at, record } = rejected;
        let RejectedRecord { rejection, record, digest, claimed_voter, claimed_power: _ } = record;
        Self {
            code: rejection.code(),
            reason: rejection.name(),
            explanation: explanations::rejection(*rejection),
            snapshot_text: rejection.snapshot_text(),
            place: (*place).into(),
            appended_at: time_text(*appended_at),
            record: record.to_string(),
            digest: digest.map(|digest| digest.to_string()),
            claimed_voter: claimed_voter.map(|voter| voter.to_string()),
        }
    }
}

/// Lists the records that do not count, with the reasons.
#[utoipa::path(get, path = "/v1/proposals/{id}/rejections", tag = "ballots",
    params(("id" = String, Path, description = "id or name"), PageQuery),
    responses((status = 200, body = RejectionsDto), (status = 400, body = ErrorBody), (status = 404, body = ErrorBody),
        (status = 503, body = ErrorBody)))]
pub(in crate::api) async fn list_rejections(
    State(state): State<ApiState>,
    headers: HeaderMap,
    Path(id): Path<String>,
    query: Result<Query<PageQuery>, QueryRejection>,
) -> Result<Response, ApiError> {
    let page = paging::read(query)?;
    let (limit, after) = (page.limit()?, page.after(verdict_cursor)?);
    let named = state.find(&id)?;
    let lanes = named.decisions.definition.lanes();
    let start = after.unwrap_or((Lane(0), 0));
    let Some(_turn) = state.search_turn().await else {
        return Err(ApiError::Busy { what: "searches for rejected records" });
    };
    let mut scan = Scan { limit, left: SCAN_VERDICTS_MAX, rejections: Vec::new(), unreadable: Vec::new() };
    let next = scan.run(&state, named.id, start, lanes).await?;
    let next_cursor = next.map(|(lane, offset)| format!("{}_{offset}", lane.0));
    let Scan { rejections, unreadable, .. } = scan;
    Ok(json(&headers, &RejectionsDto { rejections, unreadable, next_cursor }, Cache::Live))
}

struct Scan {
    limit: usize,
    left: usize,
    rejections: Vec<RejectionDto>,
    unreadable: Vec<UnreadableDto>,
}

impl Scan {
    /// Looks through the lanes from `start` on; where to go on if it stopped before their ends.
    async fn run(
        &mut self,
        state: &ApiState,
        id: ProposalId,
        start: (Lane, u64),
        lanes: u16,
    ) -> Result<Option<(Lane, u64)>, ApiError> {
        let (Lane(first), mut offset) = start;
        let (ends, deadline) = state.search_range(id).await?;
        if ends.is_empty() {
            return Ok(None);
        }
        for lane in first..lanes {
            let end = ends.get(usize::from(lane)).copied().unwrap_or(0);
            let mut lane_scan = state.scan(id, lane, offset, end, deadline)?;
            loop {
                let records = match lane_scan.next(self.left).await {
                    // What was found so far is a page, too.
                    Err(ReadError::Slow) if self.left < SCAN_VERDICTS_MAX => {
                        return Ok(Some((Lane(lane), lane_scan.position())));
                    }
                    records => records?,
                };
                for record in &records {
                    if self.rejections.len() + self.unreadable.len() == self.limit {
                        return Ok(Some((Lane(lane), record.offset)));
                    }
                    self.left -= 1;
                    self.take(lane, record);
                }
                if self.left == 0 {
                    return Ok(Some((Lane(lane), lane_scan.position())));
                }
                if records.is_empty() {
                    break;
                }
            }
            offset = 0;
        }
        Ok(None)
    }

    fn take(&mut self, lane: u16, record: &LogRecord) {
        match rejected(record) {
            Ok(rejected) => self.rejections.extend(rejected.as_ref().map(RejectionDto::new)),
            Err(problem) => {
                let problem = problem.to_string();
                self.unreadable.push(UnreadableDto { lane, offset: record.offset, problem });
            }
        }
    }
}

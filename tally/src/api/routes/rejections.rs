//! `GET /v1/proposals/{id}/rejections`: read from the verdicts in the log.

use axum::{
    extract::{Path, Query, State, rejection::QueryRejection},
    http::HeaderMap,
    response::Response,
};
use pnyx_backbone::log::{LogRecord, Topic};
use pnyx_core::{
    id::{Lane, ProposalId},
    rejection::Rejection,
    verdict::{RejectedRecord, Ruling, Verdict},
    wire::verdict,
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::{
    ApiState,
    conditional::{Cache, json},
    error::{ApiError, ErrorBody},
    explanations,
    paging::{self, PageQuery, verdict_cursor},
    texts::{PlaceDto, time_text},
};

/// Most verdicts looked at for one page: most of them count, and a request may not read a whole log. A page may be short
/// or empty and have a next one.
const SCAN_VERDICTS_MAX: usize = 20_000;

/// Most verdicts read at once.
const READ_VERDICTS_MAX: usize = 2_000;

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
    /// When it was appended, RFC 3339; null where only the place is kept.
    appended_at: Option<String>,
    /// SHA-256 of the record; null where only the place is kept.
    record: Option<String>,
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
    /// A rejection of which only the place is known.
    pub(in crate::api) fn new(rejection: Rejection, place: PlaceDto) -> Self {
        Self {
            code: rejection.code(),
            reason: rejection.name(),
            explanation: explanations::rejection(rejection),
            snapshot_text: rejection.snapshot_text(),
            place,
            appended_at: None,
            record: None,
            digest: None,
            claimed_voter: None,
        }
    }

    /// With what could be read of the record.
    pub(in crate::api) fn with(self, digest: Option<String>, claimed_voter: Option<String>) -> Self {
        Self { digest, claimed_voter, ..self }
    }
}

/// Lists the records that do not count, with the reasons.
#[utoipa::path(get, path = "/v1/proposals/{id}/rejections", tag = "ballots",
    params(("id" = String, Path, description = "id or name"), PageQuery),
    responses((status = 200, body = RejectionsDto), (status = 400, body = ErrorBody), (status = 404, body = ErrorBody)))]
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
        let log = &state.0.tally.log;
        let topic = Topic::verdicts(id);
        if state.0.tally.ends(&topic).await?.is_empty() {
            return Ok(None);
        }
        for lane in first..lanes {
            let mut reader = log.reader(&topic, lane.into(), offset)?;
            loop {
                let records = reader.read_available(READ_VERDICTS_MAX.min(self.left)).await?;
                for record in &records {
                    if self.rejections.len() + self.unreadable.len() == self.limit {
                        return Ok(Some((Lane(lane), record.offset)));
                    }
                    self.left -= 1;
                    self.take(lane, record);
                }
                if self.left == 0 {
                    return Ok(Some((Lane(lane), reader.position())));
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
        match verdict::decode(&record.value) {
            Ok(Verdict { ruling: Ruling::Counts(_), .. }) => {}
            Ok(Verdict { place, appended_at, ruling: Ruling::Rejected(rejected) }) => {
                let RejectedRecord { rejection, record, digest, claimed_voter } = rejected;
                self.rejections.push(RejectionDto {
                    appended_at: Some(time_text(appended_at)),
                    record: Some(record.to_string()),
                    ..RejectionDto::new(rejection, place.into())
                        .with(digest.map(|digest| digest.to_string()), claimed_voter.map(|voter| voter.to_string()))
                });
            }
            Err(problem) => {
                let problem = problem.to_string();
                self.unreadable.push(UnreadableDto { lane, offset: record.offset, problem });
            }
        }
    }
}

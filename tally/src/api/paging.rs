//! Pages: `limit` and `cursor`.

use axum::extract::{Query, rejection::QueryRejection};
use pnyx_core::{
    id::{Lane, Voter},
    power::Power,
};
use serde::Deserialize;
use utoipa::IntoParams;

use super::error::ApiError;

/// Entries of a page unless the request says otherwise.
const LIMIT_DEFAULT: usize = 100;

/// Most entries of a page: a few hundred kilobytes.
const LIMIT_MAX: usize = 1000;

/// Where a page begins and how long it is.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct PageQuery {
    /// Most entries, 1 to 1,000; 100 if left out.
    limit: Option<String>,
    /// `nextCursor` of the page before; the first page if left out.
    cursor: Option<String>,
}

/// The query of a request, if it can be read at all.
pub(super) fn read<T>(query: Result<Query<T>, QueryRejection>) -> Result<T, ApiError> {
    match query {
        Ok(Query(query)) => Ok(query),
        Err(problem) => Err(ApiError::Parameter { name: "query", problem: problem.body_text() }),
    }
}

impl PageQuery {
    /// A page of these texts.
    pub(super) const fn new(limit: Option<String>, cursor: Option<String>) -> Self {
        Self { limit, cursor }
    }

    /// Most entries.
    pub(super) fn limit(&self) -> Result<usize, ApiError> {
        let Some(text) = &self.limit else { return Ok(LIMIT_DEFAULT) };
        let limit = text.parse().ok().filter(|limit| (1..=LIMIT_MAX).contains(limit));
        limit.ok_or_else(|| ApiError::Parameter {
            name: "limit",
            problem: format!("must be a number from 1 to {LIMIT_MAX}, not {text:?}"),
        })
    }

    /// The place after which the page begins.
    pub(super) fn after<T>(&self, parse: impl FnOnce(&str) -> Option<T>) -> Result<Option<T>, ApiError> {
        let Some(text) = &self.cursor else { return Ok(None) };
        let Some(after) = parse(text) else {
            return Err(ApiError::Parameter {
                name: "cursor",
                problem: format!("must be the nextCursor of the page before, not {text:?}"),
            });
        };
        Ok(Some(after))
    }
}

/// A cursor in ballots: the last voter of the page.
pub(super) fn voter_cursor(text: &str) -> Option<Voter> {
    Voter::from_checksummed(text).ok()
}

/// A cursor in the leaderboard: `power_voter` of the last entry.
pub(super) fn rank_cursor(text: &str) -> Option<(Power, Voter)> {
    let (power, voter) = text.split_once('_')?;
    Some((Power::parse(power).ok()?, voter_cursor(voter)?))
}

/// A cursor in the verdicts: `lane_offset` of the next one.
pub(super) fn verdict_cursor(text: &str) -> Option<(Lane, u64)> {
    let (lane, offset) = text.split_once('_')?;
    Some((Lane(lane.parse().ok()?), offset.parse().ok()?))
}

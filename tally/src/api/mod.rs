//! The read API under `/v1`: JSON, event streams and archives, from whatever the store and the log hold now.
//!
//! Every process that reads the same store and log answers alike. Nothing waits for long for a store or a log that does
//! not answer: tallies are served as they were last, with their time, and what cannot be had is 503 with `Retry-After`.
//!
//! `{id}` is a proposal's id, its resource's name, or `namespace/name` with the slash percent-encoded.

mod conditional;
mod error;
mod explanations;
mod inclusion;
mod paging;
mod routes;
mod search;
mod snapshots;
mod stalled;
mod tally_json;
mod texts;
mod watched;

use std::{
    collections::BTreeMap,
    error::Error,
    fmt, io,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::body::Bytes;
use futures_util::{future::BoxFuture, stream::BoxStream};
use pnyx_backbone::store::StoreError;
use pnyx_core::{decisions::ProposalDecisions, id::ProposalId, wire::definition::definition_json};
use serde_json::value::RawValue;
use tokio::{sync::Semaphore, time};
use utoipa::openapi::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{ReadError, Tally, lock};
use error::ApiError;
use snapshots::Snapshots;
use watched::Watched;

pub use stalled::{STALL_MAX_DEFAULT, StallBound};

/// Longest that a request waits for a page from the store: a page takes milliseconds.
const STORE_WAIT_MAX: Duration = Duration::from_secs(2);

/// An archive's bytes, piece by piece.
pub type ArchiveBytes = BoxStream<'static, io::Result<Bytes>>;

/// Why an archive cannot be had. The text of what lies behind it is shown to the reader.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveProblem {
    /// There is none: no such proposal, or no result yet.
    #[error("there is no such archive")]
    Missing(#[source] Box<dyn Error + Send + Sync>),
    /// Not at present: too many are being sent, the process ends, or the log cannot be read.
    #[error("the archive cannot be had at present")]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),
    /// The log does not give the published result: a person has to look.
    #[error("the archive cannot be made")]
    Failed(#[source] Box<dyn Error + Send + Sync>),
}

/// An archive that is being opened: its beginning may wait for a whole recount.
pub type ArchiveOpening = BoxFuture<'static, Result<ArchiveBytes, ArchiveProblem>>;

/// What readers get from the recount, which is another component: whoever composes them fills this in.
pub struct RecountSource {
    /// The archive of a proposal that has a result.
    pub archive: Box<dyn Fn(ProposalId) -> ArchiveOpening + Send + Sync>,
}

/// What the handlers share. Cheap to clone.
#[derive(Clone)]
pub struct ApiState(Arc<Inner>);

struct Inner {
    tally: Tally,
    recount: RecountSource,
    snapshots: Snapshots,
    watched: Watched,
    event_readers: Arc<Semaphore>,
    inclusion_paths: Semaphore,
    searches: Semaphore,
    /// Definitions as JSON: they never change, and the largest take milliseconds to write.
    definitions: Mutex<BTreeMap<ProposalId, Arc<RawValue>>>,
}

impl fmt::Debug for ApiState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiState").finish_non_exhaustive()
    }
}

/// A proposal that a request names.
struct Named {
    id: ProposalId,
    decisions: ProposalDecisions,
    /// It was named by its id, so that the address will never mean another one.
    by_id: bool,
}

impl ApiState {
    /// Serves what `tally` maintains.
    pub fn new(tally: Tally, recount: RecountSource) -> Self {
        let event_readers = Arc::new(Semaphore::new(tally.config.event_readers_max));
        Self(Arc::new(Inner {
            snapshots: Snapshots::new(&tally),
            watched: Watched::default(),
            event_readers,
            inclusion_paths: Semaphore::new(inclusion::PATHS_AT_ONCE_MAX),
            searches: Semaphore::new(search::SEARCHES_AT_ONCE_MAX),
            definitions: Mutex::default(),
            recount,
            tally,
        }))
    }

    /// What the store answers, if it does so in time.
    async fn in_time<T>(&self, reading: impl Future<Output = Result<T, StoreError>>) -> Result<T, ApiError> {
        match time::timeout(STORE_WAIT_MAX, reading).await {
            Ok(answer) => Ok(answer?),
            Err(_) => Err(ReadError::Slow.into()),
        }
    }

    /// What the store answers of ballots: nothing as long as it holds lanes of another log, which owners are about to
    /// replace.
    async fn ballots_in_time<T: Default>(
        &self,
        proposal: ProposalId,
        reading: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, ApiError> {
        let log = self.0.tally.log.identity();
        let lanes = self.in_time(self.0.tally.store.lane_stamps(proposal)).await?;
        if lanes.iter().flatten().any(|lane| lane.position.log != log) {
            return Ok(T::default());
        }
        self.in_time(reading).await
    }

    fn find(&self, given: &str) -> Result<Named, ApiError> {
        let unknown = || ApiError::UnknownProposal { given: given.to_owned() };
        let id = self.0.tally.proposals.find(given).ok_or_else(unknown)?;
        let decisions = self.0.tally.proposals.book().get(id).cloned().ok_or_else(unknown)?;
        Ok(Named { id, decisions, by_id: given == id.to_string() })
    }

    fn definition(&self, named: &Named) -> Arc<RawValue> {
        let mut definitions = lock(&self.0.definitions);
        let json = definitions.entry(named.id).or_insert_with(|| {
            let json = definition_json(&named.decisions.definition);
            RawValue::from_string(json).expect("a definition's JSON is JSON").into()
        });
        json.clone()
    }
}

/// The routes, and the document that describes them.
pub fn router(state: ApiState) -> (axum::Router, OpenApi) {
    let (router, document) = routes_and_document().split_for_parts();
    (router.with_state(state), document)
}

/// The document alone.
pub fn openapi() -> OpenApi {
    routes_and_document().into_openapi()
}

fn routes_and_document() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(routes::list::list_proposals))
        .routes(routes!(routes::proposal::get_proposal))
        .routes(routes!(routes::ballots::list_ballots))
        .routes(routes!(routes::rejections::list_rejections))
        .routes(routes!(routes::voter::get_voter))
        .routes(routes!(routes::leaderboard::get_leaderboard))
        .routes(routes!(routes::progress::get_progress))
        .routes(routes!(routes::result::get_result))
        .routes(routes!(routes::archive::get_archive))
        .routes(routes!(routes::events::get_events))
}

//! One listener for everything: the edge, the read API, keys, health and metrics, and the document that describes them.

use std::{io, sync::Arc};

use anyhow::Context as _;
use axum::{Json, Router, body::Bytes, routing::get};
use futures_util::{FutureExt as _, StreamExt as _, TryStreamExt as _};
use pnyx_backbone::health::Health;
use pnyx_core::id::ProposalId;
use pnyx_ingest::{Cors, Ingest};
use pnyx_recount::{ArchiveError, Archives, Disputes, RecountError};
use pnyx_tally::{
    Tally,
    api::{self, ApiState, ArchiveBytes, ArchiveProblem, RecountSource},
};
use utoipa::openapi::OpenApi;

/// Everything the process serves, to web pages of the origins in `cors` too.
pub(super) fn router(
    ingest: Ingest,
    cors: &Cors,
    tally: Tally,
    archives: Arc<Archives>,
    disputes: Disputes,
    health: &Health,
) -> Router {
    let recount = RecountSource {
        archive: Box::new(move |proposal| archive(Arc::clone(&archives), proposal).boxed()),
        is_disputed: Box::new(move |proposal| disputes.contains(proposal)),
    };
    let (read_api, _) = api::router(ApiState::new(tally, recount));
    let document = openapi();
    Router::new()
        .merge(pnyx_ingest::router(ingest))
        .merge(read_api)
        .merge(health.router())
        .route("/v1/openapi.json", get(async move || Json(document)))
        .fallback(pnyx_ingest::not_found)
        .layer(pnyx_ingest::cors(cors))
}

/// The OpenAPI document of the whole process as pretty JSON.
pub(super) fn openapi_json() -> anyhow::Result<String> {
    openapi().to_pretty_json().context("writing the OpenAPI document")
}

fn openapi() -> OpenApi {
    let mut document = pnyx_ingest::openapi();
    document.merge(api::openapi());
    "Pnyx".clone_into(&mut document.info.title);
    env!("CARGO_PKG_VERSION").clone_into(&mut document.info.version);
    document.info.description = Some(
        "Governance voting: ballots in Snapshot's wire format on `POST /`, everything that can be read under `/v1`."
            .to_owned(),
    );
    document
}

async fn archive(archives: Arc<Archives>, proposal: ProposalId) -> Result<ArchiveBytes, ArchiveProblem> {
    let chunks = archives.stream(proposal).await.map_err(archive_problem)?;
    Ok(chunks.map_ok(Bytes::from).map_err(io::Error::other).boxed())
}

fn archive_problem(error: ArchiveError) -> ArchiveProblem {
    let kind = match &error {
        ArchiveError::UnknownProposal { .. } | ArchiveError::NotFinal { .. } => ArchiveProblem::Missing,
        ArchiveError::Busy
        | ArchiveError::ShuttingDown
        | ArchiveError::ReaderStalled
        | ArchiveError::Log(_)
        | ArchiveError::Recount(RecountError::Log(_) | RecountError::Interrupted) => ArchiveProblem::Unavailable,
        ArchiveError::Differs { .. }
        | ArchiveError::Recount(
            RecountError::LogBehindCut { .. } | RecountError::RecordsRoot { .. } | RecountError::Thread(_),
        ) => ArchiveProblem::Failed,
    };
    kind(Box::new(error))
}

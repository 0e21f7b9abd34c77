//! What is served over HTTP: the edge, the read API, keys, and the document that describes them;
//! together in one process or each in its own.

use std::{io, process::ExitCode, sync::Arc};

use anyhow::Context as _;
use axum::{Json, Router, body::Bytes, http::HeaderValue, routing::get};
use futures_util::{FutureExt as _, StreamExt as _, TryStreamExt as _};
use pnyx_core::id::ProposalId;
use pnyx_ingest::Cors;
use pnyx_recount::{ArchiveError, Archives, EvidenceError, RecountError};
use pnyx_tally::{
    Tally,
    api::{self, ApiState, ArchiveBytes, ArchiveProblem, RecountSource},
};
use utoipa::openapi::OpenApi;

use crate::screen;

/// The read API over what a tally maintains, archives included.
pub(crate) fn read_api(tally: Tally, archives: Arc<Archives>) -> Router {
    let recount = RecountSource { archive: Box::new(move |proposal| archive(Arc::clone(&archives), proposal).boxed()) };
    api::router(ApiState::new(tally, recount)).0
}

/// An API as a process serves it: to web pages of these origins too, described, and with an answer for every other path.
pub(crate) fn whole(api: Router, cors: &Cors) -> Router {
    let document = openapi();
    api.route("/v1/openapi.json", get(async move || Json(document)))
        .fallback(pnyx_ingest::not_found)
        .layer(pnyx_ingest::cors(cors))
}

/// Web pages of these origins may call; `*` is any.
pub(crate) fn cors(origins: &[String]) -> anyhow::Result<Cors> {
    if origins.iter().any(|origin| origin == "*") {
        return Ok(Cors::Any);
    }
    let values: anyhow::Result<Vec<HeaderValue>> = origins
        .iter()
        .map(|origin| origin.parse().with_context(|| format!("the CORS origin {origin:?} is not an origin")))
        .collect();
    Ok(Cors::Origins(values?))
}

/// Prints the OpenAPI document of the whole HTTP API.
pub(crate) fn print_openapi() -> anyhow::Result<ExitCode> {
    screen::line(&openapi().to_pretty_json().context("writing the OpenAPI document")?);
    Ok(ExitCode::SUCCESS)
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
        | ArchiveError::ReaderStalled { .. }
        | ArchiveError::Read(_)
        | ArchiveError::Store(_)
        | ArchiveError::Evidence(EvidenceError::Log(_) | EvidenceError::Stalled { .. })
        | ArchiveError::Recount(
            RecountError::Read(_) | RecountError::Power(_) | RecountError::Signatures(_) | RecountError::Interrupted,
        ) => ArchiveProblem::Unavailable,
        ArchiveError::Differs { .. }
        | ArchiveError::Damaged { .. }
        | ArchiveError::Recount(RecountError::LogBehindCut { .. } | RecountError::RecordsRoot { .. }) => {
            ArchiveProblem::Failed
        }
    };
    kind(Box::new(error))
}

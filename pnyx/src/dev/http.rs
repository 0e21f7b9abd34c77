//! One listener for everything: the edge, the read API, keys, health and metrics, and the document that describes them.

use std::{
    collections::BTreeSet,
    io,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Context as _;
use axum::{Json, Router, body::Bytes, routing::get};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use pnyx_backbone::{health::Health, shutdown::Shutdown};
use pnyx_core::{id::ProposalId, lifecycle::Phase};
use pnyx_ingest::Ingest;
use pnyx_recount::{Archives, PhaseChange};
use pnyx_tally::{
    Tally,
    api::{self, ApiState, ArchiveBytes, RecountSource},
};
use tokio::sync::broadcast::{self, error::RecvError};
use utoipa::openapi::OpenApi;

/// Everything the process serves.
pub(super) fn router(
    ingest: Ingest,
    tally: Tally,
    archives: Arc<Archives>,
    phases: broadcast::Receiver<PhaseChange>,
    health: &Health,
    shutdown: &Shutdown,
) -> Router {
    let disputed = follow_disputes(phases, shutdown);
    let recount = RecountSource {
        archive: Box::new(move |proposal| archive(Arc::clone(&archives), proposal)),
        is_disputed: Box::new(move |proposal| {
            disputed.lock().unwrap_or_else(PoisonError::into_inner).contains(&proposal)
        }),
    };
    let (read_api, _) = api::router(ApiState::new(tally, recount));
    let document = openapi();
    Router::new()
        .merge(pnyx_ingest::router(ingest))
        .merge(read_api)
        .merge(health.router())
        .route("/v1/openapi.json", get(async move || Json(document)))
        .fallback(pnyx_ingest::not_found)
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

fn archive(archives: Arc<Archives>, proposal: ProposalId) -> ArchiveBytes {
    let opened = async move { archives.stream(proposal).await.map_err(io::Error::other) };
    let chunks = stream::once(opened).map_ok(|chunks| chunks.map_ok(Bytes::from).map_err(io::Error::other));
    chunks.try_flatten().boxed()
}

/// Proposals whose recount differs from the live tally, kept up to date until shutdown.
fn follow_disputes(
    mut phases: broadcast::Receiver<PhaseChange>,
    shutdown: &Shutdown,
) -> Arc<Mutex<BTreeSet<ProposalId>>> {
    let disputed = Arc::new(Mutex::new(BTreeSet::new()));
    let (followed, stop) = (Arc::clone(&disputed), shutdown.clone());
    shutdown.spawn("disputes", async move {
        loop {
            let change = tokio::select! {
                () = stop.requested() => return,
                change = phases.recv() => change,
            };
            match change {
                Ok(PhaseChange { proposal, phase }) => {
                    let mut disputed = followed.lock().unwrap_or_else(PoisonError::into_inner);
                    if phase == Phase::Disputed {
                        disputed.insert(proposal)
                    } else {
                        disputed.remove(&proposal)
                    };
                }
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            }
        }
    });
    disputed
}

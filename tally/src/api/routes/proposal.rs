//! `GET /v1/proposals/{id}`.

use std::sync::Arc;

use axum::{
    extract::{Path, State},
    http::{HeaderMap, header},
    response::{IntoResponse as _, Response},
};
use pnyx_backbone::clock::time_text;
use pnyx_core::{
    chain::{ChainId, Pin, SnapshotRule},
    decisions::ProposalDecisions,
    time::TimestampMs,
    wire,
};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::{
    api::{
        ApiState,
        conditional::{Cache, answer, to_json, version, weak_tag},
        error::{ApiError, ErrorBody},
        tally_json::TallyDto,
    },
    chain_watch::{ChainView, ChainWatch, is_in_progress},
};

/// A proposal with all that binds its voters, and where its vote is.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct ProposalDto {
    /// What ballots are signed for: the hash of the definition's proposal.
    id: String,
    name: String,
    namespace: String,
    space: String,
    title: String,
    /// pending, open, closed, draining, recounting, final or disputed.
    phase: &'static str,
    /// RFC 3339.
    opens_at: String,
    /// RFC 3339; ballots appended at this instant no longer count.
    closes_at: String,
    /// The blocks at which power is read; null for a proposal that reads no chain.
    snapshot: Option<SnapshotDto>,
    /// The tally as it is counted, also while a final proposal is counted again after a loss.
    tally: TallyDto,
    /// The signed result; null before the proposal is final.
    #[schema(value_type = Option<Object>)]
    result: Option<Box<RawValue>>,
    /// The definition as the log recorded it.
    #[serde(serialize_with = "shared_json")]
    #[schema(value_type = Object)]
    definition: Arc<RawValue>,
}

/// Where power is read.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct SnapshotDto {
    /// The decided blocks, one a chain; null before they are final. Ballots are taken meanwhile and counted afterwards.
    pins: Option<Vec<PinDto>>,
    /// What is waited for before the blocks are decided; else null.
    waiting_for: Option<String>,
    /// The chains that are read; empty once the result is published, because nothing waits for them then.
    chains: Vec<ChainDto>,
}

/// How a chain does, as this process sees it: at most 5 s old while ballots wait, and else about a minute. While it does not
/// answer the ballots of the proposal wait, and none is rejected for it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ChainDto {
    /// The chain's id.
    chain: String,
    /// answering, unreachable (fewer endpoints answer than must agree), stopped (they contradict each other) or unknown.
    status: &'static str,
    /// What is wrong with which endpoint, by name, also where others answer; null for nothing.
    reason: Option<String>,
    /// Since when it has this status, RFC 3339; null where nobody has looked.
    since: Option<String>,
}

/// A block at which a chain is read, for ever.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct PinDto {
    /// The chain's id.
    chain: String,
    /// The block's number.
    block: u64,
    /// The block's hash.
    block_hash: String,
    /// The block's own time, RFC 3339.
    block_time: String,
}

impl SnapshotDto {
    fn of(decisions: &ProposalDecisions, watch: &ChainWatch) -> Option<Self> {
        let rules = &decisions.definition.proposal().parts().snapshots;
        if rules.is_empty() {
            return None;
        }
        let pins = decisions.pins.as_ref().map(|pins| pins.by_chain().values().map(PinDto::new).collect());
        let waiting_for = decisions.waits_for_pins().then(|| {
            let rules: Vec<String> = rules.iter().map(|(chain, rule)| rule_text(*chain, *rule)).collect();
            format!("these blocks to be final: {}", rules.join(", "))
        });
        let watched = rules.keys().filter(|_| is_in_progress(decisions));
        let chains = watched.map(|chain| ChainDto::new(*chain, watch.view(*chain))).collect();
        Some(Self { pins, waiting_for, chains })
    }
}

impl ChainDto {
    fn new(chain: ChainId, view: ChainView) -> Self {
        let ChainView { state, reason, since } = view;
        Self { chain: chain.to_string(), status: state.name(), reason, since: since.map(time_text) }
    }
}

impl PinDto {
    fn new(pin: &Pin) -> Self {
        let Pin { chain, number, hash, timestamp_s } = pin;
        Self {
            chain: chain.to_string(),
            block: number.0,
            block_hash: hash.to_string(),
            block_time: time_text(TimestampMs(timestamp_s.saturating_mul(1_000))),
        }
    }
}

fn rule_text(chain: ChainId, rule: SnapshotRule) -> String {
    match rule {
        SnapshotRule::Block(number) => format!("block {number} of chain {chain}"),
        SnapshotRule::AtOrBefore(time) => format!("the last block of chain {chain} at or before {}", time_text(time)),
    }
}

fn shared_json<S: Serializer>(json: &RawValue, serializer: S) -> Result<S::Ok, S::Error> {
    json.serialize(serializer)
}

/// Everything about one proposal.
#[utoipa::path(get, path = "/v1/proposals/{id}", tag = "proposals",
    params(("id" = String, Path, description = "id or name")),
    responses((status = 200, body = ProposalDto), (status = 404, body = ErrorBody), (status = 503, body = ErrorBody)))]
pub(in crate::api) async fn get_proposal(
    State(state): State<ApiState>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let named = state.find(&id)?;
    let snapshot = state.snapshot(named.id, &named.decisions).await?;
    // What is known of chains is the only part that changes without the tally or the phase.
    let of_chains = SnapshotDto::of(&named.decisions, &state.0.tally.chain_watch);
    let chains_version = of_chains.as_ref().map(|of_chains| version(to_json(of_chains).as_bytes())).unwrap_or_default();
    let tag = weak_tag(&format!("{}{chains_version}", snapshot.version));
    Ok(answer(&headers, &tag, Cache::Live, || {
        let proposal = named.decisions.definition.proposal();
        let parts = proposal.parts();
        let document =
            ProposalDto {
                id: named.id.to_string(),
                name: parts.name.clone(),
                namespace: parts.namespace.clone(),
                space: parts.space.clone(),
                title: parts.title.clone(),
                phase: snapshot.phase.name(),
                opens_at: time_text(proposal.window().opens_at()),
                closes_at: time_text(proposal.window().closes_at()),
                snapshot: of_chains,
                tally: snapshot.tally,
                result: named.decisions.result.as_ref().map(|result| {
                    RawValue::from_string(wire::result::encode(result)).expect("a result's JSON is JSON")
                }),
                definition: state.definition(&named),
            };
        ([(header::CONTENT_TYPE, "application/json")], to_json(&document)).into_response()
    }))
}

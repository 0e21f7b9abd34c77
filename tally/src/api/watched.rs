//! Watched proposals: one task each renders the tally when it changes and hands the same text to every reader.
//!
//! A reader sees the newest state whenever it is ready for one; states in between are skipped, nothing is queued.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::body::Bytes;
use pnyx_core::id::ProposalId;
use serde::Serialize;
use tokio::{sync::watch, time};
use tracing::warn;
use utoipa::ToSchema;

use super::{ApiState, Named, conditional::to_json, error::ApiError, tally_json::TallyDto};
use crate::{Shared, lock};

/// Least time between two states: 4 a second is as much as a person can follow.
const STATE_INTERVAL: Duration = Duration::from_millis(250);

/// How often a proposal is looked at even when its tally does not change: its phase follows the clock.
const PHASE_INTERVAL: Duration = Duration::from_secs(1);

/// When a reader should connect again, which also spreads readers after a restart.
const RECONNECT_AFTER: Duration = Duration::from_secs(2);

/// One state of a proposal, as every reader gets it.
#[derive(Debug)]
pub(super) struct State {
    /// The event's id.
    pub(super) version: String,
    /// The whole event as it is sent: the same bytes for everybody.
    pub(super) event: Bytes,
}

/// What an event says: the whole tally, so that a reader may miss any of them.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TallyEventDto {
    /// The proposal.
    id: String,
    /// Where it is.
    phase: &'static str,
    /// Its tally.
    tally: TallyDto,
}

/// The proposals that somebody watches.
#[derive(Debug, Clone, Default)]
pub(super) struct Watched {
    states: Shared<BTreeMap<ProposalId, watch::Sender<Arc<State>>>>,
}

impl ApiState {
    /// Follows the states of a proposal, beginning with the one of now.
    pub(super) async fn watch(&self, named: &Named) -> Result<watch::Receiver<Arc<State>>, ApiError> {
        let shutdown = &self.0.tally.shutdown;
        if let Some(sender) = lock(&self.0.watched.states).get(&named.id) {
            return Ok(sender.subscribe());
        }
        let first = self.state(named.id).await?;
        // Under the lock: a renderer that ends looks for readers under it, too.
        let mut states = lock(&self.0.watched.states);
        if shutdown.is_requested() {
            return Err(ApiError::Busy { what: "readers of a process that ends" });
        }
        if let Some(sender) = states.get(&named.id) {
            return Ok(sender.subscribe());
        }
        let (sender, receiver) = watch::channel(first);
        states.insert(named.id, sender.clone());
        drop(states);
        shutdown.spawn("tally events", self.clone().render(named.id, sender));
        Ok(receiver)
    }

    /// Renders states until nobody watches, or the shutdown; then every reader's stream ends.
    async fn render(self, id: ProposalId, sender: watch::Sender<Arc<State>>) {
        let tally = &self.0.tally;
        let mut book = tally.proposals.watch();
        let mut changes = tally.store.changes(id).ok();
        while !self.is_over(id, &sender) {
            match self.state(id).await {
                Ok(state) => {
                    sender.send_if_modified(|last| {
                        let is_other = last.version != state.version;
                        *last = state;
                        is_other
                    });
                }
                Err(problem) => warn!(proposal = %id, ?problem, "readers of events wait: the tally cannot be read"),
            }
            tokio::select! {
                () = time::sleep(STATE_INTERVAL) => {}
                () = tally.shutdown.requested() => continue,
            }
            tokio::select! {
                () = sender.closed() => {}
                () = changed(&mut changes) => {}
                _ = book.changed() => {}
                () = time::sleep(PHASE_INTERVAL) => changes = changes.or_else(|| tally.store.changes(id).ok()),
                () = tally.shutdown.requested() => {}
            }
        }
    }

    fn is_over(&self, id: ProposalId, sender: &watch::Sender<Arc<State>>) -> bool {
        let mut states = lock(&self.0.watched.states);
        let is_over = sender.receiver_count() == 0 || self.0.tally.shutdown.is_requested();
        if is_over {
            states.remove(&id);
        }
        is_over
    }

    async fn state(&self, id: ProposalId) -> Result<Arc<State>, ApiError> {
        let named = self.find(&id.to_string())?;
        let snapshot = self.snapshot(id, &named.decisions).await?;
        let event = TallyEventDto { id: id.to_string(), phase: snapshot.phase.name(), tally: snapshot.tally };
        let (version, json) = (snapshot.version, to_json(&event));
        let event = format!("id: {version}\nevent: tally\nretry: {}\ndata: {json}\n\n", RECONNECT_AFTER.as_millis());
        Ok(Arc::new(State { version, event: event.into() }))
    }
}

/// Waits for a change of the store; for ever where its changes cannot be followed.
async fn changed(changes: &mut Option<watch::Receiver<u64>>) {
    match changes {
        Some(receiver) => {
            if receiver.changed().await.is_err() {
                *changes = None;
            }
        }
        None => std::future::pending().await,
    }
}

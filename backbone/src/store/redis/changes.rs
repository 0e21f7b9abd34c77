//! How this process hears that a proposal changed, whoever changed it: one subscription for all proposals, and below it a
//! poll of the lanes' headers, which finds what was published while the subscription was away and what was never
//! published, such as the loss of everything.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, atomic::Ordering},
    time::Duration,
};

use futures_util::StreamExt as _;
use pnyx_core::id::ProposalId;
use tokio::{
    sync::Notify,
    task::AbortHandle,
    time::{self, MissedTickBehavior, timeout},
};
use tracing::warn;

use super::{
    Proposals, Registered,
    config::RedisConfig,
    connect::{ANSWER_LIMIT, RedisConnectError, connect_listener},
    connection::Connection,
    keys,
    words::HEADER_BYTES,
};
use crate::telemetry;

/// How often the lanes of a proposal that somebody watches are asked for: readers may be behind for a second when
/// messages are lost, and it costs Redis microseconds.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Pause before the subscription is made again.
const RESUBSCRIBE_PAUSE: Duration = Duration::from_millis(500);

/// Starts to follow; ends when the tasks are aborted.
pub(super) fn follow(config: RedisConfig, connection: Connection, proposals: Arc<Proposals>) -> [AbortHandle; 2] {
    let missed = Arc::new(Notify::new());
    let listener = Listener { config, proposals: Arc::clone(&proposals), missed: Arc::clone(&missed) };
    let poller = Poller { connection, proposals, missed, seen: BTreeMap::new() };
    [tokio::spawn(listener.run()).abort_handle(), tokio::spawn(poller.run()).abort_handle()]
}

impl Registered {
    fn note_change(&self) {
        self.version.send_modify(|version| *version += 1);
    }

    fn is_watched(&self) -> bool {
        self.version.receiver_count() > 0
    }
}

struct Listener {
    config: RedisConfig,
    proposals: Arc<Proposals>,
    /// The poll saw a change of which there was no message: the subscription may be dead without knowing it.
    missed: Arc<Notify>,
}

impl Listener {
    async fn run(self) {
        let channel = keys::changes_channel(&self.config.key_prefix);
        let mut has_complained = false;
        for attempt in 0.. {
            match self.listen(&channel, attempt).await {
                Ok(()) => has_complained = false,
                Err(error) if !has_complained => {
                    has_complained = true;
                    warn!(
                        error = telemetry::chain(&error),
                        "no subscription to changes: readers are up to a second late"
                    );
                }
                Err(_) => {}
            }
            time::sleep(RESUBSCRIBE_PAUSE).await;
        }
    }

    async fn listen(&self, channel: &str, attempt: usize) -> Result<(), RedisConnectError> {
        let mut subscription = connect_listener(&self.config, attempt).await?;
        match timeout(ANSWER_LIMIT, subscription.subscribe(channel)).await {
            Ok(subscribed) => subscribed.map_err(|source| RedisConnectError::Configuration { source })?,
            Err(_) => return Ok(()),
        }
        let mut messages = subscription.into_on_message();
        loop {
            tokio::select! {
                message = messages.next() => match message {
                    Some(message) => self.note(message.get_payload_bytes()),
                    None => return Ok(()),
                },
                () = self.missed.notified() => return Ok(()),
            }
        }
    }

    fn note(&self, payload: &[u8]) {
        let Ok(id) = payload.try_into() else { return };
        let proposals = self.proposals.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(registered) = proposals.get(&ProposalId::new(id)) {
            registered.messages.fetch_add(1, Ordering::Relaxed);
            registered.note_change();
        }
    }
}

struct Poller {
    connection: Connection,
    proposals: Arc<Proposals>,
    missed: Arc<Notify>,
    seen: BTreeMap<ProposalId, Seen>,
}

/// What the last poll found.
#[derive(PartialEq, Eq)]
struct Seen {
    headers: Vec<Vec<u8>>,
    messages: u64,
}

impl Poller {
    async fn run(mut self) {
        let mut ticks = time::interval(POLL_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let watched: Vec<_> = {
                let proposals = self.proposals.read().unwrap_or_else(PoisonError::into_inner);
                proposals.values().filter(|registered| registered.is_watched()).cloned().collect()
            };
            self.seen.retain(|id, _| watched.iter().any(|registered| registered.proposal == *id));
            for registered in watched {
                self.poll(&registered).await;
            }
        }
    }

    async fn poll(&mut self, registered: &Registered) {
        let mut commands = redis::pipe();
        for lane in registered.all_lanes() {
            commands.cmd("GETRANGE").arg(lane.totals).arg(0).arg(HEADER_BYTES - 1);
        }
        let messages = registered.messages.load(Ordering::Relaxed);
        // While Redis is away nothing is known to have changed; what did is found when it is back.
        let Ok(headers) = self.connection.query_all(&commands).await else { return };
        let now = Seen { headers, messages };
        match self.seen.get(&registered.proposal) {
            Some(before) if before.headers == now.headers => {}
            Some(before) => {
                registered.note_change();
                if before.messages == now.messages {
                    self.missed.notify_one();
                }
            }
            // Whoever watches may have read before the subscription stood.
            None => registered.note_change(),
        }
        self.seen.insert(registered.proposal, now);
    }
}

//! Waiting, for others and for the clock.

use std::time::Instant;

use pnyx_backbone::clock;
use pnyx_core::{id::ProposalId, time::TimestampMs};
use tokio::time::{Duration, sleep};
use tracing::warn;

/// Longest sleep before the wall clock is read again: it may be set while we wait.
const SLEEP_MS_MAX: u64 = 60 * 1_000;

/// How often a drain that takes long says what it waits for: longer than a usual one, soon enough for whoever looks.
const WAITING_SAID_EVERY: Duration = Duration::from_secs(10);

/// Waits for others, and says so now and then.
pub(super) struct Waiting {
    proposal: ProposalId,
    what: &'static str,
    said_at: Instant,
}

impl Waiting {
    pub(super) fn new(proposal: ProposalId, what: &'static str) -> Self {
        Self { proposal, what, said_at: Instant::now() }
    }

    pub(super) async fn pause(&mut self, poll: Duration) {
        if self.said_at.elapsed() >= WAITING_SAID_EVERY {
            self.said_at = Instant::now();
            warn!(proposal = %self.proposal, "still waiting for {}", self.what);
        }
        sleep(poll).await;
    }
}

/// Sleeps until the wall clock shows `time`.
pub(super) async fn sleep_until(time: TimestampMs) {
    loop {
        let left_ms = time.saturating_since_ms(clock::now());
        if left_ms == 0 {
            return;
        }
        sleep(Duration::from_millis(left_ms.min(SLEEP_MS_MAX))).await;
    }
}

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

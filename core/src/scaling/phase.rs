//! Where a proposal is in its life, as far as its scaling is concerned.

use super::{CLOSING_MS, Observed, WARMING_KEPT_MS, words::words};
use crate::time::{TimestampMs, Window};

words! {
    /// Where a proposal is, for its scaling, in the order of a life. [`crate::lifecycle::Phase`] says where it is for everybody else.
    ScalingPhase {
        /// The lead before the opening has not begun.
        Idle => "idle",
        /// Shards are started so that they work when the window opens.
        Warming => "warming",
        /// Ballots count.
        Open => "open",
        /// The window closes soon: what is given back now could not be had again in time.
        Closing => "closing",
        /// The window is over and what arrived in it is worked off.
        Draining => "draining",
        /// Nothing is left to verify, for ever.
        Drained => "drained",
    }
}

impl ScalingPhase {
    /// The phase at `now`. What is in the log counts more than the clock: whoever has a cut is past its close. Nothing is
    /// drained before it is cut, and while the log was not read, what was over stays over. What is warming goes on unless
    /// the opening is further away than the lead by [`WARMING_KEPT_MS`]: a lead that is learnt to be a little shorter while
    /// shards start must not stop them again.
    pub(super) fn at(window: &Window, lead_ms: u64, observed: &Observed, reached: Self, now: TimestampMs) -> Self {
        if observed.is_over() == Some(true) {
            return Self::Drained;
        }
        // A clock that is behind opens nothing again.
        let has_closed = observed.has_cut.unwrap_or(reached >= Self::Draining);
        let by_clock = if has_closed || now >= window.closes_at() {
            Self::Draining
        } else if now >= closing_at(window, lead_ms) {
            Self::Closing
        } else if now >= window.opens_at() {
            Self::Open
        } else if now >= warming_at(window, lead_ms) {
            Self::Warming
        } else {
            Self::Idle
        };
        let is_kept = now >= warming_at(window, lead_ms.saturating_add(WARMING_KEPT_MS));
        if is_kept { by_clock.max(reached.min(Self::Warming)) } else { by_clock }
    }
}

/// When shards are started.
pub(super) const fn warming_at(window: &Window, lead_ms: u64) -> TimestampMs {
    TimestampMs(window.opens_at().0.saturating_sub(lead_ms))
}

/// From when on nothing is given back; never before the window opens.
pub(super) fn closing_at(window: &Window, lead_ms: u64) -> TimestampMs {
    let before_close_ms = lead_ms.saturating_add(CLOSING_MS);
    TimestampMs(window.closes_at().0.saturating_sub(before_close_ms)).max(window.opens_at())
}

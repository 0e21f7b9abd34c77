//! An arrival curve through the planner, with shards that are only reckoned: what `pnyx simulate` prints.
//!
//! Nothing is measured here. Noise, where it is asked for, comes from a seed: the same scenario gives the same replay, on
//! every machine.

mod curve;

mod cluster;
mod noise;

mod replay;
mod summary;

pub use cluster::Cluster;
pub use curve::{Broker, Curve, CurveError, Step};
pub use replay::{Decision, Moment, Replay};
pub use summary::Summary;

use super::ScalingSpec;
use crate::time::Window;

/// Longest window: of a week every second is kept, in some 50 MB.
pub const WINDOW_S_MAX: u64 = 7 * 86_400;

/// How long after the close a replay is given up: what is not drained by then never will be with these shards.
pub const DRAIN_S_MAX: u64 = 6 * 3_600;

/// How long after the close the cut is read, as processes do by default.
const GRACE_S: u64 = 5;

/// In what time voters send again what was refused while the broker was away.
const RESEND_S: u64 = 10;

/// More than so many seconds of arrivals that wait is behind; less is what a look or a rebalance costs.
pub const BEHIND_S: u64 = 10;

/// How long before the first shards the replay begins.
const BEFORE_S: u64 = 60;

/// What is replayed.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// How the proposal is scaled.
    pub spec: ScalingSpec,
    /// Its window, of at most [`WINDOW_S_MAX`].
    pub window: Window,
    /// What arrives.
    pub curve: Curve,
    /// What it runs on.
    pub cluster: Cluster,
    /// Seconds after the opening at which the operator starts again, with nothing but what it keeps in status.
    pub restarts: Vec<u64>,
}

impl Scenario {
    /// The length of the window in seconds, rounded up.
    pub fn window_s(&self) -> u64 {
        self.window.closes_at().saturating_since_ms(self.window.opens_at()).div_ceil(1_000)
    }
}

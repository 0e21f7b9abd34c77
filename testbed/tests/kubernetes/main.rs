//! Kubernetes starts, keeps what it is told, refuses whom it should, and ends with its test.

mod charts;
mod control_plane;
mod endings;
mod fake_nodes;

use std::{
    thread,
    time::{Duration, Instant},
};

/// How long anything here may take on a machine that compiles beside.
const LIMIT: Duration = Duration::from_secs(60);

/// How often a waiting test looks again: what is asked is often a process of its own.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Waits until something is so; tells whether it was in time.
fn wait_until(mut is_so: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    loop {
        if is_so() {
            return true;
        }
        if start.elapsed() > LIMIT {
            return false;
        }
        thread::sleep(POLL_INTERVAL);
    }
}

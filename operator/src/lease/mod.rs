//! Leader election by one Lease: many operators may run, one writes.
//!
//! No two clocks are ever compared. A holder leads for a while after it *sent* its last successful renewal; everybody
//! else waits longer than that after it *saw* the lease change. Both are measured on the own clock, so as long as clocks
//! run equally fast, no matter what they show, leaders never overlap: whoever saw a renewal saw it after it was sent.
//! Each write names the version it saw, so of two that want the lease one fails.
//!
//! A holder that cannot renew in time stops for good: the process ends, and what it knew ends with it.

mod elector;
mod evaluate;
mod leadership;
mod record;

#[cfg(test)]
mod tests;

use std::time::Duration;

pub use elector::{Elector, LeaseError};
pub use evaluate::{Action, Observation, evaluate};
pub use leadership::{Leadership, NotLeading};
pub use record::LeaseRecord;

/// How long others wait after they saw the lease change. The figures are those of Kubernetes' own components.
pub const LEASE_DURATION: Duration = Duration::from_secs(15);

/// How long a holder leads after it sent its last successful renewal.
pub const RENEW_DEADLINE: Duration = Duration::from_secs(10);

/// Between two renewals of a holder, and between two looks of the others.
pub const RETRY_PERIOD: Duration = Duration::from_secs(2);

/// Longest that one question about the lease may take: a holder can ask three times before its time is over.
pub const LEASE_CALL_TIMEOUT: Duration = Duration::from_secs(3);

/// Longest wait that a lease of another may ask for: whatever somebody writes there, it is over within minutes.
pub const LEASE_DURATION_MAX: Duration = Duration::from_secs(300);

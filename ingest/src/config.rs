//! Settings of the edge and the bounds of what it holds and waits for.

use std::{num::NonZeroUsize, time::Duration};

use axum::http::HeaderValue;

use crate::limit::RateLimit;

/// Requests in flight unless told otherwise: with bodies of the largest size they hold 100 MB, and a log that writes
/// 20,000 records a second answers the last of them within 50 ms.
const IN_FLIGHT_MAX_DEFAULT: NonZeroUsize = NonZeroUsize::new(1_024).expect("1,024 is above 0");

/// How long a client may take to send a body: 100 kB at 160 kbit/s.
pub(crate) const BODY_WAIT_MAX: Duration = Duration::from_secs(5);

/// How long an append may take unless told otherwise: hundreds of times the usual, and below half the usual grace between
/// a close and its cut.
const APPEND_WAIT_MAX_DEFAULT: Duration = Duration::from_secs(2);

/// When a client should come back after an overload or a failure of ours: the shortest that `Retry-After` can say.
pub(crate) const RETRY_AFTER_S: u64 = 1;

/// Most receipts under one signature: a tree of 8 levels, so that a receipt stays below 1.5 kB.
pub(crate) const RECEIPTS_TOGETHER_MAX: usize = 256;

/// How long a browser may remember what is allowed: a preflight a day is as good as none.
pub(crate) const CORS_MAX_AGE: Duration = Duration::from_secs(24 * 60 * 60);

/// Settings of the edge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IngestConfig {
    /// Most requests in flight; beyond it 503.
    pub in_flight_max: NonZeroUsize,
    /// How long an append may take before the ballot is given up and never acknowledged. Must be below the grace between a
    /// close and its cut, so that whatever was acknowledged lies below the cut.
    pub append_wait_max: Duration,
    /// How much one source address may send; without it as much as there is room for. There is no default, because
    /// behind a proxy that is not named as trusted everybody would share one address.
    pub rate_limit: Option<RateLimit>,
}

/// Origins whose pages may vote and read from a browser.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Cors {
    /// All: a ballot carries its own proof, no cookie is ever read.
    #[default]
    Any,
    /// These, such as `https://vote.example.org`.
    Origins(Vec<HeaderValue>),
}

impl Default for IngestConfig {
    fn default() -> Self {
        Self { in_flight_max: IN_FLIGHT_MAX_DEFAULT, append_wait_max: APPEND_WAIT_MAX_DEFAULT, rate_limit: None }
    }
}

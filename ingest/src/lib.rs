//! The edge: takes ballots over HTTP, appends each to the log, and answers with a receipt once it is durable.
//!
//! Only what can be told without a chain or a secret is checked here: sizes, shape, domain, types, the proposal and its
//! window. Whether the signature is true and the voter has power is a verifier's question, so that neither can slow or
//! stop the acknowledgement. A resent ballot is one more record of the same ballot.

mod accept;
mod answer;
mod config;
mod key;
mod limit;
mod metrics;
mod openapi;
mod receipts;
mod routes;
mod source;

pub use answer::not_found;
pub use config::{Cors, IngestConfig};
pub use key::{KeyError, PlatformKey};
pub use limit::RateLimit;
pub use openapi::{AcceptedBallot, BallotEnvelope, ErrorAnswer, PlatformKeyEntry, PlatformKeys};
pub use routes::{cors, openapi, router};
pub use source::{Network, NetworkError};

use std::sync::Arc;

use pnyx_backbone::{
    log::Log,
    proposals::{DecideError, Proposals},
    shutdown::Shutdown,
    telemetry::Metrics,
};
use pnyx_core::{
    decisions::{Decision, DecisionBook},
    id::Voter,
};
use thiserror::Error;
use tokio::sync::{Semaphore, watch};

use crate::{limit::Limiter, metrics::IngestMetrics, receipts::ReceiptSigner};

/// Why the edge could not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The key could not be recorded, so its receipts would prove nothing.
    #[error("the platform key could not be recorded")]
    Key(#[source] DecideError),
}

/// The edge of one process. Clones share it.
#[derive(Debug, Clone)]
pub struct Ingest {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    config: IngestConfig,
    log: Log,
    book: watch::Receiver<Arc<DecisionBook>>,
    key: Voter,
    signer: ReceiptSigner,
    in_flight: Arc<Semaphore>,
    limiter: Option<Limiter>,
    metrics: IngestMetrics,
    shutdown: Shutdown,
}

impl Ingest {
    /// Records the key, so that whoever reads the log knows it before the first receipt. Nothing is accepted before
    /// somebody serves [`router`].
    pub async fn start(
        config: IngestConfig,
        log: Log,
        proposals: &Proposals,
        key: PlatformKey,
        shutdown: &Shutdown,
        metrics: &Metrics,
    ) -> Result<Self, StartError> {
        let address = key.address();
        let book = proposals.watch();
        if !book.borrow().keys().contains(&address) {
            proposals.decide(Decision::PlatformKey(address)).await.map_err(StartError::Key)?;
        }
        let in_flight = Arc::new(Semaphore::new(config.in_flight_max.get()));
        let metrics = metrics.register(IngestMetrics::register);
        let signer = ReceiptSigner::new(key, &metrics);
        let limiter = config.rate_limit.clone().map(Limiter::new);
        let shutdown = shutdown.clone();
        let inner = Inner { config, log, book, key: address, signer, in_flight, limiter, metrics, shutdown };
        Ok(Self { inner: Arc::new(inner) })
    }
}

//! The components of one process, wired together: log and store below, edge and read API on one listener above.

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use anyhow::Context as _;
use axum::{Router, http::HeaderValue};
use pnyx_backbone::{
    health::{Check, Health},
    log::{EmbeddedLog, Log},
    proposals::Proposals,
    shutdown::Shutdown,
    store::{MemoryStore, Store},
    telemetry::Metrics,
};
use pnyx_ingest::{Cors, Ingest, IngestConfig, PlatformKey};
use pnyx_recount::{Archives, Closing, Disputes, PhaseChange, RecountMetrics, count::all_cores};
use pnyx_verifier::VerifierConfig;
use tokio::{net::TcpListener, sync::broadcast};

use super::http;
use crate::cli::DevArgs;

/// Phase changes that may wait to be printed.
const PHASE_CHANGES_QUEUED_MAX: usize = 256;

/// How long requests may go on after a shutdown was requested: a slow body (5 s) and its append (2 s) fit. Streams end by
/// themselves, but a reader that takes nothing would keep its connection open.
const REQUESTS_END_WITHIN: Duration = Duration::from_secs(8);

/// How often readiness looks at the log: a balancer asks about as often.
const LOG_CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// A running platform.
pub(super) struct Platform {
    /// What is decided.
    pub(super) proposals: Proposals,
    /// Phases that proposals come to, from the start on.
    pub(super) phases: broadcast::Receiver<PhaseChange>,
    log: Log,
    listening: Check,
    router: Router,
}

impl Platform {
    /// Opens the data directory and starts every component; requests are answered once [`Platform::serve`] is called.
    pub(super) async fn start(args: &DevArgs, shutdown: &Shutdown) -> anyhow::Result<Self> {
        let metrics = Metrics::new();
        let health = Health::new(shutdown.clone(), metrics.clone());
        let log = Log::Embedded(EmbeddedLog::open(&args.data)?);
        log.register_metrics(&metrics);
        let key = PlatformKey::load_or_create(&args.data)?;
        let signing_key = key.signing_key().clone();
        let store = Store::Memory(MemoryStore::new());
        let proposals = Proposals::start(log.clone(), shutdown).await?;
        proposals.register_metrics(&metrics);

        let cors = cors(&args.cors_origin)?;
        let mut config = IngestConfig::default();
        // Whatever is acknowledged must lie below the cut, however short the grace was chosen.
        config.append_wait_max = config.append_wait_max.min(args.grace / 2);
        let ingest = Ingest::start(config, log.clone(), &proposals, key, shutdown, &metrics).await?;
        start_verifier(args, &log, &proposals, shutdown, &metrics);
        let tally = pnyx_tally::run(
            pnyx_tally::Config::default(),
            log.clone(),
            store.clone(),
            proposals.clone(),
            shutdown,
            &metrics,
        );
        let archives = Arc::new(Archives::new(log.clone(), proposals.clone(), all_cores(), shutdown.clone()));
        let (phases, for_console) = broadcast::channel(PHASE_CHANGES_QUEUED_MAX);
        let disputes = Disputes::default();
        let closing = Closing {
            log: log.clone(),
            store,
            proposals: proposals.clone(),
            key: signing_key,
            archives: Arc::clone(&archives),
            metrics: RecountMetrics::register(&metrics),
            disputes: disputes.clone(),
            phases,
        };
        let config = pnyx_recount::Config { grace_after_close: args.grace, ..pnyx_recount::Config::default() };
        shutdown.spawn("recount", pnyx_recount::run(config, closing, shutdown.clone()));

        watch_log(&log, &health, shutdown);
        let listening = health.check("listener");
        let router = http::router(ingest, &cors, tally, archives, disputes, &health);
        Ok(Self { proposals, phases: for_console, log, listening, router })
    }

    /// Answers requests until shutdown, and then finishes those in flight.
    pub(super) fn serve(&self, listener: TcpListener, shutdown: &Shutdown) {
        let router = self.router.clone();
        let stop = shutdown.clone();
        shutdown.spawn("http", async move {
            let graceful = {
                let stop = stop.clone();
                async move { stop.requested().await }
            };
            let given_up = async {
                stop.requested().await;
                tokio::time::sleep(REQUESTS_END_WITHIN).await;
            };
            tokio::select! {
                served = axum::serve(listener, router).with_graceful_shutdown(graceful) => served,
                () = given_up => Ok(()),
            }
        });
        self.listening.set_ready();
    }

    /// Closes the log once every task has ended.
    pub(super) async fn close(&self) {
        self.log.close().await;
    }
}

/// Readiness follows whether the log still takes writes, which after a failed one it does not until a restart, and
/// whether it dates them rightly.
fn watch_log(log: &Log, health: &Health, shutdown: &Shutdown) {
    let (log, check, stop) = (log.clone(), health.check("log"), shutdown.clone());
    shutdown.spawn("log-health", async move {
        while !stop.is_requested() {
            if !log.is_writable() {
                check.set_not_ready("a write failed: free space or mend the disk, then start again");
            } else if let Some(ahead) = log.clock_ahead() {
                check.set_not_ready(format!(
                    "append times are {} s ahead of the clock, so ballots may count as late: set the clock if it is \
                     behind; if it was ahead, wait until it has caught up or restore the data from a copy made before",
                    ahead.as_secs()
                ));
            } else {
                check.set_ready();
            }
            tokio::select! {
                () = stop.requested() => {}
                () = tokio::time::sleep(LOG_CHECK_INTERVAL) => {}
            }
        }
    });
}

fn start_verifier(args: &DevArgs, log: &Log, proposals: &Proposals, shutdown: &Shutdown, metrics: &Metrics) {
    let mut config = VerifierConfig::default();
    if let Some(shards) = args.shards {
        config.shards = NonZeroUsize::from(shards);
    }
    let (log, proposals, stop, metrics) = (log.clone(), proposals.clone(), shutdown.clone(), metrics.clone());
    shutdown.spawn("verifier", async move { pnyx_verifier::run(config, log, proposals, stop, &metrics).await });
}

fn cors(origins: &[String]) -> anyhow::Result<Cors> {
    if origins.iter().any(|origin| origin == "*") {
        return Ok(Cors::Any);
    }
    let values: anyhow::Result<Vec<HeaderValue>> = origins
        .iter()
        .map(|origin| origin.parse().with_context(|| format!("--cors-origin {origin:?} is not an origin")))
        .collect();
    Ok(Cors::Origins(values?))
}

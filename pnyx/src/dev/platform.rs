//! The components of one process, wired together: log and store below, edge and read API on one listener above.

use std::{num::NonZeroUsize, sync::Arc};

use axum::Router;
use pnyx_backbone::{
    health::{Check, Health},
    log::{EmbeddedLog, Log},
    proposals::Proposals,
    shutdown::Shutdown,
    store::{MemoryStore, Store},
    telemetry::Metrics,
};
use pnyx_chains::Chains;
use pnyx_ingest::{Ingest, IngestConfig, PlatformKey};
use pnyx_recount::{Archives, Closing, PhaseChange, Progress, RecountMetrics, count::all_cores};
use pnyx_verifier::VerifierConfig;
use tokio::sync::{broadcast, watch};

use crate::{
    cli::DevArgs,
    http,
    process::chains,
    serving::{Listener, watch_log},
};

/// Phase changes that may wait to be printed.
const PHASE_CHANGES_QUEUED_MAX: usize = 256;

/// A running platform.
pub(super) struct Platform {
    /// What is decided.
    pub(super) proposals: Proposals,
    /// Phases that proposals come to, from the start on.
    pub(super) phases: broadcast::Receiver<PhaseChange>,
    /// The embedded log.
    pub(super) log: Log,
    /// The chains that the command line names.
    pub(super) chains: Chains,
    router: Router,
}

impl Platform {
    /// Opens the data directory and starts every component; requests are answered once [`Platform::serve`] is called.
    pub(super) async fn start(
        args: &DevArgs,
        health: &Health,
        metrics: &Metrics,
        shutdown: &Shutdown,
    ) -> anyhow::Result<Self> {
        let log = Log::Embedded(EmbeddedLog::open(&args.data)?);
        log.register_metrics(metrics);
        let key = PlatformKey::load_or_create(&args.data)?;
        let signing_key = key.signing_key().clone();
        let chains = chains::start(&chains::config_of_flags(&args.chains)?, metrics)?;
        let store = Store::Memory(MemoryStore::new());
        let proposals = Proposals::start(log.clone(), shutdown).await?;
        proposals.register_metrics(metrics);

        let cors = http::cors(&args.cors_origin)?;
        let mut config = IngestConfig::default();
        // Whatever is acknowledged must lie below the cut, however short the grace was chosen.
        config.append_wait_max = config.append_wait_max.min(args.grace / 2);
        let ingest = Ingest::start(config, log.clone(), &proposals, key, shutdown, metrics).await?;
        start_verifier(args, &log, &chains, &proposals, shutdown, metrics);
        let tally = pnyx_tally::run(
            pnyx_tally::Config::default(),
            log.clone(),
            store.clone(),
            chains.clone(),
            proposals.clone(),
            shutdown,
            metrics,
        );
        let archives = Arc::new(Archives::new(log.clone(), proposals.clone(), all_cores(), shutdown.clone()));
        let (phases, for_console) = broadcast::channel(PHASE_CHANGES_QUEUED_MAX);
        let closing = Closing {
            log: log.clone(),
            store,
            chains: chains.clone(),
            proposals: proposals.clone(),
            key: signing_key,
            archives: Some(Arc::clone(&archives)),
            metrics: RecountMetrics::register(metrics),
            phases,
            progress: watch::Sender::new(Progress::default()),
        };
        let config = pnyx_recount::Config { grace_after_close: args.grace, ..pnyx_recount::Config::default() };
        shutdown.spawn("recount", pnyx_recount::run(config, closing, shutdown.clone()));

        watch_log(&log, health, shutdown);
        let api = pnyx_ingest::router(ingest).merge(http::read_api(tally, archives));
        let router = http::whole(api, &cors);
        Ok(Self { proposals, chains, phases: for_console, log, router })
    }

    /// Answers requests until shutdown, and then finishes those in flight.
    pub(super) fn serve(&self, listener: Listener, starting: Check) {
        listener.serve(self.router.clone(), starting);
    }

    /// Closes the log once every task has ended.
    pub(super) async fn close(&self) {
        self.log.close().await;
    }
}

fn start_verifier(
    args: &DevArgs,
    log: &Log,
    chains: &Chains,
    proposals: &Proposals,
    shutdown: &Shutdown,
    metrics: &Metrics,
) {
    let mut config = VerifierConfig::default();
    if let Some(shards) = args.shards {
        config.shards = NonZeroUsize::from(shards);
    }
    let (log, chains, proposals) = (log.clone(), chains.clone(), proposals.clone());
    let (stop, metrics) = (shutdown.clone(), metrics.clone());
    shutdown.spawn("verifier", async move { pnyx_verifier::run(config, log, chains, proposals, stop, &metrics).await });
}

//! `pnyx dev`: every component in one process, on the embedded log and the in-memory store, from the same YAML that a
//! cluster takes.

mod console;
mod platform;

use std::{process::ExitCode, time::Duration};

use anyhow::Context as _;
use pnyx_backbone::{clock, health::Health, shutdown::Shutdown, telemetry::Metrics, traces};

use self::{console::Console, platform::Platform};
use crate::{
    cli::DevArgs,
    process,
    proposing::{Layout, propose},
    screen,
    serving::Listener,
};

/// How long a shutdown may take: acknowledgements in flight are bounded by 2 s, batches in hand by less.
const DRAIN_LIMIT: Duration = Duration::from_secs(20);

/// Between Ctrl-C and the end of taking requests: there is no balancer that had to notice.
const NOTICE: Duration = Duration::ZERO;

/// Runs the platform until Ctrl-C.
pub(crate) async fn run(args: DevArgs) -> anyhow::Result<ExitCode> {
    let shutdown = Shutdown::new();
    shutdown.listen_for_signals(NOTICE).context("listening for Ctrl-C")?;
    let metrics = Metrics::new();
    process::traces::start(process::traces::config_of_flags(&args.otlp)?, "dev", &metrics).await?;
    let health = Health::new(shutdown.clone(), metrics.clone());
    let starting = health.check("start");
    let listener = Listener::bind(args.listen, &health, &shutdown).await?;
    let url = listener.url();
    let platform = Platform::start(&args, &health, &metrics, &shutdown).await?;
    let layout = Layout::new(&args.layout, args.domain.clone())?;
    let proposed =
        propose(&args.paths, &layout, &platform.log, &platform.chains, &platform.proposals, clock::now()).await?;
    let console = Console::new(url.clone());
    console.banner(&args);
    console.proposals(&args, &platform.proposals, &proposed);
    console.follow(&platform, &shutdown);
    platform.serve(listener, starting);
    console.ready();
    let drained = shutdown.drained(DRAIN_LIMIT).await;
    tokio::join!(platform.close(), traces::close());
    drained.context("shutting down")?;
    screen::line("stopped · everything acknowledged is in the log");
    Ok(ExitCode::SUCCESS)
}

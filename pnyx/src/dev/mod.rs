//! `pnyx dev`: every component in one process, on the embedded log and the in-memory store, from the same YAML that a
//! cluster takes.

mod console;
mod http;
mod platform;
mod proposals;

use std::{process::ExitCode, time::Duration};

use anyhow::Context as _;
use pnyx_backbone::{clock, shutdown::Shutdown};
use tokio::net::TcpListener;

use self::{console::Console, platform::Platform, proposals::Layout};
use crate::{cli::DevArgs, screen};

/// How long a shutdown may take: acknowledgements in flight are bounded by 2 s, batches in hand by less.
const DRAIN_LIMIT: Duration = Duration::from_secs(20);

/// Runs the platform until Ctrl-C.
pub(crate) async fn run(args: DevArgs) -> anyhow::Result<ExitCode> {
    let shutdown = Shutdown::new();
    shutdown.listen_for_signals().context("listening for Ctrl-C")?;
    let listener = TcpListener::bind(args.listen)
        .await
        .with_context(|| format!("listening on {}: is another process there? --listen chooses another", args.listen))?;
    let url = format!("http://{}", listener.local_addr().context("reading the address")?);
    let platform = Platform::start(&args, &shutdown).await?;
    let layout = Layout {
        domain: args.domain.clone(),
        lanes: args.lanes,
        ballots_partitions: args.partitions,
        open_for_ms: args.open_for.map(|open_for| u64::try_from(open_for.as_millis())).transpose()?,
    };
    let ids = proposals::propose(&args.paths, &layout, &platform.proposals, clock::now()).await?;
    let console = Console::new(url.clone());
    console.banner(&args);
    console.proposals(&args, &platform.proposals, &ids);
    console.follow(&platform, &shutdown);
    platform.serve(listener, &shutdown);
    console.ready();
    let drained = shutdown.drained(DRAIN_LIMIT).await;
    platform.close().await;
    drained.context("shutting down")?;
    screen::line("stopped · everything acknowledged is in the log");
    Ok(ExitCode::SUCCESS)
}

/// Prints the OpenAPI document of the whole HTTP API.
pub(crate) fn print_openapi() -> anyhow::Result<ExitCode> {
    screen::line(&http::openapi_json()?);
    Ok(ExitCode::SUCCESS)
}

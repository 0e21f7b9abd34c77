//! `pnyx verifier`: shards of all proposals, or of one, as a process. Any number of them share the work.

use std::{num::NonZeroUsize, process::ExitCode};

use axum::Router;
use pnyx_backbone::log::kafka::LINGER_BATCHES_DEFAULT;
use pnyx_verifier::VerifierConfig;

use super::{Process, Started, banner, chains, kafka_words, settings, traces};
use crate::{cli::process::VerifierArgs, screen};

/// Where it listens unless told otherwise.
const PORT: u16 = 8082;

/// Runs the process.
pub(crate) async fn run(args: VerifierArgs) -> anyhow::Result<ExitCode> {
    let file = settings::file(&args.config)?;
    let kafka = settings::kafka_lingering(&args.kafka, &file, "pnyx-verifier", LINGER_BATCHES_DEFAULT)?;
    let shards = args.shards.or(file.shards).map_or_else(shards_for_cores, NonZeroUsize::from);
    let config = VerifierConfig { shards, only: args.proposal, ..VerifierConfig::default() };
    let otlp = traces::config(&args.otlp, &file.otlp)?;
    let chains_config = chains::config(&args.chains, file.chains.as_deref())?;
    let process = Process::begin("verifier", settings::serving(&args.serve, &file, PORT)).await?;
    process.trace(otlp).await?;
    let work =
        args.proposal.map_or_else(|| format!("{shards} shards a proposal"), |id| format!("{shards} shards of {id}"));
    banner("verifier", &[kafka_words(&kafka), work, chains::words(&chains_config)]);
    let chains = chains::start(&chains_config, &process.metrics)?;
    let starting = process.open_log(kafka);
    let Started::Ready((log, proposals)) = process.start(starting).await? else {
        screen::line("stopped before it was ready");
        return Ok(ExitCode::SUCCESS);
    };
    let (for_shards, stop, metrics) = (log.clone(), process.shutdown.clone(), process.metrics.clone());
    process.shutdown.spawn("verifier", async move {
        pnyx_verifier::run(config, for_shards, chains, proposals, stop, &metrics).await
    });
    let router = Router::new();
    process.run(log, router, "verifying, metrics on").await
}

/// One more than there are cores: while each core checks signatures for one shard, another has its verdicts written. More
/// would only be more members of the group, each with a connection of its own.
fn shards_for_cores() -> NonZeroUsize {
    std::thread::available_parallelism().map_or(NonZeroUsize::MIN, |cores| cores).saturating_add(1)
}

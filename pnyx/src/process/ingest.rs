//! `pnyx ingest`: the edge as a process. Ready once the log is reached and warmed up and the book of decisions is read.

use std::process::ExitCode;

use pnyx_ingest::{Ingest, PlatformKey};

use super::{Process, Started, banner, kafka_words, settings, traces};
use crate::{cli::process::IngestArgs, http, screen};

/// Where it listens unless told otherwise: where clients look for a platform.
const PORT: u16 = 8080;

/// Runs the process.
pub(crate) async fn run(args: IngestArgs) -> anyhow::Result<ExitCode> {
    let file = settings::file(&args.config)?;
    let kafka = settings::kafka(&args.kafka, &file, "pnyx-ingest")?;
    let edge = settings::edge(&args.edge, &file, settings::grace(&args.grace, &file))?;
    let cors = http::cors(&settings::cors_origins(&args.cors, &file))?;
    let key = PlatformKey::load(&settings::signing_key_file(&args.key, &file)?)?;
    let otlp = traces::config(&args.otlp, &file.otlp)?;
    let process = Process::begin("ingest", settings::serving(&args.serve, &file, PORT)).await?;
    process.trace(otlp).await?;
    banner("ingest", &[kafka_words(&kafka), format!("key {}", key.address())]);
    let starting = async {
        let (log, proposals) = process.open_log(kafka).await?;
        let Process { shutdown, metrics, .. } = &process;
        let ingest = Ingest::start(edge, log.clone(), &proposals, key, shutdown, metrics).await?;
        Ok((log, ingest))
    };
    let Started::Ready((log, ingest)) = process.start(starting).await? else {
        screen::line("stopped before it was ready");
        return Ok(ExitCode::SUCCESS);
    };
    let router = http::whole(pnyx_ingest::router(ingest), &cors);
    process.run(log, router, "POST ballots to").await
}

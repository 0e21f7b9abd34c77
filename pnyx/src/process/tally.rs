//! `pnyx tally`: lanes and the read API as a process. The lanes are shared among all of them, any of them answers any read.

use std::{process::ExitCode, sync::Arc};

use pnyx_recount::{Archives, count::all_cores};

use super::{Process, Started, archive, banner, chains, kafka_words, redis_words, settings, traces};
use crate::{cli::process::TallyArgs, http, screen};

/// Where it listens unless told otherwise.
const PORT: u16 = 8081;

/// Runs the process.
pub(crate) async fn run(args: TallyArgs) -> anyhow::Result<ExitCode> {
    let file = settings::file(&args.config)?;
    let kafka = settings::kafka(&args.kafka, &file, "pnyx-tally")?;
    let redis = settings::redis(&args.redis, &file)?;
    let cors = http::cors(&settings::cors_origins(&args.cors, &file))?;
    let otlp = traces::config(&args.otlp, &file.otlp)?;
    let chains_config = chains::config(&args.chains, file.chains.as_deref())?;
    let place = archive::place(&file.archive)?;
    let process = Process::begin("tally", settings::serving(&args.serve, &file, PORT)).await?;
    process.trace(otlp).await?;
    let archive_words = archive::words(place.as_ref());
    let words = [kafka_words(&kafka), redis_words(&redis.address), chains::words(&chains_config), archive_words];
    banner("tally", &words);
    let chains = chains::start(&chains_config, &process.metrics)?;
    let starting = async {
        let (log, proposals) = process.open_log(kafka).await?;
        Ok((log, proposals, process.open_store(redis).await?))
    };
    let Started::Ready((log, proposals, store)) = process.start(starting).await? else {
        screen::line("stopped before it was ready");
        return Ok(ExitCode::SUCCESS);
    };
    let Process { shutdown, metrics, .. } = &process;
    let archives = Archives::new(log.clone(), proposals.clone(), all_cores(), shutdown.clone()).kept_at(place);
    let archives = Arc::new(archives);
    let tally =
        pnyx_tally::run(pnyx_tally::Config::default(), log.clone(), store, chains, proposals, shutdown, metrics);
    let router = http::whole(http::read_api(tally, archives), &cors);
    process.run(log, router, "read proposals below").await
}

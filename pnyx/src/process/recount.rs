//! `pnyx recount`: closes proposals as a process, one proposal on request, or counts one again and decides nothing.

use std::{path::Path, process::ExitCode, sync::Arc, time::Duration};

use anyhow::{Context as _, bail, ensure};
use axum::Router;
use indicatif::{ProgressBar, ProgressDrawTarget};
use pnyx_backbone::{
    archives::ArchivePlace,
    clock::{self, time_text},
    log::{EmbeddedLog, Log},
    proposals::Proposals,
    shutdown::Shutdown,
    store::Store,
    telemetry::{self, Metrics},
};
use pnyx_chains::Chains;
use pnyx_core::{chain::Pin, id::ProposalId, lifecycle::Phase, power::format_units, signing::SigningKey, wire};
use pnyx_ingest::PlatformKey;
use pnyx_recount::{
    Archives, CloseError, Closing, Config, PhaseChange, Pinned, Progress, RecountMetrics, count::all_cores, offline,
};
use serde_json::{Value, json};
use tokio::sync::{broadcast, watch};

use super::{Process, Started, archive, banner, chains, kafka_words, open_log, open_store, redis_words, settings};
use crate::{EXIT_FOUND_WRONG, EXIT_LASTING, cli::process::RecountArgs, screen};

/// Where it listens unless told otherwise.
const PORT: u16 = 8083;

/// Where `pnyx dev` keeps its log unless told otherwise.
const DATA_DEFAULT: &str = "pnyx-data";

/// Phase changes that may wait to be printed.
const PHASE_CHANGES_QUEUED_MAX: usize = 256;

/// Runs the command.
pub(crate) async fn run(args: RecountArgs) -> anyhow::Result<ExitCode> {
    match &args.proposal {
        None => Box::pin(serve(&args)).await,
        Some(proposal) if args.pin => Box::pin(pin_one(&args, proposal)).await,
        Some(proposal) if args.wait => Box::pin(close_one(&args, proposal)).await,
        Some(proposal) => Box::pin(count_again(&args, proposal)).await,
    }
}

/// Closes every proposal, as a service.
async fn serve(args: &RecountArgs) -> anyhow::Result<ExitCode> {
    let file = settings::file(&args.config)?;
    let kafka = settings::kafka(&args.kafka, &file, "pnyx-recount")?;
    let redis = settings::redis(&args.redis, &file)?;
    let key = PlatformKey::load(&settings::signing_key_file(&args.key, &file)?)?;
    let chains_config = chains::config(&args.chains, file.chains.as_deref())?;
    let place = archive::place(&file.archive)?;
    let process = Process::begin("recount", settings::serving(&args.serve, &file, PORT)).await?;
    let key_words = format!("key {}", key.address());
    let archive_words = archive::words(place.as_ref());
    let words =
        [kafka_words(&kafka), redis_words(&redis.address), chains::words(&chains_config), archive_words, key_words];
    banner("recount", &words);
    let chains = chains::start(&chains_config, &process.metrics)?;
    let starting = async {
        let (log, proposals) = process.open_log(kafka).await?;
        Ok((log, proposals, process.open_store(redis).await?))
    };
    let Started::Ready((log, proposals, store)) = process.start(starting).await? else {
        screen::line("stopped before it was ready");
        return Ok(ExitCode::SUCCESS);
    };
    let config = Config { grace_after_close: settings::grace(&args.grace, &file), ..Config::default() };
    let archives = kept(place, &log, &proposals, &process.shutdown);
    let closing = closing(&log, store, chains, proposals.clone(), key.signing_key(), archives, &process.metrics);
    let phases = closing.phases.subscribe();
    let (running, stop) = (pnyx_recount::run(config, closing, process.shutdown.clone()), process.shutdown.clone());
    process.shutdown.spawn("recount", running);
    process.shutdown.spawn("console", async move {
        tokio::select! {
            () = stop.requested() => {}
            () = print_phases(phases, proposals, screen::line) => {}
        }
    });
    let router = Router::new();
    process.run(log, router, "closing proposals, metrics on").await
}

/// Closes one proposal; what happens is told on standard error.
async fn close_one(args: &RecountArgs, proposal: &str) -> anyhow::Result<ExitCode> {
    let file = settings::file(&args.config)?;
    let kafka = settings::kafka(&args.kafka, &file, "pnyx-recount")?;
    let redis = settings::redis(&args.redis, &file)?;
    let key = PlatformKey::load(&settings::signing_key_file(&args.key, &file)?)?;
    let metrics = Metrics::new();
    let chains = chains::start(&chains::config(&args.chains, file.chains.as_deref())?, &metrics)?;
    let place = archive::place(&file.archive)?;
    let shutdown = Shutdown::new();
    shutdown.listen_for_signals(Duration::ZERO).context("listening for signals")?;
    let (log, proposals) = open_log(kafka, &shutdown).await?;
    let store = Store::Redis(open_store(redis).await?);
    let id = find(&proposals, proposal, "the log")?;
    let config = Config { grace_after_close: settings::grace(&args.grace, &file), ..Config::default() };
    let archives = kept(place, &log, &proposals, &shutdown);
    let closing = closing(&log, store, chains, proposals.clone(), key.signing_key(), archives, &metrics);
    let printing = print_phases(closing.phases.subscribe(), proposals.clone(), screen::error_line);
    let bar = tokio::spawn(show_progress(closing.progress.subscribe()));
    let printing = tokio::spawn(printing);
    let closed = pnyx_recount::close_one(config, closing, id, shutdown.clone()).await;
    // Both end by themselves once the closing and its channels are gone.
    let (_, _) = (bar.await, printing.await);
    let code = match closed {
        Ok(Phase::Final) => show_result(&proposals, id, args.json).map(|()| ExitCode::SUCCESS),
        Ok(phase) => {
            let dispute = proposals.book().get(id).and_then(|decisions| decisions.dispute.clone());
            for difference in dispute.iter().flat_map(|dispute| dispute.differences()) {
                screen::error_line(&format!("differs    {difference}"));
            }
            screen::error_line(&format!("{}: nothing is published until a person has looked", phase.name()));
            Ok(ExitCode::from(EXIT_FOUND_WRONG))
        }
        Err(CloseError::Archive(error)) if error.is_lasting() => {
            let problem = telemetry::chain(&CloseError::Archive(error));
            screen::error_line(&format!("error: {problem}"));
            Ok(ExitCode::from(EXIT_LASTING))
        }
        Err(error @ (CloseError::Interrupted | CloseError::UnknownProposal { .. } | CloseError::Archive(_))) => {
            Err(error.into())
        }
    };
    shutdown.trigger();
    log.close().await;
    code
}

/// Decides a proposal's blocks.
async fn pin_one(args: &RecountArgs, proposal: &str) -> anyhow::Result<ExitCode> {
    let file = settings::file(&args.config)?;
    let kafka = settings::kafka(&args.kafka, &file, "pnyx-recount")?;
    let metrics = Metrics::new();
    let chains = chains::start(&chains::config(&args.chains, file.chains.as_deref())?, &metrics)?;
    let shutdown = Shutdown::new();
    shutdown.listen_for_signals(Duration::ZERO).context("listening for signals")?;
    let (log, proposals) = open_log(kafka, &shutdown).await?;
    let id = find(&proposals, proposal, "the log")?;
    let pinned = Pinned { chains, proposals: proposals.clone(), metrics: RecountMetrics::register(&metrics) };
    pnyx_recount::pin_one(Config::default(), pinned, id, shutdown.clone()).await?;
    let book = proposals.book();
    let pins = book.get(id).and_then(|decisions| decisions.pins.clone());
    if args.json {
        let pin =
            |pin: &Pin| json!({"network": pin.chain.to_string(), "block": pin.number.0, "hash": pin.hash.to_string()});
        let pins: Vec<Value> = pins.iter().flat_map(|pins| pins.by_chain().values()).map(pin).collect();
        screen::line(&json!({"proposal": id.to_string(), "pins": pins}).to_string());
    } else if let Some(pins) = pins {
        for pin in pins.by_chain().values() {
            screen::line(&format!("pinned     chain {} at block {} ({})", pin.chain, pin.number, pin.hash));
        }
    } else {
        screen::line("pinned     nothing: the proposal reads no chain");
    }
    shutdown.trigger();
    log.close().await;
    Ok(ExitCode::SUCCESS)
}

/// Counts a proposal again from a data directory or, where that is what is named, from Kafka.
async fn count_again(args: &RecountArgs, proposal: &str) -> anyhow::Result<ExitCode> {
    let file = settings::file(&args.config)?;
    let is_kafka = args.kafka.kafka.is_some() || args.config.config.is_some();
    ensure!(!is_kafka || args.data.is_none(), "both --data and --kafka or --config are given: name one log");
    let shutdown = Shutdown::new();
    let (log, proposals, place) = if is_kafka {
        let kafka = settings::kafka(&args.kafka, &file, "pnyx-recount")?;
        let place = kafka_words(&kafka);
        let (log, proposals) = open_log(kafka, &shutdown).await?;
        (log, proposals, place)
    } else {
        let data = args.data.as_deref().unwrap_or_else(|| Path::new(DATA_DEFAULT));
        ensure!(data.is_dir(), "there is no data directory {}; --data names another", data.display());
        let log = Log::Embedded(EmbeddedLog::open(data)?);
        let proposals = Proposals::start(log.clone(), &shutdown).await?;
        (log, proposals, data.display().to_string())
    };
    let id = find(&proposals, proposal, &place)?;
    let bar = if args.json { ProgressBar::hidden() } else { ProgressBar::new(0) };
    let shown = bar.clone();
    let compared = offline::compare(&log, &proposals, id, all_cores(), move |progress| {
        shown.set_length(progress.records_total);
        shown.set_position(progress.records_done);
    })
    .await?;
    bar.finish_and_clear();
    show(&compared, args.json)?;
    shutdown.trigger();
    log.close().await;
    Ok(if compared.agrees() == Some(false) { ExitCode::from(EXIT_FOUND_WRONG) } else { ExitCode::SUCCESS })
}

fn closing(
    log: &Log,
    store: Store,
    chains: Chains,
    proposals: Proposals,
    key: &SigningKey,
    archives: Option<Arc<Archives>>,
    metrics: &Metrics,
) -> Closing {
    Closing {
        log: log.clone(),
        store,
        chains,
        proposals,
        key: key.clone(),
        archives,
        metrics: RecountMetrics::register(metrics),
        phases: broadcast::Sender::new(PHASE_CHANGES_QUEUED_MAX),
        progress: watch::Sender::new(Progress::default()),
    }
}

/// Archives are the tally's to serve; they are made here where they are kept outside the log.
fn kept(place: Option<ArchivePlace>, log: &Log, proposals: &Proposals, shutdown: &Shutdown) -> Option<Arc<Archives>> {
    let archives = || Archives::new(log.clone(), proposals.clone(), all_cores(), shutdown.clone());
    place.map(|place| Arc::new(archives().kept_at(Some(place))))
}

fn find(proposals: &Proposals, proposal: &str, place: &str) -> anyhow::Result<ProposalId> {
    if let Some(id) = proposals.find(proposal) {
        return Ok(id);
    }
    let book = proposals.book();
    let names = book.proposals().values().map(|decisions| decisions.definition.proposal().parts().name.as_str());
    let names: Vec<&str> = names.collect();
    bail!("there is no proposal {proposal:?} in {place}; there are: {}", names.join(", "))
}

/// A line for each phase, until the closing ends.
async fn print_phases(mut phases: broadcast::Receiver<PhaseChange>, proposals: Proposals, print: fn(&str)) {
    loop {
        match phases.recv().await {
            Ok(PhaseChange { proposal, phase }) => {
                let book = proposals.book();
                let name = book.get(proposal).map(|decisions| decisions.definition.proposal().parts().name.clone());
                let time = time_text(clock::now());
                print(&format!("{time}  {:<11} {:<22} {proposal}", phase.name(), name.unwrap_or_default()));
            }
            Err(broadcast::error::RecvError::Lagged(missed)) => print(&format!("({missed} phase changes not shown)")),
            Err(broadcast::error::RecvError::Closed) => return,
        }
    }
}

/// A bar on standard error while records are counted, where that is a terminal.
async fn show_progress(mut progress: watch::Receiver<Progress>) {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    while progress.changed().await.is_ok() {
        let Progress { records_done, records_total } = *progress.borrow_and_update();
        bar.set_length(records_total);
        bar.set_position(records_done);
    }
    bar.finish_and_clear();
}

fn show_result(proposals: &Proposals, id: ProposalId, as_json: bool) -> anyhow::Result<()> {
    let book = proposals.book();
    let decisions = book.get(id).context("a final proposal is in the book")?;
    let result = decisions.result.as_ref().context("a final proposal has a result")?;
    if as_json {
        screen::line(&wire::result::encode(result));
        return Ok(());
    }
    screen::line(&format!("proposal   {id} {:?}", decisions.definition.proposal().parts().title));
    screen::line(&format!("records    {} below the cut", screen::grouped(&result.provenance.records.to_string())));
    screen::line(&format!("ballots    {} standing", screen::grouped(&result.core.ballots.to_string())));
    for (choice, score) in decisions.definition.proposal().parts().choices.iter().zip(&result.core.outcome.scores.0) {
        screen::line(&format!("           {choice} {}", screen::grouped(&format_units(*score))));
    }
    screen::line(&format!("root       {}", result.core.ballots_root));
    screen::line("AGREES     the recount with the live tally; the result is published");
    Ok(())
}

fn show(compared: &offline::Comparison, as_json: bool) -> anyhow::Result<()> {
    let core = &compared.recounted.core;
    if as_json {
        let parsed = |text: String| serde_json::from_str::<Value>(&text).context("the core's own JSON");
        let line = json!({
            "core": parsed(wire::result::encode_core(core))?,
            "provenance": parsed(wire::result::encode_provenance(&compared.recounted.provenance))?,
            "cutIsDecided": compared.cut_is_decided,
            "agrees": compared.agrees(),
        });
        screen::line(&line.to_string());
        return Ok(());
    }
    screen::line(&format!("proposal   {} {:?}", core.proposal, compared.title));
    let records = compared.recounted.provenance.records;
    let upto = if compared.cut_is_decided { "below the cut" } else { "so far (no cut is decided yet)" };
    screen::line(&format!("records    {} {upto}", screen::grouped(&records.to_string())));
    screen::line(&format!("ballots    {} standing", screen::grouped(&core.ballots.to_string())));
    for (choice, score) in compared.choices.iter().zip(&core.outcome.scores.0) {
        screen::line(&format!("           {choice} {}", screen::grouped(&format_units(*score))));
    }
    screen::line(&format!("root       {}", core.ballots_root));
    screen::line(match compared.agrees() {
        Some(true) => "AGREES     with the published result",
        Some(false) => "DIFFERS    from the published result",
        None => "no result is published yet",
    });
    Ok(())
}

//! `pnyx propose`: writes proposals into the log where no operator does: first their topics, then the definition. Or tries
//! their strategies and writes nothing, as the operator does before it records a proposal.

use std::{process::ExitCode, time::Duration};

use anyhow::{Context as _, bail};
use pnyx_backbone::{
    clock::{self, time_text},
    shutdown::Shutdown,
    telemetry::Metrics,
};
use pnyx_core::{id::ProposalId, proposal::Proposal, time::WindowPosition};

use super::{banner, chains, kafka_words, open_log, settings};
use crate::{
    EXIT_FOUND_WRONG,
    cli::process::ProposeArgs,
    proposing::{self, Layout, Proposed, place, propose},
    screen,
    trying::Tried,
};

/// Runs the command.
pub(crate) async fn run(args: ProposeArgs) -> anyhow::Result<ExitCode> {
    if args.only_try { try_only(&args).await } else { record(args).await }
}

/// Needs the chains alone.
async fn try_only(args: &ProposeArgs) -> anyhow::Result<ExitCode> {
    let file = settings::file(&args.config)?;
    let layout = Layout::new(&args.layout, settings::domain(args.domain.as_deref(), &file)?)?;
    let config = chains::config(&args.chains, file.chains.as_deref())?;
    banner("propose", &[format!("platform {:?}", layout.domain), chains::words(&config), "only tries".to_owned()]);
    let chains = chains::start(&config, &Metrics::new())?;
    let shutdown = Shutdown::new();
    shutdown.listen_for_signals(Duration::ZERO).context("listening for signals")?;
    let tried = tokio::select! {
        () = shutdown.requested() => bail!("interrupted: not all strategies were tried"),
        tried = proposing::try_only(&args.paths, &layout, &chains, clock::now()) => tried?,
    };
    let mut code = ExitCode::SUCCESS;
    for (resource, proposal, tried) in tried {
        let (word, words) = match tried {
            Tried::Nothing => ("nothing", Some("it reads no chain, so there is nothing to try".to_owned())),
            Tried::Answers => ("answers", None),
            Tried::Unproven(words) => ("unproven", Some(words)),
            Tried::Never(problem) => {
                screen::error_line(&format!("error: {}: {problem}", place(&resource, &proposal)));
                code = ExitCode::from(EXIT_FOUND_WRONG);
                ("never", None)
            }
        };
        screen::line(&format!("  {word:<8} {:<22} {}", proposal.parts().name, proposal.id()));
        if let Some(words) = words {
            screen::line(&format!("           {words}"));
        }
    }
    Ok(code)
}

async fn record(args: ProposeArgs) -> anyhow::Result<ExitCode> {
    let file = settings::file(&args.config)?;
    let kafka = settings::kafka(&args.kafka, &file, "pnyx-propose")?;
    let layout = Layout::new(&args.layout, settings::domain(args.domain.as_deref(), &file)?)?;
    banner("propose", &[format!("platform {:?}", layout.domain), kafka_words(&kafka)]);
    let chains = chains::start(&chains::config(&args.chains, file.chains.as_deref())?, &Metrics::new())?;
    let shutdown = Shutdown::new();
    let (log, proposals) = open_log(kafka, &shutdown).await?;
    let proposed = propose(&args.paths, &layout, &log, &chains, &proposals, clock::now()).await;
    if let Ok(proposed) = &proposed {
        for Proposed { id, growth, strategies } in proposed {
            let book = proposals.book();
            let decisions = book.get(*id).context("a proposal that was just written is in the book")?;
            screen::line(&line(*id, decisions.definition.proposal()));
            for words in growth.words().iter().chain(strategies) {
                screen::line(&format!("           {words}"));
            }
        }
        screen::line(&format!("POST ballots to {}/", args.url.trim_end_matches('/')));
    }
    shutdown.trigger();
    log.close().await;
    proposed.map(|_| ExitCode::SUCCESS)
}

fn line(id: ProposalId, proposal: &Proposal) -> String {
    let window = proposal.window();
    let position = match window.position(clock::now()) {
        WindowPosition::Before => "pending",
        WindowPosition::Inside => "open",
        WindowPosition::After => "closed",
    };
    let (opens, closes) = (time_text(window.opens_at()), time_text(window.closes_at()));
    format!("  {position:<8} {:<22} {id}   {opens} to {closes}", proposal.parts().name)
}

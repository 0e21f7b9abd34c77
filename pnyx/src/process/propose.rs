//! `pnyx propose`: writes proposals into the log where no operator does: first their topics, then the definition.

use std::process::ExitCode;

use anyhow::Context as _;
use pnyx_backbone::{
    clock::{self, time_text},
    shutdown::Shutdown,
    telemetry::Metrics,
};
use pnyx_core::{id::ProposalId, proposal::Proposal, time::WindowPosition};

use super::{banner, chains, kafka_words, open_log, settings};
use crate::{
    cli::process::ProposeArgs,
    proposing::{Layout, Proposed, propose},
    screen,
};

/// Runs the command.
pub(crate) async fn run(args: ProposeArgs) -> anyhow::Result<ExitCode> {
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

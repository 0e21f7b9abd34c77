//! `pnyx recount`: a proposal counted again from the raw records of a data directory.

use std::process::ExitCode;

use anyhow::Context as _;
use pnyx_backbone::{
    log::{EmbeddedLog, Log},
    proposals::Proposals,
    shutdown::Shutdown,
};
use pnyx_core::{power::format_units, wire};
use pnyx_recount::{count::all_cores, offline};
use serde_json::{Value, json};

use crate::{EXIT_FOUND_WRONG, cli::RecountArgs, screen};

/// Runs the command.
pub(crate) async fn run(args: RecountArgs) -> anyhow::Result<ExitCode> {
    let RecountArgs { proposal, data, json } = args;
    anyhow::ensure!(data.is_dir(), "there is no data directory {}; --data names another", data.display());
    let log = Log::Embedded(EmbeddedLog::open(&data)?);
    let shutdown = Shutdown::new();
    let proposals = Proposals::start(log.clone(), &shutdown).await?;
    let id = proposals.find(&proposal).with_context(|| {
        let names: Vec<String> = proposals
            .book()
            .proposals()
            .values()
            .map(|decisions| decisions.definition.proposal().parts().name.clone())
            .collect();
        format!("there is no proposal {proposal:?} in {}; there are: {}", data.display(), names.join(", "))
    })?;
    let bar = if json { indicatif::ProgressBar::hidden() } else { indicatif::ProgressBar::new(0) };
    let shown = bar.clone();
    let compared = offline::compare(&log, &proposals, id, all_cores(), move |progress| {
        shown.set_length(progress.records_total);
        shown.set_position(progress.records_done);
    })
    .await?;
    bar.finish_and_clear();
    show(&compared, json)?;
    shutdown.trigger();
    log.close().await;
    Ok(if compared.agrees() == Some(false) { ExitCode::from(EXIT_FOUND_WRONG) } else { ExitCode::SUCCESS })
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

//! `pnyx audit`: a result recomputed from its archive, and receipts held against it.

use std::{
    error::Error,
    fs::File,
    io::{self, BufRead, BufReader},
    path::PathBuf,
    process::ExitCode,
    time::Instant,
};

use anyhow::Context as _;
use indicatif::ProgressBar;
use pnyx_backbone::{blocking::blocking, telemetry::Metrics};
use pnyx_core::{id::Voter, power::format_units, receipt::SignedReceipt};
use pnyx_recount::audit::{
    AuditFailure, AuditOptions, AuditReport, PowerEvidence, ReceiptFinding, audit, look_up_again,
};
use serde_json::json;
use tokio_util::io::{StreamReader, SyncIoBridge};

use crate::{EXIT_FOUND_WRONG, cli::AuditArgs, client::Platform, process::chains, receipt, screen};

/// Bytes of an archive that are read ahead.
const READ_AHEAD_BYTES: usize = 1024 * 1024;

/// Runs the command.
pub(crate) async fn run(args: AuditArgs) -> anyhow::Result<ExitCode> {
    let start = Instant::now();
    let AuditArgs { archive, receipt: receipt_files, key, json, chains: chains_args } = args;
    let chains_config = chains::config_of_flags(&chains_args)?;
    let receipts = read_receipts(&receipt_files)?;
    let mut options = AuditOptions::default();
    for text in &key {
        options.keys.push(Voter::from_any_case(text).with_context(|| format!("--key {text:?}"))?);
    }
    let reader = open(&archive).await?;
    let bar = spinner(json);
    let audited = blocking(move || {
        let audited = audit(reader, &receipts, &options, &mut |records| {
            bar.set_message(format!("{} records checked", screen::grouped(&records.to_string())));
        });
        bar.finish_and_clear();
        audited
    });
    let mut report = match audited.await? {
        Ok(report) => report,
        Err(failure @ AuditFailure::Read { .. }) => return Err(failure).context(format!("reading {archive}")),
        Err(failure) => return Ok(invalid(&failure, json)),
    };
    if !chains_config.chains().is_empty() {
        let chains = chains::start(&chains_config, &Metrics::new())?;
        let bar = spinner(json);
        let mut progress = |voters: u64| {
            bar.set_message(format!("{} voters looked up again", screen::grouped(&voters.to_string())));
        };
        let found = look_up_again(&mut report, &chains, &mut progress).await;
        bar.finish_and_clear();
        if let Some(difference) = found? {
            return Ok(invalid(&difference, json));
        }
    }
    if json {
        screen::line(&report.to_json().to_string());
    } else {
        show(&report, start.elapsed().as_secs_f64());
    }
    Ok(ExitCode::SUCCESS)
}

fn spinner(json: bool) -> ProgressBar {
    if json { ProgressBar::hidden() } else { ProgressBar::new_spinner() }
}

/// Says what is wrong.
fn invalid(failure: &dyn Error, json: bool) -> ExitCode {
    screen::line(&if json {
        json!({ "valid": false, "failure": failure.to_string() }).to_string()
    } else {
        format!("INVALID {failure}")
    });
    ExitCode::from(EXIT_FOUND_WRONG)
}

fn read_receipts(files: &[PathBuf]) -> anyhow::Result<Vec<SignedReceipt>> {
    let mut receipts = Vec::new();
    for file in files {
        receipts.extend(receipt::read_file(file)?);
    }
    Ok(receipts)
}

/// Opens a file, standard input, or a URL.
async fn open(archive: &str) -> anyhow::Result<Box<dyn BufRead + Send>> {
    if archive == "-" {
        return Ok(Box::new(BufReader::with_capacity(READ_AHEAD_BYTES, io::stdin())));
    }
    if archive.starts_with("http://") || archive.starts_with("https://") {
        let platform = Platform::new(archive, 1)?;
        let url = archive.parse().with_context(|| format!("{archive:?} is not a URL"))?;
        let stream = platform.stream(url).await?;
        let bridge = SyncIoBridge::new(Box::pin(StreamReader::new(stream)));
        return Ok(Box::new(BufReader::with_capacity(READ_AHEAD_BYTES, bridge)));
    }
    let file = File::open(archive).with_context(|| format!("opening the archive {archive}"))?;
    Ok(Box::new(BufReader::with_capacity(READ_AHEAD_BYTES, file)))
}

fn show(report: &AuditReport, seconds: f64) {
    let count = |number: u64| screen::grouped(&number.to_string());
    let proposal = report.proposal.to_string();
    screen::line(&format!(
        "proposal   {} {:?}        id matches its definition",
        screen::short(&proposal),
        report.title
    ));
    screen::line(&format!(
        "records    {} below the cut · {} rejected        record roots match in {} of {} partitions",
        count(report.records),
        count(report.rejected_total()),
        report.partitions,
        report.partitions
    ));
    screen::line(&format!("ballots    {} standing        signatures checked again: all", count(report.core.ballots)));
    match report.power {
        PowerEvidence::Definition => screen::line("power      computed again from the definition's own lists"),
        PowerEvidence::Recorded => {
            screen::line(
                "power      as the archive has it from the chains at the pins; its root is the signed one; --chain asks again",
            );
        }
        PowerEvidence::Chains => {
            let voters = report.chain_powers.as_ref().map_or(0, |chain_powers| chain_powers.powers.len());
            let voters = screen::grouped(&voters.to_string());
            screen::line(&format!(
                "power      looked up again on the chains at the pins: {voters} voters, all as archived"
            ));
        }
    }
    let scores = report.choices.iter().zip(&report.core.outcome.scores.0);
    let scores: Vec<String> =
        scores.map(|(choice, score)| format!("{choice} {}", screen::grouped(&format_units(*score)))).collect();
    screen::line(&format!("tally      {}        equals the published result", scores.join(" · ")));
    screen::line(&format!("decision   {}", report.decision()));
    screen::line(&format!("root       {}        equals", screen::short(&report.core.ballots_root.to_string())));
    let key = if report.key_was_given { "the key you named" } else { "the archive's own; --key insists on yours" };
    screen::line(&format!("signed by  {} ({key})", report.key));
    for found in &report.receipts {
        let finding = match &found.finding {
            ReceiptFinding::Counts => "counts".to_owned(),
            ReceiptFinding::Superseded { by } => {
                format!("superseded by a later ballot of its voter, {}", screen::short(&by.to_string()))
            }
            ReceiptFinding::Rejected { rejection, stands_by_another_copy: false } => {
                format!("does not count: {}", rejection.snapshot_text())
            }
            ReceiptFinding::Rejected { rejection, stands_by_another_copy: true } => {
                format!("this copy does not count ({}), another copy does", rejection.snapshot_text())
            }
        };
        screen::line(&format!("receipt    {}        included, {finding}", screen::short(&found.digest.to_string())));
    }
    screen::line(&format!("VALID in {seconds:.1} s"));
}

//! Why a voter's ballot counts or not, and where a voter's power comes from, in sentences.

use std::process::ExitCode;

use anyhow::Context as _;
use serde_json::Value;

use crate::{
    cli::explain::ExplainVoterArgs,
    client::{Platform, path_segment},
    screen,
};

async fn voter_of(args: &ExplainVoterArgs) -> anyhow::Result<Value> {
    let platform = Platform::of(&args.platform, 1)?;
    let (proposal, voter) = (path_segment(&args.proposal), path_segment(&args.voter));
    platform.get(&format!("v1/proposals/{proposal}/voters/{voter}")).await
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// A power of an answer, which is null where it is not known.
fn power_text(value: &Value) -> String {
    value.get("power").and_then(Value::as_str).map_or_else(|| "unknown".to_owned(), screen::grouped)
}

fn list<'a>(value: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> {
    value.get(field).and_then(Value::as_array).into_iter().flatten()
}

pub(super) async fn power(args: &ExplainVoterArgs) -> anyhow::Result<ExitCode> {
    let voter = voter_of(args).await?;
    if args.json {
        let fields = ["proposal", "voter", "power", "powerMissing", "powerByStrategy"];
        let part: serde_json::Map<String, Value> =
            fields.iter().map(|field| ((*field).to_owned(), voter.get(*field).cloned().unwrap_or_default())).collect();
        screen::line(&Value::Object(part).to_string());
        return Ok(ExitCode::SUCCESS);
    }
    show_power(&voter);
    Ok(ExitCode::SUCCESS)
}

fn show_power(voter: &Value) {
    screen::line(&format!("voter    {}   power {}", text(voter, "voter"), power_text(voter)));
    if let Some(missing) = voter.get("powerMissing").and_then(Value::as_str) {
        screen::line(&format!("unknown  {missing}"));
    }
    for strategy in list(voter, "powerByStrategy") {
        screen::line(&format!("         {:<20} {}", text(strategy, "strategy"), power_text(strategy)));
        for read in list(strategy, "reads") {
            let block = read.get("block").and_then(Value::as_u64).unwrap_or_default();
            let contract = read.get("contract").and_then(Value::as_str).unwrap_or("the account itself");
            screen::line(&format!("           {} of {contract}", text(read, "read")));
            screen::line(&format!(
                "             chain {}, block {block} {}",
                text(read, "chain"),
                text(read, "blockHash")
            ));
            let decimals = read.get("decimals").and_then(Value::as_u64).unwrap_or_default();
            let raw = read.get("raw").and_then(Value::as_str).unwrap_or("no integer");
            screen::line(&format!("             {raw} with {decimals} decimals is {}", power_text(read)));
            if let Some(explanation) = read.get("explanation").and_then(Value::as_str) {
                screen::line(&format!("             {explanation}"));
            }
        }
    }
}

/// Who signed a ballot.
fn signature_text(signature: &Value) -> String {
    match signature.get("block").and_then(Value::as_u64) {
        Some(block) => format!(
            "by the account's contract, asked on chain {} at block {block} ({})",
            text(signature, "chain"),
            text(signature, "check")
        ),
        None => "by the account's own key".to_owned(),
    }
}

pub(super) async fn ballot(args: &ExplainVoterArgs) -> anyhow::Result<ExitCode> {
    let voter = voter_of(args).await?;
    if args.json {
        screen::line(&voter.to_string());
        return Ok(ExitCode::SUCCESS);
    }
    screen::line(&format!("voter    {}   power {}", text(&voter, "voter"), power_text(&voter)));
    for strategy in list(&voter, "powerByStrategy") {
        screen::line(&format!("         {:<20} {}", text(strategy, "strategy"), power_text(strategy)));
    }
    match voter.get("ballot").filter(|ballot| !ballot.is_null()) {
        Some(ballot) => {
            let choice = ballot.get("choice").context("the ballot has no choice")?;
            screen::line(&format!("counts   {}   choice {choice}", text(ballot, "digest")));
            screen::line(&format!("why      {}", text(&voter, "explanation")));
            if let Some(signature) = voter.get("signature").filter(|signature| !signature.is_null()) {
                screen::line(&format!("signed   {}", signature_text(signature)));
            }
        }
        None => screen::line(&format!("nothing  {}", text(&voter, "explanation"))),
    }
    for rejected in list(&voter, "rejections") {
        screen::line(&format!("rejected {}   {}", text(rejected, "digest"), text(rejected, "explanation")));
    }
    Ok(ExitCode::SUCCESS)
}

//! `pnyx explain`: why a voter's ballot counts or not, in sentences.

use std::process::ExitCode;

use anyhow::Context as _;
use serde_json::Value;

use crate::{
    cli::{ExplainBallotArgs, ExplainCommand},
    client::{Platform, path_segment},
    screen,
};

/// Runs the command.
pub(crate) async fn run(command: ExplainCommand) -> anyhow::Result<ExitCode> {
    match command {
        ExplainCommand::Ballot(args) => ballot(&args).await,
    }
}

async fn ballot(args: &ExplainBallotArgs) -> anyhow::Result<ExitCode> {
    let platform = Platform::of(&args.platform, 1)?;
    let voter = platform
        .get(&format!("v1/proposals/{}/voters/{}", path_segment(&args.proposal), path_segment(&args.voter)))
        .await?;
    if args.json {
        screen::line(&voter.to_string());
        return Ok(ExitCode::SUCCESS);
    }
    let text = |value: &Value, field: &str| value.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    let power = text(&voter, "power");
    screen::line(&format!("voter    {}   power {}", text(&voter, "voter"), screen::grouped(&power)));
    for strategy in voter.get("powerByStrategy").and_then(Value::as_array).into_iter().flatten() {
        screen::line(&format!(
            "         {:<20} {}",
            text(strategy, "strategy"),
            screen::grouped(&text(strategy, "power"))
        ));
    }
    match voter.get("ballot").filter(|ballot| !ballot.is_null()) {
        Some(ballot) => {
            let choice = ballot.get("choice").context("the ballot has no choice")?;
            screen::line(&format!("counts   {}   choice {choice}", text(ballot, "digest")));
            screen::line(&format!("why      {}", text(&voter, "explanation")));
        }
        None => screen::line(&format!("nothing  {}", text(&voter, "explanation"))),
    }
    for rejected in voter.get("rejections").and_then(Value::as_array).into_iter().flatten() {
        screen::line(&format!("rejected {}   {}", text(rejected, "digest"), text(rejected, "explanation")));
    }
    Ok(ExitCode::SUCCESS)
}

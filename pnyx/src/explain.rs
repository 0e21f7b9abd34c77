//! `pnyx explain`: why something is as it is, in sentences.

mod scaling;
mod voter;

use std::process::ExitCode;

use crate::cli::explain::ExplainCommand;

/// Runs the command.
pub(crate) async fn run(command: ExplainCommand) -> anyhow::Result<ExitCode> {
    match command {
        ExplainCommand::Ballot(args) => voter::ballot(&args).await,
        ExplainCommand::Power(args) => voter::power(&args).await,
        ExplainCommand::Scaling(args) => scaling::run(&args).await,
    }
}

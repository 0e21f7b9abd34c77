//! `pnyx explain scaling`: the last decision about a proposal's shards and partitions, read from its status.
//!
//! Nothing is decided or reckoned here. What is printed is what the operator wrote, with what its words mean and what the
//! spec could say instead.

mod source;

mod decision;
mod remedy;

mod json;
mod text;

use std::process::ExitCode;

use crate::{cli::explain::ExplainScalingArgs, screen};

use decision::Decision;

/// Runs the command.
pub(super) async fn run(args: &ExplainScalingArgs) -> anyhow::Result<ExitCode> {
    let source::Read { proposal, at } = source::read(args).await?;
    let decision = Decision::of(&proposal, at)?;
    if args.json {
        screen::line(&json::document(&decision).to_string());
    } else {
        screen::line(text::page(&decision).trim_end());
    }
    Ok(ExitCode::SUCCESS)
}

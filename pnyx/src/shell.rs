//! Completions and man pages, made from the command line's own description.

use std::{fs, io, process::ExitCode};

use anyhow::Context as _;
use clap::CommandFactory as _;

use crate::{
    cli::{Cli, CompletionsArgs, ManArgs},
    screen,
};

/// Prints the completion script of a shell.
pub(crate) fn completions(args: &CompletionsArgs) -> anyhow::Result<ExitCode> {
    clap_complete::generate(args.shell, &mut Cli::command(), "pnyx", &mut io::stdout().lock());
    Ok(ExitCode::SUCCESS)
}

/// Writes one man page a command.
pub(crate) fn man(args: &ManArgs) -> anyhow::Result<ExitCode> {
    let directory = &args.directory;
    fs::create_dir_all(directory).with_context(|| format!("creating {}", directory.display()))?;
    clap_mangen::generate_to(Cli::command(), directory)
        .with_context(|| format!("writing to {}", directory.display()))?;
    screen::line(&format!("wrote man pages to {}", directory.display()));
    Ok(ExitCode::SUCCESS)
}

//! The `pnyx` binary: parses the command line, starts telemetry, runs, and turns the end into an exit code.

use std::process::ExitCode;

use clap::Parser;
use pnyx::cli::Cli;

fn main() -> ExitCode {
    pnyx::main_with(Cli::parse())
}
